/* feed.c - see feed.h. */
#include "common/bus/redis/feed.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/bus/redis/command.h"
#include "common/bus/redis/link.h"

enum { BATCH = 512 };
enum channel_state { OFF, SUBSCRIBING, ON, UNSUBSCRIBING };

struct channel {
    enum channel_state state;
    bool is_desired;
    UT_hash_handle hh;
    size_t len;
    char name[];
};

struct feed {
    struct channel *channels;
};

struct feed *feed_new(void) {
    return mem_zalloc(sizeof(struct feed));
}

static void forget(struct feed *f, struct channel *c) {
    HASH_DEL(f->channels, c);
    free(c);
}

void feed_free(struct feed *f) {
    struct channel *c, *next;
    if (f == NULL)
        return;
    HASH_ITER (hh, f->channels, c, next)
        forget(f, c);
    free(f);
}

static struct channel *find(struct feed *f, struct bytes name) {
    struct channel *c;
    HASH_FIND(hh, f->channels, name.ptr, name.len, c);
    return c;
}

/* The feed may be asked before its link was made. */
static bool is_usable(const struct link *link) {
    return link != NULL && link_is_ready(link);
}

static void ask(struct link *link, struct channel *c, enum channel_state state) {
    struct command cmd = command_begin(state == SUBSCRIBING ? "SUBSCRIBE" : "UNSUBSCRIBE");
    command_bytes(&cmd, bytes_of(c->name, c->len));
    link_send(link, &cmd, NULL, NULL);
    c->state = state;
}

void feed_subscribe(struct feed *f, struct link *link, struct bytes name) {
    struct channel *c = find(f, name);
    if (c == NULL) {
        c = mem_zalloc(sizeof(*c) + name.len);
        c->len = name.len;
        memcpy(c->name, name.ptr, name.len);
        HASH_ADD_KEYPTR(hh, f->channels, c->name, c->len, c);
    }
    c->is_desired = true;
    if (c->state == OFF && is_usable(link))
        ask(link, c, SUBSCRIBING);
}

void feed_unsubscribe(struct feed *f, struct link *link, struct bytes name) {
    struct channel *c = find(f, name);
    if (c == NULL)
        return;
    c->is_desired = false;
    if (c->state == OFF)
        forget(f, c);
    else if (c->state == ON)
        ask(link, c, UNSUBSCRIBING);
}

void feed_on_ready(struct feed *f, struct link *link) {
    struct channel *c, *next;
    struct command cmd = {{0}, 0};
    unsigned count = 0;
    HASH_ITER (hh, f->channels, c, next) {
        if (count == 0)
            cmd = command_begin("SUBSCRIBE");
        command_bytes(&cmd, bytes_of(c->name, c->len));
        c->state = SUBSCRIBING;
        if (++count == BATCH) {
            link_send(link, &cmd, NULL, NULL);
            count = 0;
        }
    }
    if (count > 0)
        link_send(link, &cmd, NULL, NULL);
}

void feed_on_down(struct feed *f) {
    struct channel *c, *next;
    HASH_ITER (hh, f->channels, c, next) {
        c->state = OFF;
        if (!c->is_desired)
            forget(f, c);
    }
}

bool feed_on_subscribed(struct feed *f, struct link *link, struct bytes name) {
    struct channel *c = find(f, name);
    if (c == NULL || c->state != SUBSCRIBING)
        return false;
    c->state = ON;
    if (!c->is_desired)
        ask(link, c, UNSUBSCRIBING);
    return true;
}

bool feed_on_unsubscribed(struct feed *f, struct link *link, struct bytes name) {
    struct channel *c = find(f, name);
    if (c == NULL || c->state != UNSUBSCRIBING)
        return false;
    c->state = OFF;
    if (c->is_desired)
        ask(link, c, SUBSCRIBING);
    else
        forget(f, c);
    return true;
}
