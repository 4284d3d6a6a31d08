/* cmd_up.c - up: a whole cluster on this machine (up.h). This file plans which processes run, and
 * where. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/app/app.h"
#include "common/bus/partition.h"
#include "common/bus/redis/redis_access.h"
#include "common/net/port.h"
#include "tools/offline.h"
#include "tools/up.h"
#include "tools/up_listen.h"
#include "tools/up_redis.h"
#include "tools/verb.h"
#include "tools/where.h"

#define TOKEN_FILE WHERE_FOLDER "/admin-token"

enum { COLOURS = 6 };

/* --- members --- */

static struct up_member *add_member(struct up *u, enum up_role role) {
    struct up_member *m = &u->members[u->member_count];
    *m = (struct up_member){.up = u, .role = role};
    m->child.colour = 1 + u->member_count++ % COLOURS;
    return m;
}

/* The programs are in the folder of this one. */
static bool add_program(struct up *u, struct up_member *m, const char *name) {
    char self[PATH_MAX], path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[len > 0 ? len : 0] = '\0';
    int needed = snprintf(path, sizeof(path), "%s/%s", dirname(self), name);
    if (needed >= (int)sizeof(path) || access(path, X_OK) != 0)
        return tool_complain(u->tool, "%s is missing or cannot be run; build all programs", path);
    child_add_argument(&m->child, path);
    return true;
}

static void add_settings(struct up *u, struct up_member *m) {
    enum settings_who who = m->role == UP_GATEWAY ? FOR_GATEWAY : FOR_BROKER;
    for (int i = 0; i + 1 < u->tool->passed_count; i += 2) {
        const char *name = u->tool->passed[i];
        if (settings_is_known(who, name) && strcmp(name, "listen") != 0)
            child_add_option(&m->child, name, u->tool->passed[i + 1]);
    }
}

static bool describe_daemon(struct up *u, struct up_member *m, const char *kind, int number) {
    char program[32];
    snprintf(program, sizeof(program), "signalbox-%s", kind);
    snprintf(m->child.name, sizeof(m->child.name), "%s-%d", kind, number);
    if (!add_program(u, m, program))
        return false;
    child_add_argument(&m->child, u->app_path);
    child_add_option(&m->child, "admin", "");
    m->admin_argument = m->child.argument_count - 1;
    add_settings(u, m);
    return true;
}

/* --- where gateways listen --- */

/* An endpoint of the app needs no option as long as its port stays. Frees the URL. */
static bool listen_at(struct up_member *m, struct buf *url, bool is_option) {
    struct buf shown = {0};
    char why[PORT_WHY_MAX];
    if (is_option)
        child_add_option(&m->child, "listen", url->ptr);
    up_listen_show(url->ptr, &shown);
    if (m->url[0] == '\0')
        snprintf(m->url, sizeof(m->url), "%s", shown.ptr);
    bool is_fine = up_listen_may_share(url->ptr, m->up->fleet, why) ||
                   tool_complain(m->up->tool, "%s: %s (--listen)", shown.ptr, why);
    buf_deinit(&shown);
    buf_deinit(url);
    return is_fine;
}

static bool listen_at_given(struct up *u, struct up_member *m, const char *given, int up_by) {
    struct buf url = {0};
    if (up_listen_shift(given, up_by, &url) != 0)
        return tool_complain(u->tool,
                             "--listen=%s: must be SCHEME://ADDRESS:PORT, with room for %d ports",
                             given, (int)u->gateways);
    return listen_at(m, &url, true);
}

/* Gateways beside the first get their endpoints on the command line, which everybody can read. */
static bool has_open_password(const struct registrations *r) {
    for (size_t i = 0; i < r->endpoints.count; i++)
        for (size_t k = 0; k < r->endpoints.items[i].tls.count; k++)
            if (r->endpoints.items[i].tls.certificates[k].password != NULL)
                return true;
    return false;
}

static bool add_listens(struct up *u, struct up_member *m, const struct registrations *r,
                        int up_by) {
    bool has_given = false;
    struct buf url = {0};
    for (int i = 0; i + 1 < u->tool->passed_count; i += 2) {
        if (strcmp(u->tool->passed[i], "listen") != 0)
            continue;
        has_given = true;
        if (!listen_at_given(u, m, u->tool->passed[i + 1], up_by))
            return false;
    }
    if (!has_given && up_by > 0 && has_open_password(r))
        return tool_complain(u->tool, "the app has the password of a TLS key in it, and more than "
                                      "one gateway would show it on the command line: put it into "
                                      "a file, and name that with password_file");
    for (size_t i = 0; !has_given && i < r->endpoints.count; i++) {
        up_listen_of_endpoint(&r->endpoints.items[i], up_by, &url);
        if (!listen_at(m, &url, up_by > 0))
            return false;
    }
    if (m->url[0] == '\0')
        tool_complain(u->tool, "nothing to listen on: the app has no signalbox.endpoint, and "
                               "--listen is not given");
    return m->url[0] != '\0';
}

/* --- the plan --- */

static bool plan_redis(struct up *u) {
    struct tool *t = u->tool;
    char error[REDIS_ACCESS_ERROR];
    u->has_own_redis = !t->is_redis_given;
    if (u->has_own_redis && !up_redis_claim(t))
        return false;
    if (u->has_own_redis)
        where_private_url(u->redis_url, sizeof(u->redis_url));
    else
        snprintf(u->redis_url, sizeof(u->redis_url), "%s", t->settings.redis);
    if (redis_access_read(&u->parsed_url, u->redis_url, &t->settings, error) != 0)
        return tool_complain(t, "%s", error);
    if (fleet_check(t->settings.redis_prefix, error) != 0)
        return tool_complain(t, "%s", error);
    fleet_init(t->settings.redis_prefix, u->parsed_url.db);
    redis_url_fingerprint(&u->parsed_url, t->settings.redis_prefix, u->fleet);
    if (u->has_own_redis)
        up_redis_describe(&add_member(u, UP_REDIS)->child);
    return true;
}

/* The API of the admin listeners needs a token: one is made, unless one was given. */
static bool plan_token(struct up *u) {
    u->token_file = tool_passed(u->tool, "admin-token-file");
    if (u->token_file == NULL)
        u->token_file = getenv("SIGNALBOX_ADMIN_TOKEN_FILE");
    if (u->token_file != NULL)
        return true;
    u->token_file = TOKEN_FILE;
    return up_make_folder(u->tool) && tool_make_secret(u->tool, "", TOKEN_FILE) >= 0 &&
           (setenv("SIGNALBOX_ADMIN_TOKEN_FILE", TOKEN_FILE, 1) == 0 ||
            tool_complain(u->tool, "%s", strerror(errno)));
}

static bool plan_daemons(struct up *u, const struct registrations *r) {
    for (int i = 0; i < u->brokers; i++)
        if (!describe_daemon(u, add_member(u, UP_BROKER), "broker", i + 1))
            return false;
    for (int i = 0; i < u->gateways; i++) {
        struct up_member *m = add_member(u, UP_GATEWAY);
        if (!describe_daemon(u, m, "gateway", i + 1) || !add_listens(u, m, r, i))
            return false;
    }
    return true;
}

/* By the environment, which other users of this machine cannot read, unlike a command line. */
static bool pass_redis(const struct up *u) {
    return setenv("SIGNALBOX_REDIS", u->redis_url, 1) == 0 ||
           tool_complain(u->tool, "SIGNALBOX_REDIS: %s", strerror(errno));
}

static int plan(struct up *u) {
    const char *drain_ms = tool_passed(u->tool, "drain-ms");
    u->drain_ms = drain_ms != NULL ? atoll(drain_ms) : u->tool->settings.drain_ms;
    if (tool_passed(u->tool, "admin") != NULL) {
        tool_complain(u->tool, "each process needs an admin port of its own: --admin-base PORT");
        return TOOL_USAGE;
    }
    struct app *app = offline_load(u->tool, u->app_path);
    if (app == NULL)
        return TOOL_FAILED;
    bool is_fine =
        plan_redis(u) && pass_redis(u) && plan_token(u) && plan_daemons(u, app_registrations(app));
    app_release(app);
    return is_fine ? TOOL_OK : TOOL_FAILED;
}

/* --- what people see --- */

static void print_members(const struct up *u, enum up_role role) {
    for (int i = 0; i < u->member_count; i++) {
        const struct up_member *m = &u->members[i];
        if (m->role == role)
            printf("  %-12s %-28s admin http://127.0.0.1:%d\n", m->child.name, m->url,
                   m->admin_port);
    }
}

static void append_members(struct buf *out, const struct up *u, enum up_role role) {
    bool is_first = true;
    buf_append_char(out, '[');
    for (int i = 0; i < u->member_count; i++) {
        const struct up_member *m = &u->members[i];
        if (m->role != role)
            continue;
        buf_printf(out, "%s{\"name\":\"%s\"", is_first ? "" : ",", m->child.name);
        if (role == UP_GATEWAY) {
            tool_append_json(out, ",\"url\":", bytes_str(m->url));
        }
        buf_printf(out, ",\"admin\":\"http://127.0.0.1:%d\"}", m->admin_port);
        is_first = false;
    }
    buf_append_char(out, ']');
}

static void print_json(const struct up *u, struct bytes redis) {
    struct buf out = {0};
    buf_append_str(&out, "{\"gateways\":");
    append_members(&out, u, UP_GATEWAY);
    buf_append_str(&out, ",\"brokers\":");
    append_members(&out, u, UP_BROKER);
    tool_append_json(&out, ",\"redis\":", redis);
    tool_append_json(&out, ",\"adminTokenFile\":", bytes_str(u->token_file));
    buf_append_char(&out, '}');
    dprintf(u->json_fd, "%.*s\n", BYTES_FMT(buf_bytes(&out)));
    buf_deinit(&out);
}

static void print_banner(const struct up *u, const char *redis) {
    printf("\nEverything runs.\n\n");
    print_members(u, UP_GATEWAY);
    print_members(u, UP_BROKER);
    printf("  %-12s %s\n", "redis", redis);
    printf("  %-12s %s\n\nTry:\n\n", "admin token", u->token_file);
    printf("  open %s\n", u->members[u->member_count - u->gateways].url); /* they come last */
    const char *prefix = fleet_key_prefix();
    printf("  %s send Msg 'hello'%s%s%s%s\n", program_invocation_name,
           u->has_own_redis ? "" : " --redis ", u->has_own_redis ? "" : redis,
           *prefix != '\0' ? " --redis-prefix " : "", prefix);
    bool is_unix = u->parsed_url.path[0] != '\0';
    printf("  redis-cli %s %s PUBLISH %s '{\"name\":\"Msg\",\"data\":\"hello\"}'\n",
           is_unix ? "-s" : "-u",
           u->has_own_redis ? WHERE_SOCKET
           : is_unix        ? u->parsed_url.path
                            : redis,
           fleet_channel(CHANNEL_PUBLIC_SEND));
    printf("  … clients, … tail, … reload\n\nCtrl-C stops everything.\n\n");
    fflush(stdout);
}

/* The password is left out, since the lines end up in logs and on screens. */
static void on_running(const struct up *u) {
    struct buf redis = {0};
    settings_append_shown(&redis, u->redis_url);
    buf_append_char(&redis, '\0');
    if (u->tool->is_json)
        print_json(u, bytes_str(redis.ptr));
    else
        print_banner(u, redis.ptr);
    buf_deinit(&redis);
}

/* --- the command line --- */

static int run(struct tool *t, void *own) {
    struct up *u = own;
    u->tool = t;
    u->json_fd = -1;
    if (t->is_json &&
        ((u->json_fd = dup(STDOUT_FILENO)) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0))
        return TOOL_FAILED;
    u->app_path = t->arguments[0];
    if (getenv("REDIS_URL") != NULL && !t->is_redis_given)
        tool_complain(t, "REDIS_URL is ignored; use --redis \"$REDIS_URL\" for that Redis");
    int exit_code = plan(u);
    if (exit_code == TOOL_OK)
        exit_code = up_run(u, on_running);
    for (int i = 0; i < u->member_count; i++)
        child_deinit(&u->members[i].child);
    return exit_code;
}

static const struct option options[] = {
    {"gateways", OPTION_NUMBER, offsetof(struct up, gateways), "N", "how many gateways",
     .lowest = 1, .highest = UP_DAEMONS_MAX, .initial = "2"},
    {"brokers", OPTION_NUMBER, offsetof(struct up, brokers), "N", "how many brokers", .lowest = 1,
     .highest = UP_DAEMONS_MAX, .initial = "1"},
    {"admin-base", OPTION_NUMBER, offsetof(struct up, admin_base), "PORT",
     "admin listeners from this port on, instead of free ones", .lowest = 1, .highest = 65000},
};

const struct verb verb_up = {
    .name = "up",
    .arguments = "APP",
    .summary = "run a whole cluster on this machine",
    .details =
        "It runs a private Redis (socket and data are under .signalbox/ in this folder), brokers\n"
        "and gateways. With --redis URL, that Redis is used instead. Gateway 1 listens at the\n"
        "app's endpoints, or at --listen URL, gateway k at ports k-1 higher. A process that\n"
        "ends is started again; Ctrl-C stops gateways, brokers and Redis, in that order. With\n"
        "--json, standard output has one object once all are ready, and everything else goes\n"
        "to standard error.",
    .flags = VERB_REDIS | VERB_JSON | VERB_DAEMON_SETTINGS,
    VERB_COUNT(1, 1),
    VERB_OPTIONS(options),
    VERB_RUN(struct up, run)};
