/*
 * ingest.c - see ingest.h. Read ingest_push, then send_batch.
 *
 *     a partition's lane:   head ▶ [ in flight … ][ waiting … ] ◀ tail
 *
 * Entries get their sequence number when they are pushed. Those that one turn of the loop pushed
 * are sent together: a push starts an idle handle and a check handle (before and after the poll),
 * which send for every lane that has nothing in flight. The source's name is fixed when a batch
 * first goes out, so that a repetition is always recognised.
 */
#include "common/bus/log/ingest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/append.h"
#include "common/bus/redis/capacity.h"
#include "common/bus/redis/troubles.h"

enum { BATCH_ENTRIES = 128, BATCH_BYTES = 256 * 1024, RETRY_MIN_MS = 10, RETRY_MAX_MS = 200 };

struct ingest_item {
    struct ingest_item *next;
    ingest_done_fn *done;
    void *ctx;
    uint64_t seq;
    size_t len;
    char bytes[];
};

struct ingest_lane {
    struct ingest *ingest;
    unsigned partition;
    struct ingest_item *head, *tail;
    uint64_t next_seq;
    size_t in_flight; /* items of the batch that Redis has or will get again */
    bool is_asked;    /* a call is under way */
    bool is_held;     /* refused for now: wait for the retry timer */
    bool is_busy;     /* Redis refused the batch: ask for room before it goes out again */
    char source[24];  /* of the batch in flight */
    struct trouble refused;
};

struct ingest {
    struct bus *bus;
    char prefix[8];
    size_t max_bytes, bytes, count;
    bool wants_room;
    void (*on_room)(void *ctx);
    void *ctx;
    uv_idle_t idle;
    uv_check_t check;
    uv_timer_t retry;
    unsigned retry_ms;
    unsigned open_handles;
    bool is_freed;
    unsigned lane_count;
    struct ingest_lane lanes[];
};

static void send_batch(struct ingest_lane *lane);

static void pop(struct ingest_lane *lane, int status) {
    struct ingest *g = lane->ingest;
    struct ingest_item *item = lane->head;
    lane->head = item->next;
    if (lane->head == NULL)
        lane->tail = NULL;
    g->bytes -= item->len;
    g->count--;
    if (item->done != NULL)
        item->done(item->ctx, status);
    free(item);
}

static void tell_room(struct ingest *g) {
    metrics_set(METRIC_uplink_bytes, (int64_t)g->bytes);
    if (!g->wants_room || g->bytes > g->max_bytes / 2)
        return;
    g->wants_room = false;
    if (g->on_room != NULL)
        g->on_room(g->ctx);
}

static void on_retry(uv_timer_t *timer) {
    struct ingest *g = container_of(timer, struct ingest, retry);
    for (unsigned i = 0; i < g->lane_count; i++) {
        g->lanes[i].is_held = false;
        send_batch(&g->lanes[i]);
    }
}

static void retry_later(struct ingest_lane *lane) {
    struct ingest *g = lane->ingest;
    if (!uv_is_active((uv_handle_t *)&g->retry)) {
        MUST(uv_timer_start(&g->retry, on_retry, g->retry_ms, 0) == 0);
        g->retry_ms = g->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : g->retry_ms * 2;
    }
    lane->is_held = true;
}

static void refused(struct ingest_lane *lane, const struct redisReply *reply) {
    append_refused(lane->ingest->bus, "append.lua", reply, &lane->refused);
    lane->is_busy = true;
    retry_later(lane);
}

/* The answer to a call without a message. */
static void on_looked(void *ctx, struct redisReply *reply) {
    struct ingest_lane *lane = ctx;
    lane->is_asked = false;
    if (reply == NULL)
        return;
    if (reply_is_error(reply, NULL)) {
        refused(lane, reply);
        return;
    }
    lane->is_busy = false;
    send_batch(lane);
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct ingest_lane *lane = ctx;
    struct ingest *g = lane->ingest;
    lane->is_asked = false;
    if (reply == NULL)
        return; /* unknown: the same batch goes out again once the link is back */
    if (reply_is_error(reply, NULL)) {
        refused(lane, reply);
        return;
    }
    g->retry_ms = RETRY_MIN_MS;
    trouble_clear(&lane->refused);
    size_t done = lane->in_flight;
    lane->in_flight = 0;
    while (done-- > 0)
        pop(lane, 0);
    tell_room(g);
    send_batch(lane);
}

/* A large entry travels alone, so that Redis refuses one entry and not a batch. */
static bool is_batch_full(const struct ingest_lane *lane, const struct ingest_item *next,
                          size_t bytes) {
    return lane->in_flight == BATCH_ENTRIES ||
           (lane->in_flight > 0 && (bytes > BATCH_BYTES || next->len >= CAPACITY_LARGE ||
                                    lane->head->len >= CAPACITY_LARGE));
}

static void choose_batch(struct ingest_lane *lane) {
    size_t bytes = 0;
    lane->in_flight = 0;
    snprintf(lane->source, sizeof(lane->source), "%s%s", lane->ingest->prefix,
             bus_id(lane->ingest->bus));
    for (struct ingest_item *item = lane->head; item != NULL; item = item->next) {
        bytes += item->len;
        if (is_batch_full(lane, item, bytes))
            return;
        lane->in_flight++;
    }
}

/* Redis can never take the head of the lane. */
static void refuse_head(struct ingest_lane *lane) {
    log_warn("ingest", "refused_too_large partition=%u bytes=%zu most=%zu", lane->partition,
             lane->head->len, bus_largest(lane->ingest->bus));
    lane->in_flight = 0;
    pop(lane, -EMSGSIZE);
    tell_room(lane->ingest);
}

static void send_batch(struct ingest_lane *lane) {
    struct ingest *g = lane->ingest;
    if (lane->is_asked || lane->is_held || lane->head == NULL || !bus_can_send(g->bus))
        return;
    if (lane->in_flight == 0)
        choose_batch(lane);
    if (!append_fits(g->bus, lane->head->len)) {
        refuse_head(lane);
        send_batch(lane);
        return;
    }
    if (!bus_takes_now(g->bus, lane->partition, lane->head->len)) {
        retry_later(lane);
        return;
    }
    struct command c =
        append_begin(SCRIPT_append, &(struct append){.partition = lane->partition,
                                                     .source = bytes_str(lane->source),
                                                     .limit = APPEND_LIMIT});
    command_number(&c, bus_ingest_share(g->bus));
    if (lane->is_busy) { /* look first: the batch may be large */
        lane->is_asked = true;
        bus_send(g->bus, lane->partition, &c, on_looked, lane);
        return;
    }
    struct ingest_item *item = lane->head;
    for (size_t i = 0; i < lane->in_flight; i++, item = item->next) {
        char seq[24];
        snprintf(seq, sizeof(seq), "%020" PRIu64, item->seq);
        command_text(&c, seq);
        command_bytes(&c, bytes_of(item->bytes, item->len));
    }
    lane->is_asked = true;
    bus_send(g->bus, lane->partition, &c, on_answer, lane);
}

static void send_all(struct ingest *g) {
    for (unsigned i = 0; i < g->lane_count; i++)
        send_batch(&g->lanes[i]);
    uv_idle_stop(&g->idle);
    uv_check_stop(&g->check);
}

static void on_idle(uv_idle_t *idle) {
    send_all(container_of(idle, struct ingest, idle));
}

static void on_check(uv_check_t *check) {
    send_all(container_of(check, struct ingest, check));
}

static void on_commands(void *ctx) {
    struct ingest *g = ctx;
    if (g->is_freed)
        return;
    for (unsigned i = 0; i < g->lane_count; i++)
        g->lanes[i].is_held = false;
    send_all(g);
}

struct ingest *ingest_new(struct bus *bus, const char *source_prefix, size_t max_bytes,
                          void (*on_room)(void *ctx), void *ctx) {
    static const struct bus_events events = {.on_commands = on_commands};
    unsigned lanes = bus_partitions(bus);
    struct ingest *g = mem_zalloc(sizeof(*g) + lanes * sizeof(g->lanes[0]));
    g->bus = bus;
    snprintf(g->prefix, sizeof(g->prefix), "%s", source_prefix);
    g->max_bytes = max_bytes;
    g->on_room = on_room;
    g->ctx = ctx;
    g->retry_ms = RETRY_MIN_MS;
    g->lane_count = lanes;
    for (unsigned i = 0; i < lanes; i++) {
        char at[TROUBLE_AT_MAX];
        g->lanes[i] = (struct ingest_lane){.ingest = g, .partition = i};
        snprintf(at, sizeof(at), "by partition %u", i);
        trouble_init(&g->lanes[i].refused, bus_troubles(bus), TROUBLE_ingest, at);
    }
    MUST(uv_idle_init(bus_loop(bus), &g->idle) == 0 &&
         uv_check_init(bus_loop(bus), &g->check) == 0);
    MUST(uv_timer_init(bus_loop(bus), &g->retry) == 0);
    g->open_handles = 3;
    bus_listen(bus, &events, g);
    return g;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct ingest *g = handle->data;
    if (--g->open_handles == 0)
        free(g);
}

static void close_handle(struct ingest *g, uv_handle_t *handle) {
    handle->data = g;
    uv_close(handle, on_handle_closed);
}

void ingest_free(struct ingest *g) {
    if (g == NULL)
        return;
    g->is_freed = true;
    for (unsigned i = 0; i < g->lane_count; i++) {
        trouble_clear(&g->lanes[i].refused);
        while (g->lanes[i].head != NULL)
            pop(&g->lanes[i], -ECANCELED);
    }
    close_handle(g, (uv_handle_t *)&g->idle);
    close_handle(g, (uv_handle_t *)&g->check);
    close_handle(g, (uv_handle_t *)&g->retry);
}

int ingest_push(struct ingest *g, unsigned partition, struct bytes entry, ingest_done_fn *done,
                void *ctx) {
    MUST(partition < g->lane_count);
    struct ingest_lane *lane = &g->lanes[partition];
    if (!append_fits(g->bus, entry.len))
        return -EMSGSIZE;
    if (g->count > 0 && g->bytes + entry.len > g->max_bytes) {
        g->wants_room = true;
        return -ENOBUFS;
    }
    struct ingest_item *item = mem_alloc(sizeof(*item) + entry.len);
    *item =
        (struct ingest_item){.done = done, .ctx = ctx, .seq = ++lane->next_seq, .len = entry.len};
    memcpy(item->bytes, entry.ptr, entry.len);
    if (lane->tail != NULL)
        lane->tail->next = item;
    else
        lane->head = item;
    lane->tail = item;
    g->bytes += entry.len;
    g->count++;
    metrics_set(METRIC_uplink_bytes, (int64_t)g->bytes);
    if (!uv_is_active((uv_handle_t *)&g->idle)) {
        uv_idle_start(&g->idle, on_idle);
        uv_check_start(&g->check, on_check);
    }
    return 0;
}

size_t ingest_bytes(const struct ingest *g) {
    return g->bytes;
}

size_t ingest_count(const struct ingest *g) {
    return g->count;
}
