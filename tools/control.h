/*
 * control.h - the reports with which processes answer a notice (common/bus/notice.h). The
 * subscription is confirmed before the notice goes out, and each tool has a token of its own, so
 * that two tools that run at the same time do not count each other's answers.
 */
#ifndef SIGNALBOX_TOOLS_CONTROL_H
#define SIGNALBOX_TOOLS_CONTROL_H

#include <stdbool.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

struct tool;

struct control_events {
    /* Notices may be sent. */
    void (*on_open)(void *ctx);
    /* lines: for report_next. */
    void (*on_report)(void *ctx, struct bytes id, bool has_failed, struct bytes lines);
};

struct control {
    struct tool *tool;
    const struct control_events *events;
    void *ctx;
    bool is_open;
    char token[17];
};

/* To be called once Redis is reached. Ends the tool when it is not believed. events and ctx are
 * borrowed until control_close. */
void control_open(struct control *c, struct tool *t, const struct control_events *events,
                  void *ctx);
/* Legal also if it was never opened. */
void control_close(struct control *c);

#endif
