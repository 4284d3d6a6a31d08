/* control.c - see control.h. */
#include "tools/control.h"

#include "common/base/random.h"
#include "common/bus/bus_send.h"
#include "common/bus/notice.h"
#include "common/bus/redis/feed.h"
#include "common/bus/redis/link.h"
#include "common/bus/cluster/report.h"
#include "tools/tool.h"

static void on_push(void *ctx, struct redisReply *reply) {
    struct control *c = ctx;
    struct bytes kind = reply_bytes(reply_at(reply, 0));
    struct notice n;
    if (tool_is_refused(c->tool, "SUBSCRIBE", reply))
        return;
    if (bytes_equal(kind, BYTES_LIT("message"))) {
        if (notice_decode(reply_bytes(reply_at(reply, 2)), &n) && report_is_for(&n, c->token))
            c->events->on_report(c->ctx, n.report.id, !n.report.is_done, n.report.lines);
    } else if (bytes_equal(kind, BYTES_LIT("subscribe"))) {
        (void)feed_on_subscribed(c->feed, c->link, reply_bytes(reply_at(reply, 1)));
        if (!c->is_open) {
            c->is_open = true;
            c->events->on_open(c->ctx);
        }
    }
}

static void on_ready(void *ctx) {
    struct control *c = ctx;
    feed_on_ready(c->feed, c->link);
}

static void on_down(void *ctx, const char *why) {
    struct control *c = ctx;
    (void)why;
    feed_on_down(c->feed);
}

void control_open(struct control *c, struct tool *t, const struct control_events *events,
                  void *ctx) {
    static const struct link_events link_events = {on_ready, on_down, on_push};
    *c = (struct control){.tool = t, .events = events, .ctx = ctx, .feed = feed_new()};
    random_id(c->token);
    feed_subscribe(c->feed, NULL, bytes_str(fleet_channel(CHANNEL_CONTROL)));
    c->link = link_new(&t->loop, bus_url(t->bus), LINK_FEED, "control", &link_events, c);
    bus_watch(t->bus, c->link);
}

void control_close(struct control *c) {
    if (c->link == NULL)
        return;
    link_close(c->link);
    feed_free(c->feed);
    *c = (struct control){0};
}
