/* backlog.c - see backlog.h. */
#include "common/bus/backlog.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/metrics.h"
#include "common/bus/bus_send.h"

enum { ASK_EVERY = 256 };

void backlog_init(struct backlog *b, struct bus *bus) {
    *b = (struct backlog){.bus = bus};
    trouble_init(&b->trouble, bus_troubles(bus), TROUBLE_backlog, "");
}

void backlog_deinit(struct backlog *b) {
    trouble_clear(&b->trouble);
}

static void on_length(void *ctx, struct redisReply *reply) {
    struct backlog *b = ctx;
    char why[64];
    if (reply == NULL || reply_is_error(reply, NULL))
        return; /* a user that may not ask: others see it */
    b->length = reply_number(reply, 0);
    metrics_set(METRIC_public_backlog, b->length);
    snprintf(why, sizeof(why), "%" PRId64 " of %d", b->length, BACKLOG_MAX);
    if (b->length > BACKLOG_MAX / 2)
        trouble_raise(&b->trouble, bytes_str(why));
    else
        trouble_clear(&b->trouble);
}

void backlog_ask(struct backlog *b) {
    struct command c = command_begin("XLEN");
    command_text(&c, fleet_key(KEY_PUBLIC_SEND));
    b->sent = 0;
    bus_send(b->bus, BUS_FLEET, &c, on_length, b);
}

void backlog_note_sent(struct backlog *b) {
    if (++b->sent >= ASK_EVERY)
        backlog_ask(b);
}
