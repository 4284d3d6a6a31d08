/*
 * tool.h - what every verb is given: the settings, its arguments, a loop, and the way to Redis.
 *
 *     if (!tool_connect(t))
 *         return TOOL_USAGE;
 *     return tool_run(t, on_ready, ctx);    on_ready is called once Redis is reached,
 *                                           tool_end(t, status) makes tool_run return
 */
#ifndef SIGNALBOX_TOOLS_TOOL_H
#define SIGNALBOX_TOOLS_TOOL_H

#include <stdbool.h>
#include <uv.h>

#include "common/base/bytes.h"
#include "common/base/must.h"
#include "common/base/settings.h"

struct buf;
struct bus;
struct registry;
struct verb;

enum { TOOL_URL_MAX = 640, TOOL_PASSED_MAX = 64 };

struct tool {
    const struct verb *verb;
    struct settings settings;
    char **arguments; /* NULL past the last */
    int argument_count;
    bool is_json;
    bool is_redis_given; /* by --redis, not by the environment */
    int64_t timeout_ms;
    const char *passed[TOOL_PASSED_MAX]; /* VERB_DAEMON_SETTINGS: name, value, name, value … */
    int passed_count;
    uv_loop_t loop;
    struct bus *bus;
    struct registry *registry;
    /* Private to tool.c from here. */
    char redis_url[TOOL_URL_MAX];
    uv_timer_t timer;
    void (*on_ready)(void *ctx);
    void *ctx;
    bool is_ready;
    int exit_code;
};

/* Prints one line on standard error, behind the names of the program and the verb. Texts that
 * others chose are safe in it (table_line). Returns false, with which a check can end. */
bool tool_complain(const struct tool *t, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makes the file with a random secret, unless it is there (secret_file.h). 1 made, 0 it was there,
 * -1 after a line that names the file behind `before`. */
MUST_CHECK int tool_make_secret(const struct tool *t, const char *before, const char *path);

/* The value first given for a setting that is passed on, or NULL. */
const char *tool_passed(const struct tool *t, const char *name);

/* Finds out which Redis to use and makes the bus and a registry on it. False after a line that
 * says what is wrong with the URL. */
MUST_CHECK bool tool_connect(struct tool *t);
/* Returns the exit code: TOOL_FAILED, after one line, when Redis is not reached within
 * --timeout. */
MUST_CHECK int tool_run(struct tool *t, void (*on_ready)(void *ctx), void *ctx);
/* The same without Redis: on_ready is called on the first turn. */
MUST_CHECK int tool_run_offline(struct tool *t, void (*on_ready)(void *ctx), void *ctx);
void tool_end(struct tool *t, int exit_code);
/* Whether the processes believe what this one asks of them. False after a line that says that the
 * fleet has another cluster secret; then it has ended. */
MUST_CHECK bool tool_is_believed(struct tool *t);
/* When something under way has failed, says what Redis refuses, or that the connection broke, and
 * ends. Returns has_failed. */
bool tool_ends_lost(struct tool *t, bool has_failed);
/* Redis answers a command with this error: says so and ends. */
void tool_end_refused(struct tool *t, const char *command, struct bytes error);
/* Closes what tool_connect made; the loop turns until it is empty. */
void tool_close(struct tool *t);

/* Appends `before`, as in `,"name":`, then the text in quotes. */
void tool_append_json(struct buf *out, const char *before, struct bytes text);
/* Prints the line and a line feed on standard output, and frees the line. */
void tool_print(struct buf *line);
/* Flushes standard output. False when nobody reads it any more. */
bool tool_flush(void);

#endif
