/*
 * daemon.h - the chassis of signalbox-gateway and signalbox-broker: command line, signals, the way
 * to Redis, the app file, the admin listener, the reports to systemd, and the end. What makes
 * the two differ is in struct daemon_kind, which each hands in.
 *
 *     daemon_read_arguments   reads the settings and the app's path
 *     daemon_open             makes bus, registry and rules; nothing is sent yet
 *     daemon_load_app         runs the app file
 *     daemon_start            opens the admin listener, signals and the links to Redis
 *     daemon_run              returns after daemon_quit
 *     daemon_hang_up          nothing that waits goes on any more; Redis owes no answer
 *     daemon_close            takes down what the first four steps made
 *     daemon_deinit           frees the rest, after the loop has turned
 *
 * The owner makes its parts between these steps and takes them down between the last three; main.c
 * of each shows the order. The struct is the caller's.
 */
#ifndef SIGNALBOX_DAEMON_DAEMON_H
#define SIGNALBOX_DAEMON_DAEMON_H

#include <uv.h>

#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/log/trace.h"
#include "common/bus/redis/troubles.h"
#include "common/daemon/loaded_app.h"
#include "common/daemon/supervisor.h"

struct about;
struct admin;
struct notice;
struct registry;
struct report;
struct rules;

/* What main returns. */
enum daemon_exit {
    DAEMON_ENDED = 0,
    DAEMON_FAILED = 1, /* the app file, the cluster, a port or a file is wrong */
    DAEMON_USAGE = 2   /* the command line is wrong */
};

struct daemon_kind {
    const char *program; /* "signalbox-gateway" */
    const char *name;    /* "gateway": of its log lines */
    const char *usage;   /* of --help, behind the program's name; ends with a line feed */
    enum settings_who who;
    enum bus_kind bus_kind;
    /* Why this process does not do its job, apart from what the bus knows; "" when it does. */
    const char *(*trouble)(void *ctx);
    void (*on_second)(void *ctx); /* NULL: does nothing */
    /* A signal, or a cluster with other settings, asks for the end; is_again: for the second time,
     * which is impatience. The end is daemon_quit. */
    void (*on_stop)(void *ctx, bool is_again);
    /* After the app file was loaded anew, or could not be. */
    void (*on_reload)(void *ctx, bool is_loaded, struct report *report);
    /* Every notice but reload and trace. */
    void (*on_notice)(void *ctx, const struct notice *n);
};

struct daemon {
    const struct daemon_kind *kind;
    void *ctx;
    uv_loop_t loop;
    struct settings settings;
    const char *app_path;
    size_t descriptors; /* how many files and sockets may be open */
    struct bus *bus;
    struct registry *registry;
    struct rules *rules;
    struct trouble memory; /* more is used than --max-memory-bytes */
    struct trace trace;
    struct loaded_app app;
    struct about *about;
    struct admin *admin; /* NULL: none was asked for */
    struct supervisor supervisor;
    uv_timer_t second;
    uv_signal_t on_term, on_int, on_hup;
    unsigned stops; /* how often the end was asked for */
    int exit_code;
    bool has_ended;    /* what the handlers use is being freed: none of them goes on */
    bool is_abandoned; /* the end cannot wait for anything */
};

/* False when the process is not to run: *exit_code_out is what main returns, after the help, the
 * version or one line about what is wrong. kind is borrowed for life, argv too. */
MUST_CHECK bool daemon_read_arguments(struct daemon *d, const struct daemon_kind *kind, void *ctx,
                                      int argc, char **argv, int *exit_code_out);

/* daemon_open, daemon_load_app and daemon_start return 0, or what main returns, after one line on
 * standard error. */
MUST_CHECK int daemon_open(struct daemon *d);
/* What the app's handlers do goes through the host. */
MUST_CHECK int daemon_load_app(struct daemon *d, const struct app_host *host, void *host_ctx);
/* listen: where it listens, for others to read. */
MUST_CHECK int daemon_start(struct daemon *d, struct bytes listen);
/* Prints one line as a reason not to start, and frees it. Returns exit_code. */
int daemon_complain(const struct daemon *d, char *error, int exit_code);

/* False: it was abandoned, and main returns d->exit_code at once. */
MUST_CHECK bool daemon_run(struct daemon *d);
/* daemon_run returns. */
void daemon_quit(struct daemon *d);
/* The same, with exit code 1, and nothing is taken down any more. */
void daemon_abandon(struct daemon *d);

void daemon_hang_up(struct daemon *d);
void daemon_close(struct daemon *d);
/* Lets closed handles go, but not to the last: a handler of the app may still sleep for long. */
void daemon_deinit(struct daemon *d);

#endif
