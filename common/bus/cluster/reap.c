/* reap.c - see reap.h. Read reap_start, then on_page. */
#include "common/bus/cluster/reap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/log.h"
#include "common/bus/bus_send.h"
#include "common/bus/cluster/registry_member.h"

enum { DEAD_SECONDS = 86400 /* as declare_dead.lua has it */ };

/* --- whether a gateway is dead --- */

struct reap_question {
    reap_dead_fn *dead_fn;
    reap_gateway_fn *gateway_fn;
    void *ctx;
    unsigned partition;
    char gateway[REAP_GATEWAY_MAX];
};

static struct reap_question *question_new(const char *gateway, unsigned partition, void *ctx) {
    struct reap_question *q = mem_zalloc(sizeof(*q));
    q->ctx = ctx;
    q->partition = partition;
    snprintf(q->gateway, sizeof(q->gateway), "%s", gateway);
    return q;
}

static void add_dead_key(struct command *c, const char *gateway) {
    struct buf key = {0};
    buf_printf(&key, "%s%s", fleet_key(KEY_DEAD), gateway);
    command_bytes(c, buf_bytes(&key));
    buf_deinit(&key);
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct reap_question *q = ctx;
    q->dead_fn(q->ctx, q->gateway, q->partition, reply_number(reply, 0) == 1);
    free(q);
}

void reap_declare_dead(struct bus *bus, const char *gateway, const char *counter, reap_dead_fn *fn,
                       void *ctx) {
    struct reap_question *q = question_new(gateway, REAP_ALL_PARTITIONS, ctx);
    struct command c = command_script(SCRIPT_declare_dead, 2);
    command_text(&c, fleet_key(KEY_GATEWAYS));
    add_dead_key(&c, gateway);
    command_text(&c, gateway);
    command_text(&c, counter);
    q->dead_fn = fn;
    bus_send(bus, BUS_FLEET, &c, on_answer, q);
}

void reap_ask_dead(struct bus *bus, const char *gateway, unsigned partition, reap_dead_fn *fn,
                   void *ctx) {
    struct reap_question *q = question_new(gateway, partition, ctx);
    struct command c = command_begin("EXISTS");
    add_dead_key(&c, gateway);
    q->dead_fn = fn;
    bus_send(bus, BUS_FLEET, &c, on_answer, q);
}

static void on_gateways(void *ctx, struct redisReply *reply) {
    struct reap_question *q = ctx;
    for (size_t i = 0; i < reply_count(reply); i++)
        q->gateway_fn(q->ctx, q->partition, reply_bytes(reply_at(reply, i)));
    free(q);
}

void reap_list_gateways(struct bus *bus, unsigned partition, reap_gateway_fn *fn, void *ctx) {
    struct reap_question *q = question_new("", partition, ctx);
    struct buf key = {0};
    struct command c = command_begin("SMEMBERS");
    command_bytes(&c, key_of(&key, partition, KEY_KNOWN_GATEWAYS, BYTES_NONE));
    buf_deinit(&key);
    q->gateway_fn = fn;
    bus_send(bus, partition, &c, on_gateways, q);
}

/* --- one gateway in one partition --- */

struct reap {
    LIST_ENTRY(reap) link;
    struct bus *bus;
    unsigned partition;
    char gateway[REAP_GATEWAY_MAX];
    char cursor[REGISTRY_CURSOR_SIZE];
    size_t pending; /* disc calls without answer */
    size_t removed;
    bool is_broken;
};

struct reaps {
    struct bus *bus;
    LIST_HEAD(, reap) running;
};

static struct bytes set_key(const struct reap *r, struct buf *out) {
    return key_of(out, r->partition, KEY_GATEWAY, bytes_str(r->gateway));
}

static void end(struct reap *r) {
    LIST_REMOVE(r, link);
    free(r);
}

/* Whether to go on; frees the reap otherwise. */
static bool is_good(struct reap *r, const struct redisReply *reply) {
    if (reply != NULL && !reply_is_error(reply, NULL))
        return true;
    if (reply != NULL)
        bus_refused(r->bus, "reaping", reply);
    log_warn("reap", "broke_off gateway=%s partition=%u", r->gateway, r->partition);
    end(r);
    return false;
}

static void on_forgotten(void *ctx, struct redisReply *reply) {
    struct reap *r = ctx;
    if (!is_good(r, reply))
        return;
    if (r->removed > 0)
        log_info("reap", "reaped gateway=%s partition=%u connections=%zu", r->gateway, r->partition,
                 r->removed);
    end(r);
}

static void forget(struct reap *r) {
    struct buf key = {0};
    struct command c = command_begin("SREM");
    command_bytes(&c, key_of(&key, r->partition, KEY_KNOWN_GATEWAYS, BYTES_NONE));
    command_text(&c, r->gateway);
    buf_deinit(&key);
    bus_send(r->bus, r->partition, &c, on_forgotten, r);
}

static void scan(struct reap *r);

static void page_done(struct reap *r) {
    if (r->pending > 0)
        return;
    if (r->is_broken)
        end(r);
    else if (strcmp(r->cursor, "0") == 0)
        forget(r);
    else
        scan(r);
}

static void on_removed(void *ctx, struct redisReply *reply) {
    struct reap *r = ctx;
    r->pending--;
    r->is_broken = r->is_broken || reply == NULL || reply_is_error(reply, NULL);
    if (reply_is_error(reply, NULL))
        bus_refused(r->bus, "unregister.lua", reply);
    r->removed += reply_number(reply, 0) == 1;
    page_done(r);
}

static void remove_row(void *ctx, const struct registry_row *row) {
    struct reap *r = ctx;
    struct command c = registry_member_remove(r->bus, r->partition, bytes_str(r->gateway), row,
                                              BYTES_LIT("lost:1006:gateway"));
    r->pending++;
    bus_send(r->bus, r->partition, &c, on_removed, r);
}

static void on_page(void *ctx, struct redisReply *reply) {
    struct reap *r = ctx;
    if (!is_good(r, reply))
        return;
    r->is_broken = !registry_members_page(reply, r->cursor, remove_row, r) || r->is_broken;
    page_done(r);
}

static void scan(struct reap *r) {
    struct command c = registry_members_scan(r->partition, bytes_str(r->gateway), r->cursor);
    bus_send(r->bus, r->partition, &c, on_page, r);
}

static void on_fenced(void *ctx, struct redisReply *reply) {
    struct reap *r = ctx;
    if (is_good(r, reply))
        scan(r);
}

static bool is_running(const struct reaps *all, unsigned partition, struct bytes gateway) {
    struct reap *r;
    LIST_FOREACH (r, &all->running, link)
        if (r->partition == partition && bytes_equal_str(gateway, r->gateway))
            return true;
    return false;
}

void reap_start(struct reaps *all, unsigned partition, struct bytes gateway) {
    if (is_running(all, partition, gateway))
        return;
    struct reap *r = mem_zalloc(sizeof(*r));
    struct buf key = {0};
    *r = (struct reap){.bus = all->bus, .partition = partition, .cursor = "0"};
    snprintf(r->gateway, sizeof(r->gateway), "%.*s", BYTES_FMT(gateway));
    LIST_INSERT_HEAD(&all->running, r, link);
    struct command c = command_script(SCRIPT_fence_gateway, 1);
    command_bytes(&c, set_key(r, &key));
    command_number(&c, DEAD_SECONDS);
    buf_deinit(&key);
    bus_send(r->bus, r->partition, &c, on_fenced, r);
}

struct reaps *reaps_new(struct bus *bus) {
    struct reaps *all = mem_zalloc(sizeof(*all));
    all->bus = bus;
    LIST_INIT(&all->running);
    return all;
}

void reaps_free(struct reaps *all) {
    if (all == NULL)
        return;
    while (!LIST_EMPTY(&all->running))
        end(LIST_FIRST(&all->running));
    free(all);
}
