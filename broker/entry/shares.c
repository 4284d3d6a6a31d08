/*
 * shares.c - see shares.h. What a connection has used is kept as the time up to which its share is
 * spent, and forgotten when that has passed. What all of them use together is bounded by the
 * processor, so that only a handful have an account at any time.
 */
#include "broker/entry/shares.h"

#include <stdlib.h>
#include <string.h>

#include "broker/entry/conn_queues.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/table.h"

enum { COUNTED_MIN_US = 2000 /* handlers that take less are not looked at */, TURN_MS = 50 };

struct account {
    uint64_t spent_us;        /* its share is spent up to this time */
    struct conn_queue *queue; /* while its messages wait, or NULL */
    UT_hash_handle hh;
    size_t key_len;
    char key[]; /* Name, NUL, client id */
};

struct shares {
    struct conn_queues *queues;
    struct account *table;
    uint64_t burst_us;
    uv_timer_t turn; /* runs while there are accounts */
};

static struct account *find_or_make(struct shares *s, const struct entry *e, uint64_t now_us) {
    struct buf key = {0};
    struct account *a;
    buf_append(&key, e->name);
    buf_append_char(&key, '\0');
    buf_append(&key, e->client_id);
    HASH_FIND(hh, s->table, key.ptr, key.len, a);
    if (a == NULL) {
        a = mem_zalloc(sizeof(*a) + key.len);
        a->spent_us = now_us;
        a->key_len = key.len;
        memcpy(a->key, key.ptr, key.len);
        HASH_ADD_KEYPTR(hh, s->table, a->key, a->key_len, a);
    }
    buf_deinit(&key);
    return a;
}

static void let_go(struct account *a) {
    if (a->queue != NULL)
        conn_queues_leave(a->queue);
    a->queue = NULL;
}

static void drop(struct shares *s, struct account *a) {
    let_go(a);
    HASH_DEL(s->table, a);
    free(a);
}

static void on_turn(uv_timer_t *timer) {
    struct shares *s = container_of(timer, struct shares, turn);
    uint64_t now_us = clock_us();
    struct account *a, *next;
    HASH_ITER (hh, s->table, a, next) {
        if (a->spent_us <= now_us)
            drop(s, a);
        else if (a->spent_us - now_us <= s->burst_us)
            let_go(a);
    }
    if (s->table == NULL)
        uv_timer_stop(&s->turn);
}

void shares_charge(struct shares *s, unsigned slot, const struct in_entry *e, uint64_t used_us) {
    const uint64_t longest_us = SHARES_HELD_MAX * UINT64_C(1000000);
    uint64_t now_us = clock_us();
    if (s == NULL || used_us < COUNTED_MIN_US)
        return;
    struct account *a = find_or_make(s, &e->entry, now_us);
    a->spent_us = (a->spent_us > now_us ? a->spent_us : now_us) + used_us * SHARES_PARTS;
    if (a->spent_us - now_us > s->burst_us + longest_us)
        a->spent_us = now_us + s->burst_us + longest_us;
    if (!uv_is_active((uv_handle_t *)&s->turn))
        MUST(uv_timer_start(&s->turn, on_turn, TURN_MS, TURN_MS) == 0);
    if (a->queue != NULL || a->spent_us - now_us <= s->burst_us)
        return;
    a->queue = conn_queues_enter(s->queues, slot, e);
    metrics_add(METRIC_connections_slowed, 1);
    log_warn("shares", "slowed client=%s name=%s why=\"its handlers take too long\" for_ms=%llu",
             LOG_TEXT(e->entry.client_id), LOG_TEXT(e->entry.name),
             (unsigned long long)(a->spent_us - now_us - s->burst_us) / 1000);
}

struct shares *shares_new(uv_loop_t *loop, struct conn_queues *queues, uint64_t budget_us) {
    struct shares *s = mem_zalloc(sizeof(*s));
    s->queues = queues;
    s->burst_us = budget_us * SHARES_BURST * SHARES_PARTS;
    MUST(uv_timer_init(loop, &s->turn) == 0);
    uv_unref((uv_handle_t *)&s->turn);
    return s;
}

void shares_end(struct shares *s) {
    struct account *a, *next;
    if (s == NULL)
        return;
    HASH_ITER (hh, s->table, a, next)
        drop(s, a);
    uv_close((uv_handle_t *)&s->turn, NULL);
}

void shares_free(struct shares *s) {
    free(s);
}
