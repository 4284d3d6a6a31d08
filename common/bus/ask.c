/* ask.c - see ask.h. */
#include "common/bus/ask.h"

#include <stdlib.h>

#include "common/bus/bus_internal.h"
#include "common/bus/bus_send.h"

struct asking {
    struct until_answer until_answer; /* first, for the bus frees it by this */
    ask_fn *fn;
    void *ctx;
    enum { VALUE, SECOND, CLOCK } where; /* the value: the reply, its second element, a time */
};

static void on_reply(void *ctx, struct redisReply *reply) {
    struct asking *a = ctx;
    struct ask_answer answer = {.is_lost = reply == NULL,
                                .is_refused = reply_is_error(reply, NULL)};
    const struct redisReply *value =
        a->where == VALUE || answer.is_refused ? reply : reply_at(reply, 1);
    answer.text = reply_bytes(value);
    answer.number = reply_number(value, 0);
    if (a->where == CLOCK)
        answer.number = reply_number(reply_at(reply, 0), 0) * 1000 + answer.number / 1000;
    LIST_REMOVE(&a->until_answer, link);
    a->fn(a->ctx, &answer);
    free(a);
}

static void ask(struct bus *bus, unsigned partition, struct command *c, struct asking asking) {
    struct asking *a = mem_alloc(sizeof(*a));
    *a = asking;
    LIST_INSERT_HEAD(&bus->until_answers, &a->until_answer, link);
    bus_send(bus, partition, c, on_reply, a);
}

void ask_info(struct bus *bus, const char *section, ask_fn *fn, void *ctx) {
    struct command c = command_begin("INFO");
    command_text(&c, section);
    ask(bus, BUS_FLEET, &c, (struct asking){.fn = fn, .ctx = ctx, .where = VALUE});
}

void ask_config(struct bus *bus, const char *setting, ask_fn *fn, void *ctx) {
    struct command c = command_begin("CONFIG");
    command_text(&c, "GET");
    command_text(&c, setting);
    ask(bus, BUS_FLEET, &c, (struct asking){.fn = fn, .ctx = ctx, .where = SECOND});
}

void ask_clock(struct bus *bus, ask_fn *fn, void *ctx) {
    struct command c = command_begin("TIME");
    ask(bus, BUS_FLEET, &c, (struct asking){.fn = fn, .ctx = ctx, .where = CLOCK});
}

/* No rule has an empty name. */
void ask_write(struct bus *bus, ask_fn *fn, void *ctx) {
    struct command c = command_begin("HDEL");
    command_text(&c, fleet_key(KEY_RULES));
    command_text(&c, "");
    ask(bus, BUS_FLEET, &c, (struct asking){.fn = fn, .ctx = ctx, .where = VALUE});
}

void ask_owned(struct bus *bus, ask_fn *fn, void *ctx) {
    struct buf key = {0};
    struct command c = command_begin("EXISTS");
    for (unsigned p = 0; p < bus_partitions(bus); p++)
        command_bytes(&c, key_of(&key, p, KEY_LEASE, BYTES_NONE));
    buf_deinit(&key);
    ask(bus, BUS_FLEET, &c, (struct asking){.fn = fn, .ctx = ctx, .where = VALUE});
}

void ask_connections(struct bus *bus, unsigned partition, const char *gateway, ask_fn *fn,
                     void *ctx) {
    struct buf key = {0};
    struct command c = command_begin("SCARD");
    command_bytes(&c, key_of(&key, partition, KEY_GATEWAY, bytes_str(gateway)));
    buf_deinit(&key);
    ask(bus, partition, &c, (struct asking){.fn = fn, .ctx = ctx, .where = VALUE});
}
