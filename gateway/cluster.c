/* cluster.c - see cluster.h. */
#include "gateway/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/log/follower.h"
#include "common/bus/cluster/registry.h"
#include "gateway/gateway.h"
#include "gateway/session/client.h"

enum { NOTICED_MS = 5000, WINDOW = 512 };

/* ---- restoring registrations */

struct restore {
    struct cluster *cluster;
    uint64_t number;
    struct message_id stood_at; /* its Name's log here, when it was asked */
};

static void go_on(struct cluster *c);

/* Those that are still to be restored stay in front. */
static void set_restored(struct cluster *c, struct client *client, uint64_t round) {
    struct clients *clients = &c->gateway->clients;
    TAILQ_REMOVE(&clients->all, client, by_restore);
    client->restored = round;
    if (round < c->round)
        TAILQ_INSERT_HEAD(&clients->all, client, by_restore);
    else
        TAILQ_INSERT_TAIL(&clients->all, client, by_restore);
}

static void on_restored(void *ctx, enum registered result, struct message_id position) {
    struct restore *one = ctx;
    struct cluster *c = one->cluster;
    struct client *client = clients_by_number(&c->gateway->clients, one->number);
    if (result != REGISTERED_FAILED && client != NULL && client->entry != NULL)
        follow_compare(client->entry->follow, one->stood_at, position);
    free(one);
    c->in_flight--;
    if (result == REGISTERED_FAILED && client != NULL) {
        set_restored(c, client, c->round - 1);
        c->has_to_wait = true;
    }
    if (result == REGISTERED_ELSEWHERE && client != NULL) {
        client_forget_registration(client);
        client_close(client, CLOSE_REPLACED);
    }
    go_on(c);
}

static void restore(struct cluster *c, struct client *client) {
    struct restore *one = mem_zalloc(sizeof(*one));
    *one = (struct restore){.cluster = c, .number = client->who.number};
    if (client->entry != NULL)
        one->stood_at = follow_position(client->entry->follow);
    set_restored(c, client, c->round);
    c->in_flight++;
    client_register(client, true, on_restored, one);
}

static void go_on(struct cluster *c) {
    while (c->is_restoring && !c->has_to_wait && c->in_flight < WINDOW &&
           bus_may_register(c->gateway->bus)) {
        struct client *client = TAILQ_FIRST(&c->gateway->clients.all);
        if (client != NULL && client->restored == c->round)
            client = NULL;
        if (client == NULL && c->in_flight > 0)
            return; /* one of them may be refused */
        if (client == NULL) {
            c->is_restoring = false;
            reconcile_start(&c->gateway->reconcile);
            log_info("cluster", "restored_registrations round=%llu", (unsigned long long)c->round);
            return;
        }
        restore(c, client);
    }
}

static void begin_round(struct cluster *c) {
    c->round++;
    c->is_restoring = true;
    go_on(c);
}

/* ---- Redis may lose data without losing a connection (FLUSHALL, an older snapshot): now and then
 * one registration is looked up; is it gone, the others may be, too. */

static void on_probed(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct restore *one = ctx;
    struct cluster *c = one->cluster;
    struct client *client = clients_by_number(&c->gateway->clients, one->number);
    (void)rows;
    free(one);
    if (status < 0 || count > 0 || client == NULL || !client->is_registered || c->is_restoring)
        return;
    log_warn("cluster", "missed_registration id=%s name=%s", LOG_TEXT(client->who.client_id),
             LOG_TEXT(client->who.name));
    begin_round(c);
}

void cluster_probe(struct cluster *c) {
    c->has_to_wait = false;
    go_on(c);
    struct client *client = TAILQ_LAST(&c->gateway->clients.all, client_list);
    if (client == NULL || c->is_restoring || !bus_can_send(c->gateway->bus))
        return;
    set_restored(c, client, 0); /* in front: each one gets its turn */
    struct restore *one = mem_zalloc(sizeof(*one));
    *one = (struct restore){.cluster = c, .number = client->who.number};
    registry_find(c->gateway->registry, client->who.name, client->who.client_id, on_probed, one);
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

static void on_buried(void *ctx) {
    struct cluster *c = ctx;
    log_warn("cluster", "buried clients=%zu", c->gateway->clients.count);
    struct client *client, *next;
    for (client = TAILQ_FIRST(&c->gateway->clients.all); client != NULL; client = next) {
        next = TAILQ_NEXT(client, by_restore);
        client_forget_registration(client);
        client_close(client, CLOSE_BURIED);
    }
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
