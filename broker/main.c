/*
 * main.c - the process signalbox-broker: settings, signals, exit codes. broker.c is what it runs.
 *
 * 0: stopped in order. 1: the app file, the cluster or a file is wrong. 2: the command line is
 * wrong. Without Redis it waits, and says so.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <uv.h>

#include "broker/broker.h"
#include "common/base/must.h"
#include "common/base/settings.h"
#include "common/bus/cluster/report.h"

struct process {
    uv_loop_t loop;
    struct broker broker;
    uv_signal_t on_term, on_int, on_hup;
};

static void on_stop_signal(uv_signal_t *handle, int number) {
    struct process *p = handle->data;
    (void)number;
    broker_stop(&p->broker);
}

static void on_reload_signal(uv_signal_t *handle, int number) {
    struct process *p = handle->data;
    (void)number;
    struct report report = {0};
    broker_reload(&p->broker, &report);
    report_deinit(&report);
}

static void listen_for(struct process *p, uv_signal_t *handle, int number, uv_signal_cb fn) {
    MUST(uv_signal_init(&p->loop, handle) == 0);
    handle->data = p;
    MUST(uv_signal_start(handle, fn, number) == 0);
    uv_unref((uv_handle_t *)handle);
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int usage(void) {
    fputs("usage: signalbox-broker APP [--redis URL] [SETTING…]\n\n"
          "APP is the app file or its folder. Runs signal routes, broadcasts, events and\n"
          "schedules. Any number of brokers share the work.\n\n",
          stdout);
    settings_print_help(stdout, FOR_BROKER);
    return 0;
}

static int run(struct process *p, const struct settings *settings, const char *app_path) {
    MUST(uv_loop_init(&p->loop) == 0);
    int code = broker_init(&p->broker, &p->loop, settings, app_path);
    if (code != 0)
        return code;
    listen_for(p, &p->on_term, SIGTERM, on_stop_signal);
    listen_for(p, &p->on_int, SIGINT, on_stop_signal);
    listen_for(p, &p->on_hup, SIGHUP, on_reload_signal);
    while (!p->broker.is_closed)
        uv_run(&p->loop, UV_RUN_ONCE);
    /* Handles close over the next turns; a handler that still sleeps holds up nothing. */
    for (int turn = 0; turn < 20 && uv_loop_alive(&p->loop); turn++)
        uv_run(&p->loop, UV_RUN_NOWAIT);
    broker_deinit(&p->broker);
    return p->broker.exit_code;
}

int main(int argc, char **argv) {
    static struct process process;
    static struct settings settings;
    int rest = 0;
    signal(SIGPIPE, SIG_IGN);
    switch (settings_parse(&settings, FOR_BROKER, argc, argv, &rest)) {
    case SETTINGS_OK: break;
    case SETTINGS_HELP: return usage();
    case SETTINGS_VERSION: printf("signalbox-broker %s\n", SIGNALBOX_VERSION); return 0;
    case SETTINGS_BAD: return 2;
    }
    if (!settings_apply_log(&settings, "broker"))
        return 2;
    if (rest != 1) {
        fputs("signalbox-broker: needs one APP: an app file or its folder (see --help)\n", stderr);
        return 2;
    }
    raise_descriptor_limit();
    return run(&process, &settings, argv[1]);
}
