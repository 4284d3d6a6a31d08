/* verdict.c - see verdict.h. on_cursor decides when to read the refusals. */
#include "common/bus/log/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/envelope.h"

/* A broker keeps KEPT_MAX bytes of a refused text, and about 1000 refusals. */
enum { POLL_MS = 10, KEPT_MAX = 1024, REFUSED_COUNT = 2000 };

struct verdict {
    struct bus *bus;
    struct message_id first, last;
    struct buf beginning;
    uint64_t until_ms;
    verdict_fn *fn;
    void *ctx;
    uv_timer_t timer;
};

static void on_timer_closed(uv_handle_t *handle) {
    struct verdict *v = container_of((uv_timer_t *)handle, struct verdict, timer);
    buf_deinit(&v->beginning);
    free(v);
}

static void end(struct verdict *v, enum verdict_kind kind, size_t refused, struct bytes reason) {
    v->fn(v->ctx, kind, refused, reason);
    uv_close((uv_handle_t *)&v->timer, on_timer_closed);
}

/* --- the refusals --- */

static struct bytes field(struct redisReply *row, const char *name) {
    struct redisReply *fields = reply_at(row, 1);
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2)
        if (bytes_equal_str(reply_bytes(reply_at(fields, i)), name))
            return reply_bytes(reply_at(fields, i + 1));
    return BYTES_NONE;
}

static bool is_ours(const struct verdict *v, struct redisReply *row) {
    struct bytes beginning = bytes_head(buf_bytes(&v->beginning), KEPT_MAX);
    return bytes_starts_with(field(row, "m"), beginning);
}

static void on_refused(void *ctx, struct redisReply *reply) {
    struct verdict *v = ctx;
    struct bytes reason = BYTES_NONE;
    size_t refused = 0;
    if (reply == NULL) {
        end(v, VERDICT_LOST, 0, BYTES_NONE);
        return;
    }
    for (size_t i = 0; i < reply_count(reply); i++) {
        if (!is_ours(v, reply_at(reply, i)))
            continue;
        reason = field(reply_at(reply, i), "reason");
        refused++;
    }
    end(v, refused > 0 ? VERDICT_REFUSED : VERDICT_TAKEN, refused, reason);
}

static void ask_refused(struct verdict *v) {
    char since[MESSAGE_ID_TEXT];
    struct command c = command_begin("XRANGE");
    command_text(&c, fleet_key(KEY_PUBLIC_REFUSED));
    command_text(&c, message_id_format((struct message_id){v->first.term, 0}, since));
    command_text(&c, "+");
    command_text(&c, "COUNT");
    command_number(&c, REFUSED_COUNT);
    bus_send(v->bus, BUS_FLEET, &c, on_refused, v);
}

/* --- the cursor --- */

static void on_poll(uv_timer_t *timer);

static void on_cursor(void *ctx, struct redisReply *reply) {
    struct verdict *v = ctx;
    struct message_id cursor = MESSAGE_ID_NONE;
    (void)message_id_parse(reply_bytes(reply), &cursor);
    if (reply == NULL)
        end(v, VERDICT_LOST, 0, BYTES_NONE);
    else if (message_id_compare(cursor, v->last) >= 0)
        ask_refused(v);
    else if (clock_ms() >= v->until_ms)
        end(v, VERDICT_WAITS, 0, BYTES_NONE);
    else
        MUST(uv_timer_start(&v->timer, on_poll, POLL_MS, 0) == 0);
}

static void on_poll(uv_timer_t *timer) {
    struct verdict *v = container_of(timer, struct verdict, timer);
    if (!bus_can_send(v->bus)) {
        end(v, VERDICT_LOST, 0, BYTES_NONE);
        return;
    }
    struct command c = command_begin("HGET");
    command_text(&c, fleet_key(KEY_PUBLIC_OWN));
    command_text(&c, "c");
    bus_send(v->bus, BUS_FLEET, &c, on_cursor, v);
}

void verdict_ask(struct bus *bus, const struct verdict_question *q, verdict_fn *fn, void *ctx) {
    struct verdict *v = mem_zalloc(sizeof(*v));
    *v =
        (struct verdict){.bus = bus, .until_ms = clock_ms() + q->patience_ms, .fn = fn, .ctx = ctx};
    if (!message_id_parse(q->first, &v->first) || !message_id_parse(q->last, &v->last))
        v->first = v->last = MESSAGE_ID_NONE;
    buf_append(&v->beginning, q->beginning);
    MUST(uv_timer_init(bus_loop(bus), &v->timer) == 0);
    MUST(uv_timer_start(&v->timer, on_poll, 0, 0) == 0);
}
