/*
 * report.h - what a process answers to a notice that asks for something (reload, drain), and what
 * it logs when a signal asked for the same. The notice is a line for the outcome and the report's
 * lines, "LF error <text>" or "LF restart <text>" each (common/bus/notices.def).
 *
 * The token is chosen by the one that asks; a notice without one is not answered.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_REPORT_H
#define SIGNALBOX_BUS_CLUSTER_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

struct bus;
struct notice;

enum { REPORT_LINES_MAX = 64, REPORT_LINE_MAX = 1000 };

struct report {
    bool has_failed;
    size_t count;
    struct buf lines; /* "LF <kind> <text>" each */
};

/* It could not be done. */
void report_error(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);
/* Everything was done except this, which takes a restart of the process. */
void report_restart(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);
void report_deinit(struct report *r);

/* A line each: errors as errors, what needs a restart as a warning. */
void report_log(const struct report *r, const char *module);
/* Answers a notice; an empty token is not answered. */
void report_send(const struct report *r, struct bus *bus, struct bytes token);

/* --- the other side */

struct report_line {
    struct bytes kind, text; /* "error" or "restart" */
};

/* Whether a notice is a report of a process for the one that asked with this token. */
bool report_is_for(const struct notice *n, const char *token);
/* Takes the next line off *rest; false when there is none. */
bool report_next(struct bytes *rest, struct report_line *line_out);

#endif
