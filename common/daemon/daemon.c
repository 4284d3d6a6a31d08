/* daemon.c - see daemon.h. Read it from daemon_open on: the steps stand in their order. */
#include "common/daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/admin/admin.h"
#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/bus/cluster/about.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/cluster/report.h"
#include "common/bus/cluster/rules.h"
#include "common/bus/cluster/store.h"
#include "common/bus/notice.h"

enum { LAST_TURNS = 20 };

/* --- the command line --- */

static void print_help(const struct daemon_kind *kind) {
    printf("usage: %s %s\n", kind->program, kind->usage);
    settings_print_help(stdout, kind->who);
    puts("\nExit status: 0 it was stopped, 1 it could not start or go on, 2 the command line is "
         "wrong.");
}

bool daemon_read_arguments(struct daemon *d, const struct daemon_kind *kind, void *ctx, int argc,
                           char **argv, int *exit_code_out) {
    int rest = 0;
    settings_hide_secrets(argc, argv);
    d->kind = kind;
    d->ctx = ctx;
    *exit_code_out = DAEMON_ENDED;
    switch (settings_parse(&d->settings, kind->who, argc, argv, &rest)) {
    case SETTINGS_OK: break;
    case SETTINGS_HELP: print_help(kind); return false;
    case SETTINGS_VERSION: printf("%s %s\n", kind->program, SIGNALBOX_VERSION); return false;
    case SETTINGS_BAD: *exit_code_out = DAEMON_USAGE; return false;
    }
    *exit_code_out = DAEMON_USAGE;
    if (rest != 1) {
        fprintf(stderr, "%s: needs one APP: an app file or its folder (see --help)\n",
                kind->program);
        return false;
    }
    d->app_path = argv[1];
    return settings_apply_log(&d->settings, kind->name);
}

/* --- the app --- */

int daemon_complain(const struct daemon *d, char *error, int exit_code) {
    fprintf(stderr, "%s: %s\n", d->kind->program, error);
    free(error);
    return exit_code;
}

int daemon_load_app(struct daemon *d, const struct app_host *host, void *host_ctx) {
    char *error = NULL;
    d->app.environment.host = host;
    d->app.environment.host_ctx = host_ctx;
    if (loaded_app_load(&d->app, &error) < 0)
        return daemon_complain(d, error, DAEMON_FAILED);
    return DAEMON_ENDED;
}

/* Loads the app file, passwords and certificates anew. What is wrong, or needs a restart, is
 * logged, stays as it was, and is in the report, which answers a notice with a token. */
static void reload(struct daemon *d, struct bytes token) {
    struct report report = {0};
    char *error = NULL;
    supervisor_reloading(&d->supervisor);
    bool is_loaded = loaded_app_load(&d->app, &error) == 0;
    if (is_loaded)
        log_info(d->kind->name, "reloaded app=%s", LOG_TEXT(bytes_str(d->app_path)));
    else
        report_error(&report, "%s; the old app stays", error);
    free(error);
    d->kind->on_reload(d->ctx, is_loaded, &report);
    error = bus_reload(d->bus);
    if (error != NULL)
        report_error(&report, "%s; what was read before stays", error);
    free(error);
    report_log(&report, d->kind->name);
    supervisor_reloaded(&d->supervisor);
    report_send(&report, d->bus, token);
    report_deinit(&report);
}

/* --- Redis --- */

static void on_rule(void *ctx, struct bytes field, struct bytes value) {
    struct daemon *d = ctx;
    loaded_app_set_rule(&d->app, field, value);
}

static void on_notice(void *ctx, const struct notice *n) {
    struct daemon *d = ctx;
    if (n->kind == NOTICE_reload)
        reload(d, n->reload.token);
    else if (n->kind == NOTICE_trace)
        trace_on_notice(&d->trace, &n->trace);
    else
        d->kind->on_notice(d->ctx, n);
}

static void on_secret(void *ctx, int status, struct bytes secret) {
    struct daemon *d = ctx;
    if (status == 0 && secret.len > 0 && !d->has_ended) /* else asked again with on_commands */
        loaded_app_set_secret(&d->app, secret);
}

/* Also when Redis has lost its data. */
static void on_commands(void *ctx) {
    struct daemon *d = ctx;
    store_server_secret(d->bus, on_secret, d);
}

static void ask_to_stop(struct daemon *d) {
    d->stops++;
    d->kind->on_stop(d->ctx, d->stops > 1);
}

static void on_mismatch(void *ctx, const char *why) {
    struct daemon *d = ctx;
    log_error(d->kind->name, "refused_to_start why=\"%s\"", why);
    d->exit_code = DAEMON_FAILED;
    ask_to_stop(d);
}

static size_t raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("daemon", "failed to raise the descriptor limit");
    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : (size_t)limit.rlim_cur;
}

int daemon_open(struct daemon *d) {
    static const struct bus_events events = {
        .on_commands = on_commands, .on_forgotten = on_commands, .on_mismatch = on_mismatch};
    MUST(uv_loop_init(&d->loop) == 0);
    signal(SIGPIPE, SIG_IGN);
    supervisor_init(&d->supervisor);
    memory_init((uint64_t)d->settings.max_memory_bytes);
    d->descriptors = raise_descriptors();
    d->bus = bus_new(&d->loop, &d->settings, d->kind->bus_kind);
    if (d->bus == NULL)
        return DAEMON_USAGE;
    trouble_init(&d->memory, bus_troubles(d->bus), TROUBLE_memory, "");
    d->registry = registry_new(d->bus);
    d->rules = rules_new(d->bus, on_rule, d);
    rules_on_notice(d->rules, on_notice, d);
    bus_listen(d->bus, &events, d);
    trace_init(&d->trace, d->bus, d->kind->name);
    loaded_app_init(&d->app, d->app_path,
                    &(struct app_environment){.loop = &d->loop,
                                              .settings = &d->settings,
                                              .bus = d->bus,
                                              .registry = d->registry,
                                              .rules = d->rules,
                                              .has_ended = &d->has_ended});
    return DAEMON_ENDED;
}

/* --- the start --- */

/* Why the process does not do its job now, in one line; "" when it does. */
static const char *trouble(void *ctx) {
    const struct daemon *d = ctx;
    const char *own = d->kind->trouble(d->ctx);
    return *own != '\0' ? own : bus_trouble(d->bus);
}

static const char *note(void *ctx) {
    const struct daemon *d = ctx;
    return bus_note(d->bus);
}

static void judge_memory(struct daemon *d) {
    char why[TROUBLE_WHY_MAX];
    memory_measure();
    if (!memory_is_over())
        return; /* the trouble fades */
    snprintf(why, sizeof(why), "%" PRIu64 " of %" PRId64 " bytes are in use", memory_used(),
             d->settings.max_memory_bytes);
    trouble_raise(&d->memory, bytes_str(why));
}

static void on_second(uv_timer_t *timer) {
    struct daemon *d = container_of(timer, struct daemon, second);
    judge_memory(d);
    supervisor_tick(&d->supervisor, trouble(d));
    if (d->kind->on_second != NULL)
        d->kind->on_second(d->ctx);
}

static void on_stop_signal(uv_signal_t *handle, int number) {
    (void)number;
    ask_to_stop(handle->data);
}

static void on_reload_signal(uv_signal_t *handle, int number) {
    (void)number;
    reload(handle->data, BYTES_NONE);
}

static void listen_for(struct daemon *d, uv_signal_t *handle, int number, uv_signal_cb fn) {
    MUST(uv_signal_init(&d->loop, handle) == 0);
    MUST(uv_signal_start(handle, fn, number) == 0);
    handle->data = d;
}

int daemon_start(struct daemon *d, struct bytes listen) {
    struct admin_host host = {.loop = &d->loop,
                              .settings = &d->settings,
                              .bus = d->bus,
                              .registry = d->registry,
                              .trouble = trouble,
                              .note = note,
                              .ctx = d};
    int result = admin_open(&host, &d->admin);
    if (result < 0)
        return result == -EINVAL ? DAEMON_USAGE : DAEMON_FAILED;
    d->about = about_new(d->bus, listen, d->settings.admin);
    MUST(uv_timer_init(&d->loop, &d->second) == 0);
    MUST(uv_timer_start(&d->second, on_second, 1000, 1000) == 0);
    listen_for(d, &d->on_term, SIGTERM, on_stop_signal);
    listen_for(d, &d->on_int, SIGINT, on_stop_signal);
    listen_for(d, &d->on_hup, SIGHUP, on_reload_signal);
    bus_start(d->bus);
    return DAEMON_ENDED;
}

bool daemon_run(struct daemon *d) {
    uv_run(&d->loop, UV_RUN_DEFAULT);
    return !d->is_abandoned;
}

/* --- the end --- */

void daemon_quit(struct daemon *d) {
    uv_stop(&d->loop);
}

void daemon_abandon(struct daemon *d) {
    d->is_abandoned = true;
    d->exit_code = DAEMON_FAILED;
    daemon_quit(d);
}

void daemon_hang_up(struct daemon *d) {
    d->has_ended = true;
    bus_hang_up(d->bus);
    uv_close((uv_handle_t *)&d->on_term, NULL);
    uv_close((uv_handle_t *)&d->on_int, NULL);
    uv_close((uv_handle_t *)&d->on_hup, NULL);
    uv_close((uv_handle_t *)&d->second, NULL);
    admin_close(d->admin);
}

void daemon_close(struct daemon *d) {
    loaded_app_release(&d->app);
    about_free(d->about);
    rules_free(d->rules);
    registry_free(d->registry);
    bus_close(d->bus);
}

void daemon_deinit(struct daemon *d) {
    for (int i = 0; i < LAST_TURNS && uv_loop_alive(&d->loop); i++)
        uv_run(&d->loop, UV_RUN_NOWAIT);
    trace_deinit(&d->trace);
    loaded_app_deinit(&d->app);
    supervisor_deinit(&d->supervisor);
}
