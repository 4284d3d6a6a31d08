/* tick.c - see tick.h. */
#include "common/bus/log/tick.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/append.h"
#include "common/bus/log/envelope.h"

unsigned tick_partition(struct bus *bus, const char *schedule) {
    struct buf key = {0};
    buf_printf(&key, "schedule:%s", schedule);
    unsigned partition = partition_of(buf_bytes(&key), bus_partitions(bus));
    buf_deinit(&key);
    return partition;
}

/* --- the clock --- */

struct clock_question {
    tick_clock_fn *fn;
    void *ctx;
};

static void on_clock(void *ctx, struct redisReply *reply) {
    struct clock_question *a = ctx;
    uint64_t seconds = 0, micros = 0;
    bool is_good = bytes_to_u64(reply_bytes(reply_at(reply, 0)), &seconds) &&
                   bytes_to_u64(reply_bytes(reply_at(reply, 1)), &micros);
    struct bytes error = reply_is_error(reply, NULL) ? reply_bytes(reply) : BYTES_NONE;
    a->fn(a->ctx, is_good ? 0 : -EIO, seconds * 1000 + micros / 1000, error);
    free(a);
}

void tick_ask_clock(struct bus *bus, tick_clock_fn *fn, void *ctx) {
    struct command c = command_begin("TIME");
    struct clock_question *a = mem_alloc(sizeof(*a));
    *a = (struct clock_question){fn, ctx};
    bus_send(bus, BUS_FLEET, &c, on_clock, a);
}

/* --- a tick --- */

struct adding {
    tick_fn *fn;
    void *ctx;
    time_t tick;
};

static void on_added(void *ctx, struct redisReply *reply) {
    struct adding *a = ctx;
    bool is_refused = reply_is_error(reply, NULL);
    int status = is_refused ? -EIO : reply_number(reply, -1) < 0 ? -EAGAIN : 0;
    a->fn(a->ctx, status, a->tick, is_refused ? reply_bytes(reply) : BYTES_NONE);
    free(a);
}

static void add_seconds(struct command *c, time_t seconds) {
    char text[24];
    snprintf(text, sizeof(text), "%020" PRId64, (int64_t)seconds);
    command_text(c, text);
}

void tick_add(struct bus *bus, const struct tick *t, tick_fn *fn, void *ctx) {
    struct buf source = {0}, blob = {0};
    struct entry e = {.kind = ENTRY_TICK,
                      .ts_ms = (uint64_t)t->at * 1000,
                      .name = bytes_str(t->schedule),
                      .code = (int64_t)t->at};
    unsigned partition = tick_partition(bus, t->schedule);
    entry_encode(&blob, &e);
    buf_printf(&source, "c:%s", t->schedule);
    struct command c =
        append_begin(SCRIPT_append_tick, &(struct append){.partition = partition,
                                                          .source = buf_bytes(&source),
                                                          .limit = APPEND_LIMIT_BROKER});
    add_seconds(&c, t->at);
    add_seconds(&c, t->next);
    command_bytes(&c, buf_bytes(&blob));
    buf_deinit(&source);
    buf_deinit(&blob);
    struct adding *a = mem_alloc(sizeof(*a));
    *a = (struct adding){fn, ctx, t->at};
    bus_send(bus, partition, &c, on_added, a);
}
