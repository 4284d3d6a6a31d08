/* control.c - see control.h. */
#include "tools/control.h"

#include "common/base/random.h"
#include "common/bus/bus.h"
#include "common/bus/notice.h"
#include "common/bus/redis/feed.h"
#include "common/bus/cluster/report.h"
#include "tools/tool.h"

static void on_subscribed(void *ctx) {
    struct control *c = ctx;
    if (c->is_open)
        return;
    c->is_open = true;
    c->events->on_open(c->ctx);
}

static void on_notice(void *ctx, struct bytes text) {
    struct control *c = ctx;
    struct notice n;
    if (notice_read(c->tool->bus, text, &n) && report_is_for(&n, c->token))
        c->events->on_report(c->ctx, n.report.id, !n.report.is_done, n.report.lines);
}

static void on_refused(void *ctx, struct bytes error) {
    tool_end_refused(((struct control *)ctx)->tool, "SUBSCRIBE", error);
}

void control_open(struct control *c, struct tool *t, const struct control_events *events,
                  void *ctx) {
    static const struct channel_events channel_events = {on_subscribed, on_notice, on_refused};
    if (!tool_is_believed(t))
        return;
    *c = (struct control){.tool = t, .events = events, .ctx = ctx};
    random_id(c->token);
    bus_open_feed(t->bus);
    notice_listen(t->bus, &channel_events, c);
}

void control_close(struct control *c) {
    if (c->tool == NULL)
        return;
    notice_listen_end(c->tool->bus);
    *c = (struct control){0};
}
