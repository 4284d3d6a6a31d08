/*
 * report.h - what a process answers to a notice on the control channel ("reload <token>",
 * "drain …"), and what it logs when the same was asked by a signal.
 *
 *     report <token> <id> done|failed [LF error <text>] [LF restart <text>] …
 *
 * The token is whatever the one that asks made up; a notice without one is not answered.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_REPORT_H
#define SIGNALBOX_BUS_CLUSTER_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

struct rules;

enum { REPORT_LINES_MAX = 64, REPORT_LINE_MAX = 1000 };

struct report {
    bool has_failed;
    size_t count;
    struct buf lines; /* "LF <kind> <text>" each */
};

/* It could not be done. */
void report_error(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);
/* It was done but for this, which a restart of the process takes up. */
void report_restart(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);
void report_deinit(struct report *r);

/* A line each: errors as errors, what needs a restart as a warning. */
void report_log(const struct report *r, const char *module);
/* Answers a notice; an empty token is not answered. */
void report_send(const struct report *r, struct rules *rules, struct bytes token, const char *id);

/* --- the other side */

struct report_line {
    struct bytes kind, text; /* "error" or "restart" */
};

/* Splits a notice; false when it is no report for this token. *rest_out: the lines. */
bool report_read(struct bytes notice, const char *token, struct bytes *id_out, bool *has_failed_out,
                 struct bytes *rest_out);
/* Takes the next line off *rest; false when there is none. */
bool report_next(struct bytes *rest, struct report_line *line_out);

#endif
