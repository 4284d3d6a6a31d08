/* heartbeats.c - see heartbeats.h. */
#include "common/bus/cluster/heartbeats.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/bus/bus_send.h"
#include "common/bus/cluster/liveness.h"

struct heartbeats {
    struct bus *bus;
    enum fleet_key key;
    struct liveness *liveness; /* NULL: freed, the answer under way frees the rest */
    const struct heartbeats_events *events;
    void *ctx;
    bool is_looking;
};

static void read_look(struct heartbeats *h, struct redisReply *reply) {
    liveness_begin(h->liveness, clock_ms(), bus_accepted_since(h->bus));
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2)
        liveness_see(h->liveness, reply_bytes(reply_at(reply, i)),
                     reply_bytes(reply_at(reply, i + 1)));
    liveness_end(h->liveness, h->events->on_gone, h->ctx);
    h->events->on_looked(h->ctx);
}

static void on_refused(struct heartbeats *h, const struct redisReply *reply) {
    bus_refused(h->bus, "HGETALL of the heartbeats", reply);
    if (h->events->on_refused != NULL)
        h->events->on_refused(h->ctx);
}

static void on_look(void *ctx, struct redisReply *reply) {
    struct heartbeats *h = ctx;
    h->is_looking = false;
    if (h->liveness == NULL)
        free(h);
    else if (reply_is_error(reply, NULL))
        on_refused(h, reply);
    else if (reply != NULL)
        read_look(h, reply);
}

void heartbeats_look(struct heartbeats *h) {
    if (h->is_looking || !bus_can_send(h->bus))
        return;
    struct command c = command_begin("HGETALL");
    command_text(&c, fleet_key(h->key));
    h->is_looking = true;
    bus_send(h->bus, BUS_FLEET, &c, on_look, h);
}

struct trial {
    heartbeats_try_fn *fn;
    void *ctx;
};

static void on_tried(void *ctx, struct redisReply *reply) {
    struct trial *t = ctx;
    t->fn(t->ctx, !reply_is_error(reply, NULL) || reply_is_error(reply, "NOPERM"));
    free(t);
}

/* No rule has an empty name: nothing is deleted. */
void heartbeats_try(struct bus *bus, heartbeats_try_fn *fn, void *ctx) {
    struct command c = command_begin("HDEL");
    struct trial *t = mem_alloc(sizeof(*t));
    *t = (struct trial){fn, ctx};
    command_text(&c, fleet_key(KEY_RULES));
    command_text(&c, "");
    bus_send(bus, BUS_FLEET, &c, on_tried, t);
}

void heartbeats_forget(struct heartbeats *h, const char *id) {
    struct command c = command_begin("HDEL");
    command_text(&c, fleet_key(h->key));
    command_text(&c, id);
    bus_send(h->bus, BUS_FLEET, &c, NULL, NULL);
}

struct heartbeats *heartbeats_new(struct bus *bus, enum fleet_key key, struct liveness *liveness,
                                  const struct heartbeats_events *events, void *ctx) {
    struct heartbeats *h = mem_alloc(sizeof(*h));
    *h = (struct heartbeats){
        .bus = bus, .key = key, .liveness = liveness, .events = events, .ctx = ctx};
    return h;
}

void heartbeats_free(struct heartbeats *h) {
    if (h == NULL)
        return;
    h->liveness = NULL;
    if (!h->is_looking)
        free(h);
}
