/* ticket_keys.c - see ticket_keys.h. KEY_TICKETS is a hash: the number of a period → its key. Who
 * is first in a period decides (HSETNX); then everybody reads what is there. */
#include "common/bus/cluster/ticket_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "common/base/cluster_secret.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/seal.h"
#include "common/bus/bus_send.h"

enum { ASKS_PER_PERIOD = 8, PERIODS = 3 /* before, now, next */, DIGITS = 24 };

struct ticket_keys {
    struct bus *bus;
    uint64_t period_ms;
    size_t key_bytes;
    ticket_key_fn *fn;
    void *ctx;
    uint64_t period;        /* that was asked for last */
    uint64_t asked_wall_ms; /* when; 0: the answer did not come */
    bool is_asking, has_complained;
};

struct ticket_keys *ticket_keys_new(struct bus *b, uint64_t period_ms, size_t key_bytes,
                                    ticket_key_fn *fn, void *ctx) {
    struct ticket_keys *k = mem_zalloc(sizeof(*k));
    *k = (struct ticket_keys){
        .bus = b, .period_ms = period_ms, .key_bytes = key_bytes, .fn = fn, .ctx = ctx};
    return k;
}

void ticket_keys_free(struct ticket_keys *k) {
    free(k);
}

/* ---- sealing */

static void seal_key(const struct ticket_keys *k, unsigned char out[CLUSTER_SECRET_KEY]) {
    cluster_secret_derive(bus_cluster_secret(k->bus), "tls tickets", out);
}

/* A field names its period, and so does the seal: none can be moved to another one. */
static struct bytes field(uint64_t period, char text_out[DIGITS]) {
    return bytes_of(text_out, (size_t)snprintf(text_out, DIGITS, "%" PRIu64, period));
}

static void seal_fresh(const struct ticket_keys *k, struct bytes period, struct buf *out) {
    unsigned char key[CLUSTER_SECRET_KEY];
    struct buf fresh = {0};
    random_bytes(buf_reserve(&fresh, k->key_bytes), k->key_bytes);
    buf_added(&fresh, k->key_bytes);
    seal_key(k, key);
    seal(key, period, buf_bytes(&fresh), out);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(fresh.ptr, fresh.cap);
    buf_deinit(&fresh);
}

/* False: nobody who knows the secret made this. */
static bool take(struct ticket_keys *k, uint64_t period, struct bytes sealed) {
    unsigned char key[CLUSTER_SECRET_KEY];
    char digits[DIGITS];
    struct buf text = {0};
    if (sealed.len != k->key_bytes + SEAL_MORE)
        return false;
    seal_key(k, key);
    bool is_ours = seal_open(key, field(period, digits), sealed, &text);
    OPENSSL_cleanse(key, sizeof(key));
    if (is_ours)
        k->fn(k->ctx, period, (const unsigned char *)text.ptr);
    OPENSSL_cleanse(text.ptr, text.cap);
    buf_deinit(&text);
    return is_ours;
}

/* ---- asking */

static void complain(struct ticket_keys *k) {
    if (!k->has_complained)
        log_warn("tickets", "refused_keys: what Redis has as keys for TLS session tickets was not "
                            "made with this cluster secret; it is replaced");
    k->has_complained = true;
}

/* A key that is no key is taken away, and made again at the next question. */
static void drop(struct ticket_keys *k, uint64_t period) {
    char digits[DIGITS];
    struct command c = command_begin("HDEL");
    complain(k);
    command_text(&c, fleet_key(KEY_TICKETS));
    command_bytes(&c, field(period, digits));
    bus_send(k->bus, BUS_FLEET, &c, NULL, NULL);
    k->asked_wall_ms = 0;
}

/* HMGET of the periods before, now and next. */
static void on_keys(void *ctx, struct redisReply *reply) {
    struct ticket_keys *k = ctx;
    k->is_asking = false;
    if (reply == NULL || reply_is_error(reply, NULL)) {
        if (reply != NULL)
            bus_refused(k->bus, "HMGET", reply);
        k->asked_wall_ms = 0;
        return;
    }
    for (size_t i = 0; i < PERIODS; i++) {
        struct redisReply *value = reply_at(reply, i);
        if (!reply_is_nil(value) && !take(k, k->period - 1 + i, reply_bytes(value)) &&
            bus_can_send(k->bus))
            drop(k, k->period - 1 + i);
    }
}

static void on_made(void *ctx, struct redisReply *reply) {
    struct ticket_keys *k = ctx;
    if (reply_is_error(reply, NULL))
        bus_refused(k->bus, "HSETNX", reply);
}

static void make(struct ticket_keys *k, uint64_t period) {
    char digits[DIGITS];
    struct buf sealed = {0};
    struct command c = command_begin("HSETNX");
    seal_fresh(k, field(period, digits), &sealed);
    command_text(&c, fleet_key(KEY_TICKETS));
    command_bytes(&c, field(period, digits));
    command_bytes(&c, buf_bytes(&sealed));
    bus_send(k->bus, BUS_FLEET, &c, on_made, k);
    buf_deinit(&sealed);
}

static void ask(struct ticket_keys *k) {
    char digits[DIGITS];
    make(k, k->period);
    make(k, k->period + 1);
    struct command drop_old = command_begin("HDEL"), renew = command_begin("PEXPIRE");
    command_text(&drop_old, fleet_key(KEY_TICKETS));
    for (uint64_t i = PERIODS - 1; i <= PERIODS; i++)
        command_bytes(&drop_old, field(k->period - i, digits));
    bus_send(k->bus, BUS_FLEET, &drop_old, NULL, NULL);
    command_text(&renew, fleet_key(KEY_TICKETS));
    command_number(&renew, (int64_t)(k->period_ms * PERIODS));
    bus_send(k->bus, BUS_FLEET, &renew, NULL, NULL);
    struct command read = command_begin("HMGET");
    command_text(&read, fleet_key(KEY_TICKETS));
    for (size_t i = 0; i < PERIODS; i++)
        command_bytes(&read, field(k->period - 1 + i, digits));
    k->is_asking = true;
    bus_send(k->bus, BUS_FLEET, &read, on_keys, k);
}

void ticket_keys_tick(struct ticket_keys *k, uint64_t wall_ms) {
    uint64_t period = wall_ms / k->period_ms, since_ms = wall_ms - k->asked_wall_ms;
    bool is_fresh = period == k->period && wall_ms >= k->asked_wall_ms &&
                    since_ms < k->period_ms / ASKS_PER_PERIOD;
    if (!bus_cluster_secret(k->bus)->is_known || k->is_asking || is_fresh || !bus_can_send(k->bus))
        return;
    k->period = period;
    k->asked_wall_ms = wall_ms;
    ask(k);
}
