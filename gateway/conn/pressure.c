/* pressure.c - see pressure.h. Read relieve_in and relieve_out. */
#include "gateway/conn/pressure.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "gateway/conn/conn.h"

enum {
    IN_PATIENCE_MS = 5000,
    OUT_PATIENCE_MS = 2000,
    FLOODED_PATIENCE_MS = 1000,
    RELIEVE_EVERY_MS = 10
};

/* ---- the holders, costliest first */

struct holder {
    struct conn *conn;
    size_t bytes;
    uint64_t since_ms;
    uint64_t cost;
};

typedef struct holder holder_fn(struct conn *c);

static struct holder holder_in(struct conn *c) {
    return (struct holder){.conn = c, .bytes = c->input_bytes, .since_ms = c->input_since_ms};
}

static struct holder holder_out(struct conn *c) {
    size_t bytes = c->is_blocked ? c->out.bytes : 0;
    return (struct holder){.conn = c, .bytes = bytes, .since_ms = c->blocked_ms};
}

static int by_cost(const void *a, const void *b) {
    uint64_t x = ((const struct holder *)a)->cost, y = ((const struct holder *)b)->cost;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* All that hold anything; free(). */
static struct holder *list(struct conns *set, holder_fn *holder_of, size_t *count_out) {
    struct holder *holders = mem_alloc(set->count * sizeof(*holders));
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct holder h = holder_of(set->all[i]);
        if (h.bytes == 0)
            continue;
        h.cost = h.bytes * (conns_now(set) - h.since_ms + 1);
        holders[count++] = h;
    }
    qsort(holders, count, sizeof(*holders), by_cost);
    *count_out = count;
    return holders;
}

static void shed(const struct holder *h, enum pressure why) {
    struct conn *c = h->conn;
    char address[IP_TEXT_SIZE];
    ip_show(c->remote, address);
    struct bytes id = c->proto->client_id != NULL ? c->proto->client_id(c) : BYTES_NONE;
    metrics_add(METRIC_shed, 1);
    log_warn("pressure", "shed kind=%s bytes=%zu for_ms=%zu id=%s remote=%s",
             why == PRESSURE_IN ? "incoming" : "outgoing", h->bytes,
             (size_t)(conns_now(c->set) - h->since_ms), LOG_TEXT(id), address);
    if (c->state != CONN_OPEN)
        conn_drop(c);
    else
        c->proto->on_pressure(c, why);
}

/* Closing one connection may end others, whose memory stays until a later turn. */
static bool is_still(const struct holder *h, holder_fn *holder_of) {
    return h->conn->state != CONN_CLOSED && holder_of(h->conn).bytes > 0;
}

static uint64_t patience_ms(enum memory_kind kind, uint64_t full_ms) {
    return memory_is_drowned(kind) ? 0 : memory_is_flooded(kind) ? FLOODED_PATIENCE_MS : full_ms;
}

static void shed_costliest(struct conns *set, enum memory_kind kind, enum pressure why,
                           holder_fn *holder_of, uint64_t least_ms) {
    size_t count;
    struct holder *holders = list(set, holder_of, &count);
    uint64_t target = memory_share(kind) / 8 * 7;
    for (size_t i = 0; i < count && memory_of(kind) > target; i++)
        if (conns_now(set) - holders[i].since_ms >= least_ms && is_still(&holders[i], holder_of))
            shed(&holders[i], why);
    free(holders);
}

/* ---- in */

/* The costliest first, as far as memory for it is left below the point where all are flooded: a
 * client that only waits for the rest of its message has it soon, and one that never sends the
 * rest is the next to go. */
static void let_on(struct conns *set) {
    size_t count;
    struct holder *holders = list(set, holder_in, &count);
    uint64_t used = memory_of(MEMORY_incoming), most = memory_share(MEMORY_incoming) / 4 * 7;
    bool is_full = memory_is_full(MEMORY_incoming);
    for (size_t i = 0; i < count; i++) {
        struct conn *c = holders[i].conn;
        if (!conn_is_paused(c, CONN_PAUSED_MEMORY))
            continue;
        if (is_full && used + holders[i].bytes > most)
            break;
        used += holders[i].bytes;
        c->input_grant = 2 * holders[i].bytes;
        conn_resume(c, CONN_PAUSED_MEMORY);
    }
    free(holders);
}

static void relieve_in(struct conns *set) {
    if (memory_is_full(MEMORY_incoming))
        shed_costliest(set, MEMORY_incoming, PRESSURE_IN, holder_in,
                       patience_ms(MEMORY_incoming, IN_PATIENCE_MS));
    if (set->starved > 0)
        let_on(set);
}

/* ---- out */

static void relieve_out(struct conns *set) {
    if (memory_is_full(MEMORY_outgoing))
        shed_costliest(set, MEMORY_outgoing, PRESSURE_OUT, holder_out,
                       patience_ms(MEMORY_outgoing, OUT_PATIENCE_MS));
}

void pressure_relieve(struct conns *set, bool is_tick) {
    bool is_urgent = memory_is_drowned(MEMORY_incoming) || memory_is_drowned(MEMORY_outgoing);
    if (!is_tick && (!is_urgent || conns_now(set) - set->relieved_ms < RELIEVE_EVERY_MS))
        return;
    set->relieved_ms = conns_now(set);
    relieve_in(set);
    relieve_out(set);
}
