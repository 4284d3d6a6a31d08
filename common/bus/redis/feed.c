/* feed.c - see feed.h. Read on_push first. */
#include "common/bus/redis/feed.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/table.h"
#include "common/bus/redis/link.h"

enum { BATCH = 512 };
enum channel_state { OFF, SUBSCRIBING, ON, UNSUBSCRIBING };

struct channel {
    enum channel_state state;
    bool is_desired;
    const struct channel_events *events;
    void *ctx;
    UT_hash_handle hh;
    size_t len;
    char name[];
};

struct feed {
    const struct feed_events *events;
    void *ctx;
    struct link *link;
    struct channel *channels;
};

static void forget(struct feed *f, struct channel *c) {
    HASH_DEL(f->channels, c);
    free(c);
}

static struct channel *find(struct feed *f, struct bytes name) {
    struct channel *c;
    HASH_FIND(hh, f->channels, name.ptr, name.len, c);
    return c;
}

static bool is_usable(const struct feed *f) {
    return f->link != NULL && link_is_ready(f->link);
}

static void ask(struct feed *f, struct channel *c, enum channel_state state) {
    struct command cmd = command_begin(state == SUBSCRIBING ? "SUBSCRIBE" : "UNSUBSCRIBE");
    command_bytes(&cmd, bytes_of(c->name, c->len));
    link_send(f->link, &cmd, NULL, NULL);
    c->state = state;
}

/* --- what the link says --- */

static void on_ready(void *ctx) {
    struct feed *f = ctx;
    struct channel *c, *next;
    struct command cmd = {{0}, 0};
    HASH_ITER (hh, f->channels, c, next) {
        if (cmd.argc == 0)
            cmd = command_begin("SUBSCRIBE");
        command_bytes(&cmd, bytes_of(c->name, c->len));
        c->state = SUBSCRIBING;
        if (cmd.argc > BATCH)
            link_send(f->link, &cmd, NULL, NULL);
    }
    if (cmd.argc > 0)
        link_send(f->link, &cmd, NULL, NULL);
    f->events->on_ready(f->ctx);
}

static void on_down(void *ctx, const char *why) {
    struct feed *f = ctx;
    struct channel *c, *next;
    HASH_ITER (hh, f->channels, c, next) {
        c->state = OFF;
        if (!c->is_desired)
            forget(f, c);
    }
    f->events->on_down(f->ctx, why);
}

/* done: SUBSCRIBING or UNSUBSCRIBING. False: nobody asked for it. */
static bool confirm(struct feed *f, struct channel *c, enum channel_state done) {
    if (c == NULL || c->state != done)
        return false;
    c->state = done == SUBSCRIBING ? ON : OFF;
    if (c->is_desired != (c->state == ON))
        ask(f, c, c->is_desired ? SUBSCRIBING : UNSUBSCRIBING);
    else if (c->state == OFF)
        forget(f, c);
    else if (c->events->on_subscribed != NULL)
        c->events->on_subscribed(c->ctx);
    return true;
}

/* An error names no channel: it answers the oldest SUBSCRIBE. */
static void on_error(struct feed *f, const struct redisReply *reply) {
    struct channel *c = f->channels;
    while (c != NULL && c->state != SUBSCRIBING)
        c = c->hh.next;
    if (c == NULL || c->events->on_refused == NULL) {
        link_refused(f->link, "SUBSCRIBE", reply);
        return;
    }
    c->state = OFF;
    c->events->on_refused(c->ctx, reply_bytes(reply));
}

/* ["message", channel, payload] or ["subscribe" or "unsubscribe", channel, how many there are]. */
static void on_push(void *ctx, struct redisReply *reply) {
    struct feed *f = ctx;
    struct bytes kind = reply_bytes(reply_at(reply, 0));
    struct channel *c = find(f, reply_bytes(reply_at(reply, 1)));
    if (bytes_equal(kind, BYTES_LIT("message"))) {
        if (c != NULL && c->is_desired)
            c->events->on_message(c->ctx, reply_bytes(reply_at(reply, 2)));
    } else if (reply_is_error(reply, NULL)) {
        on_error(f, reply);
    } else if (!bytes_equal_str(kind, "pong") &&
               !(bytes_equal_str(kind, "subscribe") && confirm(f, c, SUBSCRIBING)) &&
               !(bytes_equal_str(kind, "unsubscribe") && confirm(f, c, UNSUBSCRIBING))) {
        link_break(f->link, "an answer to no subscription, or an unknown message");
    }
}

/* --- life --- */

struct feed *feed_new(const struct feed_events *events, void *ctx) {
    struct feed *f = mem_zalloc(sizeof(*f));
    *f = (struct feed){.events = events, .ctx = ctx};
    return f;
}

void feed_open(struct feed *f, uv_loop_t *loop, const struct redis_url *url) {
    static const struct link_events events = {on_ready, on_down, on_push};
    f->link = link_new(loop, url, LINK_FEED, "feed", &events, f);
}

void feed_close(struct feed *f) {
    link_close(f->link);
    f->link = NULL;
}

void feed_free(struct feed *f) {
    struct channel *c, *next;
    HASH_ITER (hh, f->channels, c, next)
        forget(f, c);
    free(f);
}

struct link *feed_link(const struct feed *f) {
    return f->link;
}

/* --- subscriptions --- */

void feed_subscribe(struct feed *f, struct bytes name, const struct channel_events *events,
                    void *ctx) {
    struct channel *c = find(f, name);
    if (c == NULL) {
        c = mem_zalloc(sizeof(*c) + name.len);
        c->len = name.len;
        memcpy(c->name, name.ptr, name.len);
        HASH_ADD_KEYPTR(hh, f->channels, c->name, c->len, c);
    }
    c->is_desired = true;
    c->events = events;
    c->ctx = ctx;
    if (c->state == OFF && is_usable(f))
        ask(f, c, SUBSCRIBING);
}

void feed_unsubscribe(struct feed *f, struct bytes name) {
    struct channel *c = find(f, name);
    if (c == NULL)
        return;
    c->is_desired = false;
    if (c->state == OFF)
        forget(f, c);
    else if (c->state == ON && is_usable(f))
        ask(f, c, UNSUBSCRIBING);
}
