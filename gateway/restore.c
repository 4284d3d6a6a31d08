/* restore.c - see restore.h. */
#include "gateway/restore.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/log/follower.h"
#include "common/bus/cluster/registry.h"
#include "gateway/delivery/reconcile.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"

enum { NOTICED_MS = 5000, WINDOW = 512 };

/* ---- restoring registrations */

/* About one connection, which may be gone when the answer comes. */
struct asked {
    struct restore *restore;
    uint64_t number;
    struct message_id stood_at; /* its Name's log here, when it was asked */
};

static void go_on(struct restore *r);

/* Those that are still to be restored stay in front. */
static void set_restored(struct restore *r, struct client *client, uint64_t round) {
    struct client_list *all = &r->clients->all;
    TAILQ_REMOVE(all, client, by_restore);
    client->restored = round;
    if (round < r->round)
        TAILQ_INSERT_HEAD(all, client, by_restore);
    else
        TAILQ_INSERT_TAIL(all, client, by_restore);
}

static void on_restored(void *ctx, enum registered result, struct message_id position) {
    struct asked *one = ctx;
    struct restore *r = one->restore;
    struct client *client = clients_by_number(r->clients, one->number);
    if (result != REGISTERED_FAILED && client != NULL && client->entry != NULL)
        follow_compare(client->entry->follow, one->stood_at, position);
    free(one);
    r->in_flight--;
    if (result == REGISTERED_FAILED && client != NULL) {
        set_restored(r, client, r->round - 1);
        r->has_to_wait = true;
    }
    if (result == REGISTERED_ELSEWHERE && client != NULL) {
        client_forget_registration(client);
        client_close(client, CLOSE_REPLACED);
    }
    go_on(r);
}

static void restore(struct restore *r, struct client *client) {
    struct asked *one = mem_zalloc(sizeof(*one));
    *one = (struct asked){.restore = r, .number = client->who.number};
    if (client->entry != NULL)
        one->stood_at = follow_position(client->entry->follow);
    set_restored(r, client, r->round);
    r->in_flight++;
    client_register(client, true, on_restored, one);
}

static void go_on(struct restore *r) {
    while (r->is_restoring && !r->has_to_wait && r->in_flight < WINDOW &&
           bus_may_register(r->bus)) {
        struct client *client = TAILQ_FIRST(&r->clients->all);
        if (client != NULL && client->restored == r->round)
            client = NULL;
        if (client == NULL && r->in_flight > 0)
            return; /* one of them may be refused */
        if (client == NULL) {
            r->is_restoring = false;
            reconcile_start(r->reconcile);
            log_info("restore", "restored_registrations round=%llu", (unsigned long long)r->round);
            return;
        }
        restore(r, client);
    }
}

static void begin_round(void *ctx) {
    struct restore *r = ctx;
    r->round++;
    r->is_restoring = true;
    go_on(r);
}

/* ---- Redis may lose data without losing a connection (FLUSHALL, an older snapshot): now and then
 * one registration is looked up; when it is gone, the others may be, too. */

static void on_probed(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct asked *one = ctx;
    struct restore *r = one->restore;
    struct client *client = clients_by_number(r->clients, one->number);
    (void)rows;
    free(one);
    if (status < 0 || count > 0 || client == NULL || !client->is_registered || r->is_restoring)
        return;
    log_warn("restore", "missed_registration id=%s name=%s", LOG_TEXT(client->who.client_id),
             LOG_TEXT(client->who.name));
    begin_round(r);
}

void restore_probe(struct restore *r) {
    r->has_to_wait = false;
    go_on(r);
    if (!r->is_restoring)
        reconcile_go_on(r->reconcile);
    struct client *client = TAILQ_LAST(&r->clients->all, client_list);
    if (client == NULL || r->is_restoring || !bus_can_send(r->bus))
        return;
    /* To the front, so that each one gets its turn. */
    TAILQ_REMOVE(&r->clients->all, client, by_restore);
    TAILQ_INSERT_HEAD(&r->clients->all, client, by_restore);
    struct asked *one = mem_zalloc(sizeof(*one));
    *one = (struct asked){.restore = r, .number = client->who.number};
    registry_find(r->registry, client->who.name, client->who.client_id, on_probed, one);
}

/* ---- the bus */

static void on_commands(void *ctx) {
    struct restore *r = ctx;
    const char *server = bus_server(r->bus);
    bool is_other = r->was_ready && strcmp(server, r->server) != 0;
    bool was_long = r->was_ready && uv_now(bus_loop(r->bus)) - r->lost_ms > NOTICED_MS;
    snprintf(r->server, sizeof(r->server), "%s", server);
    r->was_ready = true;
    if (is_other || was_long)
        begin_round(r);
    else
        go_on(r);
}

static void on_commands_lost(void *ctx) {
    struct restore *r = ctx;
    r->lost_ms = uv_now(bus_loop(r->bus));
    log_info("restore", "lost_redis reason=%s", LOG_TEXT(bytes_str(bus_trouble(r->bus))));
}

static void on_declared_dead(void *ctx) {
    struct restore *r = ctx;
    log_warn("restore", "buried clients=%zu", r->clients->count);
    struct client *client, *next;
    for (client = TAILQ_FIRST(&r->clients->all); client != NULL; client = next) {
        next = TAILQ_NEXT(client, by_restore);
        client_forget_registration(client);
        client_close(client, CLOSE_EXPIRED);
    }
}

static const struct bus_events bus_events = {
    .on_commands = on_commands,
    .on_commands_lost = on_commands_lost,
    .on_declared_dead = on_declared_dead,
    .on_forgotten = begin_round,
};

void restore_init(struct restore *r, struct bus *bus, struct registry *registry,
                  struct clients *clients, struct reconcile *reconcile) {
    *r = (struct restore){
        .bus = bus, .registry = registry, .clients = clients, .reconcile = reconcile};
    bus_listen(bus, &bus_events, r);
}
