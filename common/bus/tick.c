/* tick.c - see tick.h. */
#include "common/bus/tick.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/bus/envelope.h"
#include "common/bus/link.h"
#include "common/bus/partition.h"
#include "common/bus/scripts.h"

enum { STREAM_LIMIT = 1000000 };

struct asking {
    struct bus *bus;
    tick_fn *fn;
    void *ctx;
    time_t tick; /* being added, or -1 */
};

unsigned tick_partition(struct bus *bus, const char *schedule) {
    struct buf key = {0};
    buf_printf(&key, "schedule:%s", schedule);
    unsigned partition = partition_of(buf_bytes(&key), bus_partitions(bus));
    buf_deinit(&key);
    return partition;
}

static void add_source(struct command *c, const char *schedule) {
    struct buf source = {0};
    buf_printf(&source, "c:%s", schedule);
    command_bytes(c, buf_bytes(&source));
    buf_deinit(&source);
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct asking *a = ctx;
    uint64_t mark;
    time_t last = a->tick;
    if (last == -1 && bytes_to_u64(reply_bytes(reply), &mark))
        last = (time_t)mark;
    bool is_good = reply != NULL && !reply_is_error(reply, NULL);
    if (reply_is_error(reply, NULL))
        bus_refused(a->bus, "in.lua of a schedule", reply);
    a->fn(a->ctx, is_good ? 0 : -EAGAIN, last);
    free(a);
}

static void send_asking(struct bus *bus, struct command *c, time_t tick, tick_fn *fn, void *ctx) {
    struct asking *a = mem_alloc(sizeof(*a));
    *a = (struct asking){bus, fn, ctx, tick};
    link_send(bus_commands(bus), c, on_answer, a);
}

void tick_ask(struct bus *bus, const char *schedule, tick_fn *fn, void *ctx) {
    struct buf key = {0};
    struct command c = command_begin("HGET");
    command_bytes(&c, key_of(&key, tick_partition(bus, schedule), "src", BYTES_NONE));
    add_source(&c, schedule);
    buf_deinit(&key);
    send_asking(bus, &c, -1, fn, ctx);
}

void tick_add(struct bus *bus, const char *schedule, time_t tick, tick_fn *fn, void *ctx) {
    unsigned partition = tick_partition(bus, schedule);
    struct buf key = {0}, blob = {0};
    char seq[24];
    struct entry e = {.kind = ENTRY_TICK,
                      .ts_ms = clock_wall_ms(),
                      .name = bytes_str(schedule),
                      .code = (int64_t)tick};
    entry_encode(&blob, &e);
    snprintf(seq, sizeof(seq), "%020" PRId64, (int64_t)tick);
    struct command c = command_script(SCRIPT_in, 2);
    command_bytes(&c, key_of(&key, partition, "in", BYTES_NONE));
    command_bytes(&c, key_of(&key, partition, "src", BYTES_NONE));
    add_source(&c, schedule);
    command_number(&c, STREAM_LIMIT);
    command_text(&c, seq);
    command_bytes(&c, buf_bytes(&blob));
    buf_deinit(&key);
    buf_deinit(&blob);
    send_asking(bus, &c, tick, fn, ctx);
}
