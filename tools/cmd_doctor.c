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
#include "common/base/cluster_secret.h"
#include "common/bus/ask.h"
#include "common/bus/bus.h"
#include "common/bus/partition.h"
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
    tool_append_json(&line, ",\"found\":", bytes_str(found));
    tool_append_json(&line, ",\"remedy\":", bytes_str(needs_remedy ? remedy : ""));
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

static void on_info(void *ctx, const struct ask_answer *a) {
    struct doctor *d = ctx;
    char *version = redis_info_value(a->text, "redis_version");
    if (*version == '\0')
        report(d, UNKNOWN, "redis version", "INFO was not answered", "allow this user INFO");
    else
        report(d, atoi(version) >= 7 ? FINE : WRONG, "redis version", version,
               "Signalbox needs Redis 7 or later");
    free(version);
    answered(d);
}

/* What this user may not do says nothing about what the daemons' users may. */
static void report_refusal(struct doctor *d, const char *what, const struct ask_answer *a,
                           const char *remedy) {
    char *error = bytes_dup(a->text);
    bool is_user = bytes_starts_with(a->text, BYTES_LIT("NOPERM"));
    report(d, is_user ? UNKNOWN : WRONG, what, error, remedy);
    free(error);
}

static void on_time(void *ctx, const struct ask_answer *a) {
    struct doctor *d = ctx;
    char found[64];
    int64_t now = (int64_t)clock_wall_ms();
    int64_t ours = ((int64_t)d->asked_wall_ms + now) / 2;
    int64_t off = a->number > ours ? a->number - ours : ours - a->number;
    snprintf(found, sizeof(found), "%" PRId64 " ms from this host's", off);
    if (!a->is_lost && !a->is_refused)
        report(d, off > CLOCK_MAX_MS ? WARNING : FINE, "redis clock", found,
               "set the clocks by NTP: schedules follow Redis' clock, each log its own host's");
    else
        report_refusal(d, "redis clock", a, "brokers need TIME: `signalbox redis-acl`");
    answered(d);
}

/* The answer to a write that changes nothing, since no rule has an empty name. */
static void on_written(void *ctx, const struct ask_answer *a) {
    struct doctor *d = ctx;
    if (a->is_refused)
        report_refusal(
            d, "redis writes", a,
            "nothing works until Redis accepts writes: check its disk, memory and replicas");
    else
        report(d, FINE, "redis writes", "are accepted", NULL);
    answered(d);
}

static void on_owners(void *ctx, const struct ask_answer *a) {
    struct doctor *d = ctx;
    int64_t all = bus_partitions(d->tool->bus), owned = a->number;
    char found[64];
    snprintf(found, sizeof(found), "%" PRId64 " of %" PRId64 " have one", owned, all);
    if (a->is_refused)
        report_refusal(d, "owners of partitions", a, "allow this user EXISTS");
    else
        report(d, owned == all ? FINE : WARNING, "owners of partitions", found,
               "messages of the other partitions wait: start brokers, or look at their /readyz");
    answered(d);
}

struct question {
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

static void on_setting_info(void *ctx, const struct ask_answer *a) {
    struct question *q = ctx;
    char *value = redis_info_value(a->text, q->setting->info_name);
    judge(q->doctor, q->setting, value);
    free(value);
    answered(q->doctor);
    free(q);
}

/* When CONFIG is refused, INFO has some of the settings. */
static void on_config(void *ctx, const struct ask_answer *a) {
    struct question *q = ctx;
    struct doctor *d = q->doctor;
    if (a->is_refused && q->setting->info_section != NULL) {
        ask_info(d->tool->bus, q->setting->info_section, on_setting_info, q);
        return;
    }
    char *text = bytes_dup(a->is_refused ? BYTES_NONE : a->text);
    judge(d, q->setting, text);
    free(text);
    free(q);
    answered(d);
}

static void report_secret(struct doctor *d) {
    static const char what[] = "cluster secret";
    static const char remedy[] =
        "give all processes the same --cluster-secret-file, made by `signalbox secret`";
    if (bus_has_other_secret(d->tool->bus))
        report(d, WRONG, what, "the fleet has another than this process", remedy);
    else if (!bus_cluster_secret(d->tool->bus)->is_known)
        report(d, WARNING, what, "none: whoever may write to this Redis can set rules", remedy);
    else
        report(d, FINE, what, "is the fleet's", NULL);
}

static void on_ready(void *ctx) {
    struct doctor *d = ctx;
    struct bus *bus = d->tool->bus;
    char found[400];
    report(d, FINE, "redis", "is reached", NULL);
    snprintf(found, sizeof(found), "XADD goes to %s, PUBLISH to %s", fleet_key(KEY_PUBLIC_SEND),
             fleet_channel(CHANNEL_PUBLIC_SEND));
    report(d, FINE, "fleet", found, NULL);
    report_secret(d);
    d->outstanding = 4 + redis_settings_count;
    d->asked_wall_ms = clock_wall_ms();
    ask_info(bus, "server", on_info, d);
    ask_clock(bus, on_time, d);
    ask_write(bus, on_written, d);
    ask_owned(bus, on_owners, d);
    for (unsigned i = 0; i < redis_settings_count; i++) {
        struct question *q = mem_alloc(sizeof(*q));
        *q = (struct question){d, &redis_settings[i]};
        ask_config(bus, redis_settings[i].name, on_config, q);
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

static void check_certificate(struct doctor *d, const struct tls_files *files) {
    char *error = NULL;
    struct tls_facts facts;
    struct buf found = {0};
    if (!tls_examine(files, &facts, &error)) {
        report(d, WRONG, files->certificate, error, "gateways do not start with this certificate");
        free(error);
        return;
    }
    buf_printf(&found, "%d days left, for %s", facts.days_left,
               facts.names.len > 1 ? facts.names.ptr : "no host by name");
    buf_append_char(&found, '\0');
    report(d, facts.days_left >= CERTIFICATE_MIN_DAYS ? FINE : WARNING, files->certificate,
           found.ptr, "renew it, then `signalbox reload`");
    if (files->ocsp != NULL)
        report(d, facts.is_stapled ? FINE : WARNING, files->ocsp,
               facts.is_stapled ? "is stapled" : "cannot be stapled; the log says why",
               "fetch a fresh response about this certificate");
    buf_deinit(&found);
    buf_deinit(&facts.names);
}

/* All of it as a gateway would read it. */
static void check_endpoint(struct doctor *d, const struct endpoint *e) {
    char *error = NULL;
    struct tls_context *tls = tls_context_server(&e->tls, NULL, NULL, &error);
    if (tls == NULL)
        report(d, WRONG, e->tls.client_ca != NULL ? e->tls.client_ca : e->address, error,
               "gateways do not start with this endpoint");
    else if (e->hostname != NULL && !tls_context_is_for(tls, e->hostname))
        report(d, WARNING, e->hostname, "no certificate of its endpoint is for this host",
               "browsers refuse it: use a certificate with this name");
    tls_context_unref(tls);
    free(error);
}

static void check_certificates(struct doctor *d, const struct registrations *r) {
    for (size_t i = 0; i < r->endpoints.count; i++) {
        const struct endpoint *e = &r->endpoints.items[i];
        unsigned wrong = d->wrong;
        for (size_t k = 0; k < e->tls.count; k++)
            check_certificate(d, &e->tls.certificates[k]);
        if (e->tls.count > 0 && d->wrong == wrong)
            check_endpoint(d, e);
    }
}

static bool check_app(struct doctor *d, const char *path) {
    struct app *app = offline_load(d->tool, path);
    if (app == NULL)
        return false;
    check_certificates(d, app_registrations(app));
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
    VERB_RUN(struct doctor, run)};
