/* tombstones.c - see tombstones.h. */
#include "common/bus/cluster/tombstones.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/bus/bus_send.h"

struct question {
    tombstones_fn *fn;
    tombstones_known_fn *known_fn;
    void *ctx;
    unsigned partition;
    char gateway[40];
};

static struct question *question_new(const char *gateway, unsigned partition, void *ctx) {
    struct question *q = mem_zalloc(sizeof(*q));
    q->ctx = ctx;
    q->partition = partition;
    snprintf(q->gateway, sizeof(q->gateway), "%s", gateway);
    return q;
}

static void add_tomb(struct command *c, const char *gateway) {
    struct buf key = {0};
    buf_printf(&key, "%s%s", fleet_key(KEY_DEAD), gateway);
    command_bytes(c, buf_bytes(&key));
    buf_deinit(&key);
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct question *q = ctx;
    q->fn(q->ctx, q->gateway, q->partition, reply_number(reply, 0) == 1);
    free(q);
}

void tombstones_bury(struct bus *bus, const char *gateway, const char *counter, tombstones_fn *fn,
                     void *ctx) {
    struct question *q = question_new(gateway, TOMBSTONES_ALL, ctx);
    struct command c = command_script(SCRIPT_declare_dead, 2);
    command_text(&c, fleet_key(KEY_GATEWAYS));
    add_tomb(&c, gateway);
    command_text(&c, gateway);
    command_text(&c, counter);
    q->fn = fn;
    bus_send(bus, BUS_FLEET, &c, on_answer, q);
}

void tombstones_ask(struct bus *bus, const char *gateway, unsigned partition, tombstones_fn *fn,
                    void *ctx) {
    struct question *q = question_new(gateway, partition, ctx);
    struct command c = command_begin("EXISTS");
    add_tomb(&c, gateway);
    q->fn = fn;
    bus_send(bus, BUS_FLEET, &c, on_answer, q);
}

static void on_known(void *ctx, struct redisReply *reply) {
    struct question *q = ctx;
    for (size_t i = 0; i < reply_count(reply); i++)
        q->known_fn(q->ctx, q->partition, reply_bytes(reply_at(reply, i)));
    free(q);
}

void tombstones_list_known(struct bus *bus, unsigned partition, tombstones_known_fn *fn,
                           void *ctx) {
    struct question *q = question_new("", partition, ctx);
    struct buf key = {0};
    struct command c = command_begin("SMEMBERS");
    command_bytes(&c, key_of(&key, partition, "gws", BYTES_NONE));
    buf_deinit(&key);
    q->known_fn = fn;
    bus_send(bus, partition, &c, on_known, q);
}
