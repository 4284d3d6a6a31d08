/*
 * ingest.c - see ingest.h. Read ingest_push, then send_next.
 *
 *     a partition's lane:   queue: quick    ▶ batch quick ┐
 *                           queue: waiting  ▶ batch bulk  ┴▶ out ▶ append.lua
 *
 * What one turn of the loop pushed is sent together: a push starts an idle handle and a check
 * handle (before and after the poll), which send for every lane that has nothing in flight. Entries
 * get their sequence number, and the source its name, when a batch first goes out; both stay while
 * Redis may have it, so that a repetition is always recognised. A batch that Redis refused is not
 * there, so the lane's other one may pass it, unless an earlier call with it got no answer.
 */
#include "common/bus/log/ingest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/append.h"
#include "common/bus/redis/capacity.h"
#include "common/bus/redis/troubles.h"

enum {
    BATCH_ENTRIES = 128,
    BATCH_BYTES = 256 * 1024,
    BULK_BYTES = 1024 * 1024,      /* of a partition's stream, at which bulk waits */
    BULK_STUCK_MS = 1000,          /* after so long it is told that bulk waits */
    UNREAD_MOST = 4 * 1024 * 1024, /* of large batches in all streams, unless it is one */
    UNREAD_MS = 500,               /* what is there for longer is not waited for */
    LOOK_MS = 5,
    RETRY_MIN_MS = 5,
    RETRY_MAX_MS = 200
};

struct ingest_item {
    struct sender_item turn; /* its length, too */
    ingest_done_fn *done;
    void *ctx;
    uint64_t seq;
    char bytes[];
};

/* Items that go to Redis together, and again and again until it has them. */
struct ingest_batch {
    struct sender_items items;
    size_t count, bytes;
    bool is_bulk;
    bool is_held;        /* refused for now: wait for the retry timer */
    bool is_busy;        /* ask for room before it goes out */
    bool is_unsure;      /* a call with it got no answer: Redis may have it */
    uint64_t refused_ms; /* since when it has been refused; 0: it is not */
};

struct ingest_lane {
    struct ingest *ingest;
    unsigned partition;
    struct sender_queue queue;
    struct ingest_batch quick, bulk;
    struct ingest_batch *out; /* may be in Redis already; NULL: neither is */
    bool is_asked;            /* a call is under way */
    bool bulk_is_next;
    size_t unread;      /* bytes of large batches that its broker may not have read yet */
    uint64_t unread_ms; /* when the last of them came there */
    uint64_t last_seq;
    char source[24]; /* of the batch that is out */
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
    uv_timer_t look;           /* runs while a large batch waits for others to be read */
    size_t unread;             /* of all lanes */
    struct ingest_lane *large; /* whose large batch is under way: one at a time */
    unsigned last_large;       /* its partition, or that of the last one */
    unsigned open_handles;
    bool is_freed;
    unsigned lane_count;
    struct ingest_lane lanes[];
};

static void send_next(struct ingest_lane *lane);

static struct ingest_item *first_of(const struct ingest_batch *batch) {
    struct sender_item *first = STAILQ_FIRST(&batch->items);
    return first != NULL ? container_of(first, struct ingest_item, turn) : NULL;
}

static void pop(struct ingest_lane *lane, struct ingest_batch *batch, int status) {
    struct ingest *g = lane->ingest;
    struct ingest_item *item = first_of(batch);
    STAILQ_REMOVE_HEAD(&batch->items, link);
    batch->count--;
    batch->bytes -= item->turn.len;
    sender_queue_done(&lane->queue, &item->turn);
    g->bytes -= item->turn.len;
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

static void send_all(struct ingest *g) {
    for (unsigned i = 1; i <= g->lane_count; i++)
        send_next(&g->lanes[(g->last_large + i) % g->lane_count]);
}

static void release_all(struct ingest *g) {
    for (unsigned i = 0; i < g->lane_count; i++)
        g->lanes[i].quick.is_held = g->lanes[i].bulk.is_held = false;
    send_all(g);
}

static void on_retry(uv_timer_t *timer) {
    release_all(container_of(timer, struct ingest, retry));
}

static void retry_later(struct ingest *g, struct ingest_batch *batch) {
    batch->is_held = true;
    if (uv_is_active((uv_handle_t *)&g->retry))
        return;
    MUST(uv_timer_start(&g->retry, on_retry, g->retry_ms, 0) == 0);
    g->retry_ms = g->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : g->retry_ms * 2;
}

/* That others of the partition come first is no trouble, unless it lasts. */
static bool is_in_turn(struct ingest_batch *batch, const struct redisReply *reply) {
    uint64_t now = clock_ms();
    if (batch->refused_ms == 0)
        batch->refused_ms = now;
    return batch->is_bulk && reply_is_error(reply, "BUSY") &&
           now - batch->refused_ms < BULK_STUCK_MS;
}

/* If Redis has nothing of the batch, the other one may go out before it. */
static void step_back(struct ingest_lane *lane, const struct ingest_batch *batch) {
    if (!batch->is_unsure)
        lane->out = NULL;
}

static void refused(struct ingest_lane *lane, struct ingest_batch *batch,
                    const struct redisReply *reply) {
    if (!is_in_turn(batch, reply))
        append_refused(lane->ingest->bus, "append.lua", reply, &lane->refused);
    batch->is_busy = true;
    step_back(lane, batch);
    retry_later(lane->ingest, batch);
    send_next(lane);
}

static struct command begin_call(const struct ingest_lane *lane, enum append_limit limit,
                                 int64_t bytes) {
    struct append a = {
        .partition = lane->partition, .source = bytes_str(lane->source), .limit = limit};
    struct command c = append_begin(SCRIPT_append, &a);
    command_number(&c, bytes);
    return c;
}

/* --- large batches that are not read yet --- */

static void count_unread(struct ingest_lane *lane, size_t bytes) {
    lane->ingest->unread += bytes - lane->unread;
    lane->unread = bytes;
    lane->unread_ms = clock_ms();
}

static void on_unread(void *ctx, struct redisReply *reply) {
    struct ingest_lane *lane = ctx;
    lane->is_asked = false;
    if (reply == NULL)
        return;
    if (!reply_is_error(reply, NULL))
        count_unread(lane, 0);
    send_all(lane->ingest);
}

static void look_at(struct ingest_lane *lane) {
    struct bus *bus = lane->ingest->bus;
    if (lane->unread == 0 || lane->is_asked || !bus_can_send(bus))
        return;
    struct command c = begin_call(lane, APPEND_LIMIT, BATCH_BYTES);
    lane->is_asked = true;
    bus_send(bus, lane->partition, &c, on_unread, lane);
}

static void on_look(uv_timer_t *timer) {
    struct ingest *g = container_of(timer, struct ingest, look);
    uint64_t now = clock_ms();
    for (unsigned i = 0; i < g->lane_count; i++) {
        if (g->lanes[i].unread > 0 && now - g->lanes[i].unread_ms > UNREAD_MS)
            count_unread(&g->lanes[i], 0);
        look_at(&g->lanes[i]);
    }
    send_all(g);
}

/* Large batches of several partitions would all be in front of what others say there, and they use
 * one broker or few. What is in its own is counted only while another one waits. */
static bool may_go(const struct ingest_lane *lane, const struct ingest_batch *batch) {
    struct ingest *g = lane->ingest;
    bool is_waited_for = uv_is_active((uv_handle_t *)&g->look);
    size_t unread = is_waited_for ? g->unread : g->unread - lane->unread;
    if (batch->bytes <= BATCH_BYTES)
        return true;
    if (g->large != NULL)
        return false;
    if (unread == 0 || unread + batch->bytes <= UNREAD_MOST)
        return true;
    if (!is_waited_for)
        MUST(uv_timer_start(&g->look, on_look, LOOK_MS, 0) == 0);
    return false;
}

/* --- batches --- */

/* The answer to a call without a message. */
static void on_looked(void *ctx, struct redisReply *reply) {
    struct ingest_lane *lane = ctx;
    struct ingest_batch *batch = lane->out;
    lane->is_asked = false;
    if (reply == NULL)
        return;
    if (reply_is_error(reply, NULL)) {
        refused(lane, batch, reply);
        return;
    }
    batch->is_busy = false;
    step_back(lane, batch);
    send_next(lane);
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct ingest_lane *lane = ctx;
    struct ingest *g = lane->ingest;
    struct ingest_batch *batch = lane->out;
    bool was_large = g->large == lane;
    lane->is_asked = false;
    if (was_large)
        g->large = NULL;
    if (reply == NULL) {
        batch->is_unsure = true; /* the same batch goes out again once the link is back */
        return;
    }
    if (reply_is_error(reply, NULL)) {
        refused(lane, batch, reply);
        return;
    }
    g->retry_ms = RETRY_MIN_MS;
    trouble_clear(&lane->refused);
    lane->out = NULL;
    lane->bulk_is_next = !batch->is_bulk;
    batch->is_unsure = false;
    batch->refused_ms = 0;
    batch->is_busy = batch->bytes > BATCH_BYTES;
    if (was_large)
        count_unread(lane, lane->unread + batch->bytes);
    while (batch->count > 0)
        pop(lane, batch, 0);
    tell_room(g);
    if (was_large)
        send_all(g);
    else
        send_next(lane);
}

/* A large entry travels alone, so that Redis refuses one entry and not a batch. */
static bool is_full_for(const struct ingest_batch *batch, const struct sender_item *next) {
    return batch->count == BATCH_ENTRIES ||
           (batch->count > 0 &&
            (batch->bytes + next->len > BATCH_BYTES || next->len >= CAPACITY_LARGE ||
             STAILQ_FIRST(&batch->items)->len >= CAPACITY_LARGE));
}

/* What Redis has refused stays as it is. */
static bool fill(struct ingest_lane *lane, struct ingest_batch *batch) {
    struct sender_items *from = batch->is_bulk ? &lane->queue.waiting : &lane->queue.quick;
    if (batch->is_held)
        return false;
    if (batch->count > 0)
        return true;
    while (!STAILQ_EMPTY(from) && !is_full_for(batch, STAILQ_FIRST(from))) {
        struct sender_item *item = sender_queue_take(&lane->queue, from);
        STAILQ_INSERT_TAIL(&batch->items, item, link);
        batch->bytes += item->len;
        batch->count++;
    }
    return batch->count > 0;
}

static bool is_ready(struct ingest_lane *lane, struct ingest_batch *batch) {
    return fill(lane, batch) && may_go(lane, batch);
}

static struct ingest_batch *choose(struct ingest_lane *lane) {
    struct ingest_batch *first = lane->bulk_is_next ? &lane->bulk : &lane->quick;
    struct ingest_batch *second = lane->bulk_is_next ? &lane->quick : &lane->bulk;
    struct sender_item *item;
    struct ingest_batch *batch = is_ready(lane, first)    ? first
                                 : is_ready(lane, second) ? second
                                                          : NULL;
    if (batch == NULL)
        return NULL;
    snprintf(lane->source, sizeof(lane->source), "%s%s", lane->ingest->prefix,
             bus_id(lane->ingest->bus));
    STAILQ_FOREACH (item, &batch->items, link)
        container_of(item, struct ingest_item, turn)->seq = ++lane->last_seq;
    return batch;
}

/* Redis can never take the entry. */
static void refuse_first(struct ingest_lane *lane) {
    struct ingest_batch *batch = lane->out;
    log_warn("ingest", "refused_too_large partition=%u bytes=%zu most=%zu", lane->partition,
             first_of(batch)->turn.len, bus_largest(lane->ingest->bus));
    batch->is_busy = false;
    pop(lane, batch, -EMSGSIZE);
    batch->is_unsure = batch->is_unsure && batch->count > 0;
    step_back(lane, batch);
    tell_room(lane->ingest);
    send_next(lane);
}

static struct command begin_append(const struct ingest_lane *lane) {
    int64_t bytes = bus_ingest_share(lane->ingest->bus);
    if (!lane->out->is_bulk)
        return begin_call(lane, APPEND_LIMIT, bytes);
    return begin_call(lane, APPEND_LIMIT_BULK, bytes > BULK_BYTES ? BULK_BYTES : bytes);
}

static void send_batch(struct ingest_lane *lane) {
    struct ingest_batch *batch = lane->out;
    struct command c = begin_append(lane);
    struct sender_item *turn;
    STAILQ_FOREACH (turn, &batch->items, link) {
        struct ingest_item *item = container_of(turn, struct ingest_item, turn);
        char seq[24];
        snprintf(seq, sizeof(seq), "%020" PRIu64, item->seq);
        command_text(&c, seq);
        command_bytes(&c, bytes_of(item->bytes, turn->len));
    }
    if (batch->bytes > BATCH_BYTES) {
        lane->ingest->large = lane;
        lane->ingest->last_large = lane->partition;
    }
    lane->is_asked = true;
    bus_send(lane->ingest->bus, lane->partition, &c, on_answer, lane);
}

static void send_next(struct ingest_lane *lane) {
    struct ingest *g = lane->ingest;
    if (lane->is_asked || !bus_can_send(g->bus))
        return;
    if (lane->out == NULL)
        lane->out = choose(lane);
    struct ingest_batch *batch = lane->out;
    if (batch == NULL || batch->is_held)
        return;
    if (!append_fits(g->bus, first_of(batch)->turn.len)) {
        refuse_first(lane);
    } else if (!bus_takes_now(g->bus, lane->partition, first_of(batch)->turn.len)) {
        retry_later(g, batch);
    } else if (batch->is_busy) { /* look first: the batch may be large */
        struct command c = begin_append(lane);
        lane->is_asked = true;
        bus_send(g->bus, lane->partition, &c, on_looked, lane);
    } else {
        send_batch(lane);
    }
}

static void send_pushed(struct ingest *g) {
    send_all(g);
    uv_idle_stop(&g->idle);
    uv_check_stop(&g->check);
}

static void on_idle(uv_idle_t *idle) {
    send_pushed(container_of(idle, struct ingest, idle));
}

static void on_check(uv_check_t *check) {
    send_pushed(container_of(check, struct ingest, check));
}

static void on_commands(void *ctx) {
    struct ingest *g = ctx;
    if (g->is_freed)
        return;
    release_all(g);
}

static void init_lane(struct ingest *g, struct ingest_lane *lane, unsigned partition) {
    *lane = (struct ingest_lane){.ingest = g, .partition = partition, .bulk = {.is_bulk = true}};
    sender_queue_init(&lane->queue);
    STAILQ_INIT(&lane->quick.items);
    STAILQ_INIT(&lane->bulk.items);
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
        init_lane(g, &g->lanes[i], i);
        snprintf(at, sizeof(at), "by partition %u", i);
        trouble_init(&g->lanes[i].refused, bus_troubles(bus), TROUBLE_ingest, at);
    }
    MUST(uv_idle_init(bus_loop(bus), &g->idle) == 0 &&
         uv_check_init(bus_loop(bus), &g->check) == 0);
    MUST(uv_timer_init(bus_loop(bus), &g->retry) == 0);
    MUST(uv_timer_init(bus_loop(bus), &g->look) == 0);
    g->open_handles = 4;
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

static void give_up_all(struct ingest_lane *lane) {
    struct ingest_batch *batches[] = {&lane->quick, &lane->bulk};
    lane->out = NULL;
    for (size_t i = 0; i < ARRAY_LEN(batches); i++)
        for (batches[i]->is_held = false; fill(lane, batches[i]);)
            pop(lane, batches[i], -ECANCELED);
}

void ingest_free(struct ingest *g) {
    if (g == NULL)
        return;
    g->is_freed = true;
    for (unsigned i = 0; i < g->lane_count; i++) {
        trouble_clear(&g->lanes[i].refused);
        give_up_all(&g->lanes[i]);
    }
    close_handle(g, (uv_handle_t *)&g->idle);
    close_handle(g, (uv_handle_t *)&g->check);
    close_handle(g, (uv_handle_t *)&g->retry);
    close_handle(g, (uv_handle_t *)&g->look);
}

/* The last quarter is for those who have nothing on the way. */
static bool has_room(const struct ingest *g, const struct sender *sender, size_t len) {
    size_t most = sender_is_quick(sender, len) ? g->max_bytes : g->max_bytes / 4 * 3;
    return g->count == 0 || g->bytes + len <= most;
}

int ingest_push(struct ingest *g, unsigned partition, struct sender *sender, struct bytes entry,
                ingest_done_fn *done, void *ctx) {
    MUST(partition < g->lane_count);
    if (!append_fits(g->bus, entry.len))
        return -EMSGSIZE;
    if (!has_room(g, sender, entry.len)) {
        g->wants_room = true;
        return -ENOBUFS;
    }
    struct ingest_item *item = mem_alloc(sizeof(*item) + entry.len);
    *item = (struct ingest_item){.turn.len = entry.len, .done = done, .ctx = ctx};
    memcpy(item->bytes, entry.ptr, entry.len);
    sender_queue_push(&g->lanes[partition].queue, sender, &item->turn);
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
