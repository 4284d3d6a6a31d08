/* cluster.c - see cluster.h. */
#include "gateway/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/random.h"
#include "common/bus/bus.h"
#include "common/bus/log/follower.h"
#include "common/bus/cluster/registry.h"
#include "gateway/gateway.h"
#include "gateway/conn/identity.h"
#include "gateway/conn/ws.h"

enum { NOTICED_MS = 5000, WINDOW = 512 };

/* ---- restoring registrations */

struct restore {
    struct cluster *cluster;
    uint64_t number;
    struct message_id stood_at; /* its Name's log here, when it was asked */
};

static void go_on(struct cluster *c);

static void on_restored(void *ctx, enum registered result, struct message_id position) {
    struct restore *one = ctx;
    struct cluster *c = one->cluster;
    struct ws *ws = clients_by_number(&c->gateway->clients, one->number);
    if (result != REGISTERED_FAILED && ws != NULL && ws->entry != NULL)
        follow_compare(ws->entry->follow, one->stood_at, position);
    free(one);
    c->in_flight--;
    if (result == REGISTERED_FAILED && ws != NULL) {
        ws->restored = c->round - 1;
        c->has_to_wait = true;
    }
    if (result == REGISTERED_ELSEWHERE && ws != NULL) {
        ws_forget_registration(ws);
        ws_close(ws, CLOSE_REPLACED);
    }
    go_on(c);
}

static void restore(struct cluster *c, struct ws *ws) {
    struct restore *one = mem_zalloc(sizeof(*one));
    *one = (struct restore){.cluster = c, .number = ws->who->number};
    if (ws->entry != NULL)
        one->stood_at = follow_position(ws->entry->follow);
    struct registration what = {.name = ws->who->name,
                                .client_id = ws->who->client_id,
                                .value = ws->who->value,
                                .is_restore = true};
    ws->restored = c->round;
    c->in_flight++;
    registry_register(c->gateway->registry, &what, on_restored, one);
}

/* Once along all connections. One that moves to a place already passed has been registered lately
 * or is found by the next round; so the walk ends with another look from the start. */
static struct ws *next_to_restore(struct cluster *c) {
    struct conns *conns = &c->gateway->conns;
    for (; c->cursor < conns->count; c->cursor++) {
        struct ws *ws = ws_of(conns->all[c->cursor]);
        if (ws != NULL && ws->is_registered && ws->restored < c->round)
            return ws;
    }
    return NULL;
}

static void go_on(struct cluster *c) {
    struct ws *ws;
    while (c->is_restoring && !c->has_to_wait && c->in_flight < WINDOW &&
           bus_may_register(c->gateway->bus)) {
        ws = next_to_restore(c);
        if (ws == NULL) {
            c->cursor = 0;
            ws = next_to_restore(c);
        }
        if (ws == NULL && c->in_flight > 0)
            return; /* one of them may be refused */
        if (ws == NULL) {
            c->is_restoring = false;
            reconcile_start(&c->gateway->reconcile);
            log_info("cluster", "restored_registrations round=%llu", (unsigned long long)c->round);
            return;
        }
        restore(c, ws);
    }
}

static void begin_round(struct cluster *c) {
    c->round++;
    c->cursor = 0;
    c->is_restoring = true;
    go_on(c);
}

/* ---- Redis may lose data without losing a connection (FLUSHALL, an older snapshot): now and then
 * one registration is looked up; is it gone, the others may be, too. */

static void on_probed(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct restore *one = ctx;
    struct cluster *c = one->cluster;
    struct ws *ws = clients_by_number(&c->gateway->clients, one->number);
    (void)rows;
    free(one);
    if (status < 0 || count > 0 || ws == NULL || !ws->is_registered || c->is_restoring)
        return;
    log_warn("cluster", "missed_registration id=%s name=%s", LOG_TEXT(ws->who->client_id),
             LOG_TEXT(ws->who->name));
    begin_round(c);
}

void cluster_probe(struct cluster *c) {
    struct conns *conns = &c->gateway->conns;
    c->has_to_wait = false;
    go_on(c);
    if (conns->count == 0 || c->is_restoring || !bus_can_send(c->gateway->bus))
        return;
    struct ws *ws = ws_of(conns->all[random_below(conns->count)]);
    if (ws == NULL || !ws->is_registered)
        return;
    struct restore *one = mem_zalloc(sizeof(*one));
    *one = (struct restore){.cluster = c, .number = ws->who->number};
    registry_find(c->gateway->registry, ws->who->name, ws->who->client_id, on_probed, one);
}

/* ---- the bus */

static void on_commands(void *ctx) {
    struct cluster *c = ctx;
    struct gateway *g = c->gateway;
    const char *run_id = bus_run_id(g->bus);
    bool is_other = c->was_ready && strcmp(run_id, c->run_id) != 0;
    bool was_long = c->was_ready && uv_now(g->loop) - c->lost_ms > NOTICED_MS;
    snprintf(c->run_id, sizeof(c->run_id), "%s", run_id);
    c->was_ready = true;
    if (is_other || was_long)
        begin_round(c);
    else
        go_on(c);
}

/* Redis lost its data under standing connections. */
static void on_forgotten(void *ctx) {
    begin_round(ctx);
}

static void on_commands_lost(void *ctx) {
    struct cluster *c = ctx;
    c->lost_ms = uv_now(c->gateway->loop);
    log_info("cluster", "lost_redis reason=%s", LOG_TEXT(bytes_str(bus_trouble(c->gateway->bus))));
}

static void close_buried(struct conn *conn, void *ctx) {
    struct ws *ws = ws_of(conn);
    (void)ctx;
    if (ws == NULL || ws->who->is_local)
        return;
    ws_forget_registration(ws);
    ws_close(ws, CLOSE_BURIED);
}

static void on_buried(void *ctx) {
    struct cluster *c = ctx;
    log_warn("cluster", "buried clients=%zu", c->gateway->clients.count);
    conns_each(&c->gateway->conns, close_buried, NULL);
}

static const struct bus_events bus_events = {
    .on_commands = on_commands,
    .on_commands_lost = on_commands_lost,
    .on_buried = on_buried,
    .on_forgotten = on_forgotten,
};

void cluster_init(struct cluster *c, struct gateway *g) {
    *c = (struct cluster){.gateway = g};
    bus_listen(g->bus, &bus_events, c);
}
