/*
 * cmd_doctor.c - doctor: examines Redis, this host and, given an app, its certificates. Each
 * finding comes with its remedy; the exit status is 1 when something is wrong.
 *
 * To add a check, add a line to the table of common/bus/redis/redis_settings.c, or a function that
 * calls report().
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/app/app.h"
#include "common/json/json_text.h"
#include "common/base/clock.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/redis_settings.h"
#include "common/net/tls.h"
#include "tools/offline.h"
#include "tools/tool.h"
#include "tools/verb.h"

enum { FILES_MIN = 65536, BACKLOG_MIN = 4096, CLOCK_MAX_MS = 1000, CERTIFICATE_MIN_DAYS = 14 };

enum finding { FINE, WARNING, WRONG, UNKNOWN };

struct doctor {
    struct tool *tool;
    unsigned outstanding, wrong;
    bool has_rows;
    uint64_t asked_wall_ms; /* for the clock */
};

static void report(struct doctor *d, enum finding f, const char *what, const char *found,
                   const char *remedy) {
    static const char *const words[] = {"ok", "warning", "WRONG", "unknown"};
    struct buf line = {0};
    bool needs_remedy = f != FINE && remedy != NULL;
    d->wrong += f == WRONG;
    if (!d->tool->is_json) {
        printf("%-8s %s: %s%s%s\n", words[f], what, found, needs_remedy ? "\n         -> " : "",
               needs_remedy ? remedy : "");
        return;
    }
    buf_printf(&line, "%s{\"finding\":\"%s\",\"what\":", d->has_rows ? ",\n " : "[", words[f]);
    json_append_string(&line, bytes_str(what));
    buf_append_str(&line, ",\"found\":");
    json_append_string(&line, bytes_str(found));
    buf_append_str(&line, ",\"remedy\":");
    json_append_string(&line, bytes_str(needs_remedy ? remedy : ""));
    buf_append_char(&line, '}');
    printf("%.*s", BYTES_FMT(buf_bytes(&line)));
    buf_deinit(&line);
    d->has_rows = true;
}

/* --- Redis --- */

static void answered(struct doctor *d) {
    if (--d->outstanding > 0)
        return;
    if (d->tool->is_json)
        puts("]");
    tool_end(d->tool, d->wrong > 0 ? TOOL_FAILED : TOOL_OK);
}

static void on_info(void *ctx, struct redisReply *reply) {
    struct doctor *d = ctx;
    char *version = redis_info_value(reply_bytes(reply), "redis_version");
    if (*version == '\0')
        report(d, UNKNOWN, "redis version", "INFO was not answered", "allow this user INFO");
    else
        report(d, atoi(version) >= 7 ? FINE : WRONG, "redis version", version,
               "Signalbox needs Redis 7 or later");
    free(version);
    answered(d);
}

/* What this user may not do says nothing about what the daemons' users may. */
static void report_refusal(struct doctor *d, const char *what, const struct redisReply *reply,
                           const char *remedy) {
    char *error = bytes_dup(reply_bytes(reply));
    report(d, reply_is_error(reply, "NOPERM") ? UNKNOWN : WRONG, what, error, remedy);
    free(error);
}

static void on_time(void *ctx, struct redisReply *reply) {
    struct doctor *d = ctx;
    char found[64];
    int64_t now = (int64_t)clock_wall_ms();
    int64_t theirs =
        reply_number(reply_at(reply, 0), 0) * 1000 + reply_number(reply_at(reply, 1), 0) / 1000;
    int64_t ours = ((int64_t)d->asked_wall_ms + now) / 2;
    int64_t off = theirs > ours ? theirs - ours : ours - theirs;
    snprintf(found, sizeof(found), "%" PRId64 " ms from this host's", off);
    if (reply_count(reply) == 2)
        report(d, off > CLOCK_MAX_MS ? WARNING : FINE, "redis clock", found,
               "set the clocks by NTP: schedules follow Redis' clock, each log its own host's");
    else
        report_refusal(d, "redis clock", reply, "brokers need TIME: `signalbox redis-acl`");
    answered(d);
}

/* The answer to a write that changes nothing, since no rule has an empty name. */
static void on_written(void *ctx, struct redisReply *reply) {
    struct doctor *d = ctx;
    if (reply_is_error(reply, NULL))
        report_refusal(
            d, "redis writes", reply,
            "nothing works until Redis accepts writes: check its disk, memory and replicas");
    else
        report(d, FINE, "redis writes", "are accepted", NULL);
    answered(d);
}

static void on_owners(void *ctx, struct redisReply *reply) {
    struct doctor *d = ctx;
    int64_t all = bus_partitions(d->tool->bus), owned = reply_number(reply, 0);
    char found[64];
    snprintf(found, sizeof(found), "%" PRId64 " of %" PRId64 " have one", owned, all);
    if (reply_is_error(reply, NULL))
        report_refusal(d, "owners of partitions", reply, "allow this user EXISTS");
    else
        report(d, owned == all ? FINE : WARNING, "owners of partitions", found,
               "messages of the other partitions wait: start brokers, or look at their /readyz");
    answered(d);
}

struct answer {
    struct doctor *doctor;
    const struct redis_setting *setting;
};

static void judge(struct doctor *d, const struct redis_setting *s, const char *value) {
    char what[64];
    int64_t largest = redis_settings_largest(d->tool->settings.max_message_bytes);
    enum finding otherwise = s->is_required ? WRONG : WARNING;
    snprintf(what, sizeof(what), "redis %s", s->name);
    if (*value == '\0')
        report(d, UNKNOWN, what, "CONFIG GET is not allowed, or the setting is not known",
               s->remedy);
    else
        report(d, s->is_fine(value, largest) ? FINE : otherwise, what, value, s->remedy);
}

static void on_setting_info(void *ctx, struct redisReply *reply) {
    struct answer *a = ctx;
    char *value = redis_info_value(reply_bytes(reply), a->setting->info_name);
    judge(a->doctor, a->setting, value);
    free(value);
    answered(a->doctor);
    free(a);
}

static void ask(struct doctor *d, struct command *c, reply_fn *fn, void *ctx);

/* When CONFIG is refused, INFO has some of the settings. */
static void on_config(void *ctx, struct redisReply *reply) {
    struct answer *a = ctx;
    struct doctor *d = a->doctor;
    struct bytes value = reply_bytes(reply_at(reply, 1));
    if (reply_is_error(reply, NULL) && a->setting->info_section != NULL) {
        struct command info = command_begin("INFO");
        command_text(&info, a->setting->info_section);
        ask(d, &info, on_setting_info, a);
    } else {
        char *text = bytes_dup(value);
        judge(d, a->setting, text);
        free(text);
        free(a);
    }
    answered(d);
}

static void ask(struct doctor *d, struct command *c, reply_fn *fn, void *ctx) {
    d->outstanding++;
    bus_send(d->tool->bus, BUS_FLEET, c, fn, ctx);
}

static void report_fleet(struct doctor *d) {
    char found[400];
    snprintf(found, sizeof(found), "XADD goes to %s, PUBLISH to %s", fleet_key(KEY_PUBLIC_SEND),
             fleet_channel(CHANNEL_PUBLIC_SEND));
    report(d, FINE, "fleet", found, NULL);
}

static void ask_for_writes(struct doctor *d) {
    struct command c = command_begin("HDEL");
    command_text(&c, fleet_key(KEY_RULES));
    command_text(&c, "");
    ask(d, &c, on_written, d);
}

static void ask_for_owners(struct doctor *d) {
    struct command c = command_begin("EXISTS");
    struct buf key = {0};
    for (unsigned p = 0; p < bus_partitions(d->tool->bus); p++)
        command_bytes(&c, key_of(&key, p, KEY_LEASE, BYTES_NONE));
    buf_deinit(&key);
    ask(d, &c, on_owners, d);
}

static void on_ready(void *ctx) {
    struct doctor *d = ctx;
    struct command info = command_begin("INFO"), time = command_begin("TIME");
    report(d, FINE, "redis", "is reached", NULL);
    report_fleet(d);
    command_text(&info, "server");
    ask(d, &info, on_info, d);
    d->asked_wall_ms = clock_wall_ms();
    ask(d, &time, on_time, d);
    ask_for_writes(d);
    ask_for_owners(d);
    for (unsigned i = 0; i < redis_settings_count; i++) {
        struct command c = command_begin("CONFIG");
        struct answer *a = mem_alloc(sizeof(*a));
        *a = (struct answer){d, &redis_settings[i]};
        command_text(&c, "GET");
        command_text(&c, redis_settings[i].name);
        ask(d, &c, on_config, a);
    }
}

/* --- this host --- */

static void check_files(struct doctor *d) {
    struct rlimit limit;
    char found[64];
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    snprintf(found, sizeof(found), "%llu", (unsigned long long)limit.rlim_max);
    report(d, limit.rlim_max >= FILES_MIN ? FINE : WARNING, "file descriptors (hard limit)", found,
           "each connection needs one: raise LimitNOFILE (systemd) or ulimit -Hn");
}

static long long read_number(const char *path) {
    long long number = -1;
    FILE *file = fopen(path, "re");
    if (file != NULL && fscanf(file, "%lld", &number) != 1)
        number = -1;
    if (file != NULL)
        fclose(file);
    return number;
}

static void check_backlog(struct doctor *d) {
    char found[64];
    long long backlog = read_number("/proc/sys/net/core/somaxconn");
    snprintf(found, sizeof(found), "%lld", backlog);
    if (backlog >= 0)
        report(d, backlog >= BACKLOG_MIN ? FINE : WARNING, "listen backlog (somaxconn)", found,
               "a burst of connections would be refused: sysctl -w net.core.somaxconn=4096");
}

/* --- the app's certificates --- */

static void check_certificate(struct doctor *d, const struct endpoint *e) {
    char *error = NULL, found[64];
    struct tls_context *tls = tls_context_server(e->certificate, e->key, e->password, &error);
    if (tls == NULL) {
        report(d, WRONG, e->certificate, error, "gateways do not start with this certificate");
    } else {
        int days = tls_context_days_left(tls);
        snprintf(found, sizeof(found), "%d days left", days);
        report(d, days >= CERTIFICATE_MIN_DAYS ? FINE : WARNING, e->certificate, found,
               "renew it, then `signalbox reload`");
    }
    tls_context_unref(tls);
    free(error);
}

static bool check_app(struct doctor *d, const char *path) {
    struct app *app = offline_load(d->tool, path);
    if (app == NULL)
        return false;
    const struct registrations *r = app_registrations(app);
    for (size_t i = 0; i < r->endpoints.count; i++)
        if (r->endpoints.items[i].certificate != NULL)
            check_certificate(d, &r->endpoints.items[i]);
    app_release(app);
    return true;
}

static int run(struct tool *t, void *own) {
    struct doctor *d = own;
    d->tool = t;
    if (!tool_connect(t))
        return TOOL_USAGE;
    check_files(d);
    check_backlog(d);
    if (t->argument_count > 0 && !check_app(d, t->arguments[0]))
        return TOOL_FAILED;
    int exit_code = tool_run(t, on_ready, d);
    if (t->is_json && d->outstanding > 0)
        puts("]");
    return exit_code;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .arguments = "[APP]",
    .summary = "look for trouble in Redis, on this host and, with APP, in its certificates",
    .details =
        "Each finding is ok, a warning, WRONG or unknown, and has its remedy. The exit status\n"
        "is 1 when something is WRONG.",
    .flags = VERB_REDIS | VERB_JSON,
    .max_arguments = 1,
    .size = sizeof(struct doctor),
    .run = run};
