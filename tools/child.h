/*
 * child.h - a process that `up` runs: it is started, its lines are printed behind its name, it is
 * signalled, and at the end it is reaped.
 *
 *     gateway-1 | 2026-01-31T23:59:59.123Z info …
 *
 * It dies with us (PR_SET_PDEATHSIG) and has a process group of its own, so that Ctrl-C reaches
 * only us, and we choose the order in which the processes end. The struct is the caller's and must
 * outlive the loop.
 */
#ifndef SIGNALBOX_TOOLS_CHILD_H
#define SIGNALBOX_TOOLS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "common/base/must.h"

enum { CHILD_ARGUMENTS_MAX = 192, CHILD_NAME_MAX = 24 };

struct child {
    char name[CHILD_NAME_MAX];
    int colour;         /* 1 … 6, or 0 */
    const char *folder; /* to run in, or NULL; relative to ours */
    char *arguments[CHILD_ARGUMENTS_MAX + 1];
    int argument_count;
    pid_t pid; /* 0: not running */
};

/* Copies the text. The first argument is the program, which is searched for in PATH when it has no
 * slash. */
void child_add_argument(struct child *c, const char *text);
void child_add_option(struct child *c, const char *name, const char *value);
void child_deinit(struct child *c);

/* 0 or a negative errno. A program that cannot be run ends with status 127 and says so. */
MUST_CHECK int child_start(struct child *c, uv_loop_t *loop);
void child_signal(const struct child *c, int number);
static inline bool child_is_running(const struct child *c) {
    return c->pid != 0;
}
/* Whether it has ended; then pid becomes 0, and *status_out is that of waitpid. */
bool child_reap(struct child *c, int *status_out);
/* "exit status 1", "signal 11 (Segmentation fault)". */
void child_describe_end(int status, char text_out[80]);

/* Prints a line of our own among those of the children. */
void child_say(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
