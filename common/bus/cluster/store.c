/*
 * store.c - see store.h. Values live under KEY_VALUE<key>, locks under KEY_LOCK<key>, the secret
 * under KEY_SECRET. */
#include "common/bus/cluster/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/cluster_secret.h"
#include "common/base/random.h"
#include "common/bus/bus_send.h"
#include "common/net/later.h"

enum { LOCK_TTL_MS = 10000, LOCK_RENEW_MS = 3000, LOCK_TRY_MIN_MS = 2, LOCK_TRY_MAX_MS = 50 };

/* --- one question, one answer --- */

struct store_call {
    struct bus *bus;
    store_fn *fn;
    void *ctx;
    int why_not_sent; /* the status when it cannot be sent */
};

static void on_answer(void *ctx, struct redisReply *reply) {
    struct store_call *q = ctx;
    if (reply == NULL)
        q->fn(q->ctx, -ENOTCONN, BYTES_NONE);
    else if (reply_is_error(reply, NULL))
        q->fn(q->ctx, -EINVAL, reply_bytes(reply));
    else
        q->fn(q->ctx, 0, reply_bytes(reply));
    free(q);
}

static void on_not_sent(void *call) {
    struct store_call *q = call;
    q->fn(q->ctx, q->why_not_sent,
          q->why_not_sent == -EINVAL ? BYTES_LIT("the value is larger than Redis takes")
                                     : BYTES_NONE);
    free(q);
}

static void ask(struct bus *b, struct command *c, store_fn *fn, void *ctx, reply_fn *on_reply) {
    struct store_call *q = mem_zalloc(sizeof(*q));
    q->bus = b;
    q->fn = fn;
    q->ctx = ctx;
    q->why_not_sent = c->largest > bus_largest(b) ? -EINVAL : -ENOTCONN;
    if (bus_can_send(b) && q->why_not_sent != -EINVAL) {
        bus_send(b, BUS_FLEET, c, on_reply, q);
        return;
    }
    command_drop(c);
    later(bus_loop(b), on_not_sent, q);
}

static void add_key(struct command *c, enum fleet_key kind, struct bytes key) {
    struct buf text = {0};
    buf_append_str(&text, fleet_key(kind));
    buf_append(&text, key);
    command_bytes(c, buf_bytes(&text));
    buf_deinit(&text);
}

void store_get(struct bus *b, struct bytes key, store_fn *fn, void *ctx) {
    struct command c = command_begin("GET");
    add_key(&c, KEY_VALUE, key);
    ask(b, &c, fn, ctx, on_answer);
}

void store_set(struct bus *b, struct bytes key, struct bytes value, uint64_t ttl_ms, store_fn *fn,
               void *ctx) {
    struct command c = command_begin("SET");
    add_key(&c, KEY_VALUE, key);
    command_bytes(&c, value);
    if (ttl_ms > 0) {
        command_text(&c, "PX");
        command_number(&c, (int64_t)ttl_ms);
    }
    ask(b, &c, fn, ctx, on_answer);
}

static void on_number(void *ctx, struct redisReply *reply) {
    struct store_call *q = ctx;
    char digits[24];
    if (reply == NULL || reply_is_error(reply, NULL)) {
        on_answer(ctx, reply);
        return;
    }
    snprintf(digits, sizeof(digits), "%lld", (long long)reply_number(reply, 0));
    q->fn(q->ctx, 0, bytes_str(digits));
    free(q);
}

void store_incr(struct bus *b, struct bytes key, int64_t by, uint64_t ttl_ms, store_fn *fn,
                void *ctx) {
    struct command c = command_begin("INCRBY");
    add_key(&c, KEY_VALUE, key);
    command_number(&c, by);
    ask(b, &c, fn, ctx, on_number);
    if (ttl_ms == 0 || !bus_can_send(b))
        return;
    c = command_begin("PEXPIRE");
    add_key(&c, KEY_VALUE, key);
    command_number(&c, (int64_t)ttl_ms);
    bus_send(b, BUS_FLEET, &c, NULL, NULL);
}

void store_delete(struct bus *b, struct bytes key, store_fn *fn, void *ctx) {
    struct command c = command_begin("DEL");
    add_key(&c, KEY_VALUE, key);
    ask(b, &c, fn, ctx, on_number);
}

/* --- the secret: the first one proposed stays; a process that knows it proposes it again --- */

static void on_secret(void *ctx, struct redisReply *reply) {
    struct store_call *q = ctx;
    if (reply_bytes(reply_at(reply, 1)).len > 0)
        bus_learn_secret(q->bus, reply_bytes(reply_at(reply, 1)));
    on_answer(ctx, reply_at(reply, 1));
}

static void on_derived(void *call) {
    struct store_call *q = call;
    char secret[45];
    cluster_secret_sign(bus_cluster_secret(q->bus), "server secret", BYTES_LIT("1"), secret);
    q->fn(q->ctx, 0, bytes_str(secret));
    explicit_bzero(secret, sizeof(secret));
    free(q);
}

void store_server_secret(struct bus *b, store_fn *fn, void *ctx) {
    char secret[37], ttl[24];
    if (bus_cluster_secret(b)->is_known) {
        struct store_call *q = mem_zalloc(sizeof(*q));
        *q = (struct store_call){.bus = b, .fn = fn, .ctx = ctx};
        later(bus_loop(b), on_derived, q);
        return;
    }
    random_uuid(secret);
    if (bus_secret(b)[0] != '\0')
        snprintf(secret, sizeof(secret), "%s", bus_secret(b));
    snprintf(ttl, sizeof(ttl), "%d", SECRET_TTL_MS);
    struct command c = command_begin("EVAL");
    command_text(&c,
                 "if redis.call('EXISTS',KEYS[1]) == 0 then redis.call('SET',KEYS[1],ARGV[1]) end "
                 "redis.call('PEXPIRE',KEYS[1],ARGV[2]) return {1, redis.call('GET',KEYS[1])}");
    command_number(&c, 1);
    command_text(&c, fleet_key(KEY_SECRET));
    command_text(&c, secret);
    command_text(&c, ttl);
    ask(b, &c, fn, ctx, on_secret);
}

/* --- locks: tried again with growing pauses, renewed while held --- */

enum lock_state { TRYING, WAITING, HELD };

struct store_lock {
    struct bus *bus;
    store_fn *fn; /* NULL: dropped; goes away with the last answer */
    void *ctx;
    enum lock_state state;
    bool is_asked, is_dropped;
    uint64_t deadline_ms, pause_ms;
    uv_timer_t timer;
    char token[37];
    size_t key_len;
    char key[];
};

static void try_lock(struct store_lock *l);

static void on_lock_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct store_lock, timer));
}

static struct command lock_command(struct store_lock *l, enum script script) {
    struct command c = command_script(script, 1);
    add_key(&c, KEY_LOCK, bytes_of(l->key, l->key_len));
    command_text(&c, l->token);
    if (script != SCRIPT_unlock)
        command_number(&c, LOCK_TTL_MS);
    return c;
}

static void on_renew(uv_timer_t *timer) {
    struct store_lock *l = container_of(timer, struct store_lock, timer);
    if (!bus_can_send(l->bus))
        return;
    struct command c = lock_command(l, SCRIPT_renew_lock);
    bus_send(l->bus, BUS_FLEET, &c, NULL, NULL);
}

static void on_try(uv_timer_t *timer) {
    try_lock(container_of(timer, struct store_lock, timer));
}

static void give_back(struct store_lock *l) {
    if (bus_can_send(l->bus)) {
        struct command c = lock_command(l, SCRIPT_unlock);
        bus_send(l->bus, BUS_FLEET, &c, NULL, NULL);
    }
    uv_close((uv_handle_t *)&l->timer, on_lock_closed);
}

static void wait_more(struct store_lock *l) {
    l->state = WAITING;
    l->pause_ms = l->pause_ms * 2 > LOCK_TRY_MAX_MS ? LOCK_TRY_MAX_MS : l->pause_ms * 2;
    MUST(uv_timer_start(&l->timer, on_try, l->pause_ms + random_below(l->pause_ms), 0) == 0);
}

static void on_tried(void *ctx, struct redisReply *reply) {
    struct store_lock *l = ctx;
    l->is_asked = false;
    if (l->is_dropped) {
        give_back(l);
    } else if (reply_number(reply, 0) == 1) {
        l->state = HELD;
        MUST(uv_timer_start(&l->timer, on_renew, LOCK_RENEW_MS, LOCK_RENEW_MS) == 0);
        l->fn(l->ctx, 0, BYTES_NONE);
    } else {
        wait_more(l);
    }
}

static void try_lock(struct store_lock *l) {
    l->state = TRYING;
    if (clock_ms() >= l->deadline_ms) {
        l->fn(l->ctx, -ETIMEDOUT, BYTES_NONE);
        return;
    }
    if (!bus_can_send(l->bus)) {
        wait_more(l);
        return;
    }
    struct command c = lock_command(l, SCRIPT_lock);
    l->is_asked = true;
    bus_send(l->bus, BUS_FLEET, &c, on_tried, l);
}

struct store_lock *store_lock_take(struct bus *b, struct bytes key, uint64_t wait_ms, store_fn *fn,
                                   void *ctx) {
    struct store_lock *l = mem_zalloc(sizeof(*l) + key.len);
    *l = (struct store_lock){.bus = b, .fn = fn, .ctx = ctx, .key_len = key.len};
    l->deadline_ms = clock_ms() + wait_ms;
    l->pause_ms = LOCK_TRY_MIN_MS;
    memcpy(l->key, key.ptr, key.len);
    random_uuid(l->token);
    MUST(uv_timer_init(bus_loop(b), &l->timer) == 0);
    MUST(uv_timer_start(&l->timer, on_try, 0, 0) == 0);
    return l;
}

void store_lock_drop(struct store_lock *l) {
    if (l == NULL || l->is_dropped)
        return;
    l->is_dropped = true;
    uv_timer_stop(&l->timer);
    if (!l->is_asked)
        give_back(l);
}
