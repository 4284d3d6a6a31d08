/* conn_queues.c - see conn_queues.h. Read conn_queues_take_turn, then bring_back. */
#include "broker/entry/conn_queues.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "broker/broker.h"
#include "broker/entry/processing.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/log/rejects.h"

enum { STRIDE_MAX = 32, RETRY_MS = 200 };

/* One that was set aside. */
struct waiting {
    TAILQ_ENTRY(waiting) link;
    struct message_id id, order;
    size_t size;
    bool is_returning; /* on its way to the end of `in`, or there */
};

TAILQ_HEAD(waiting_list, waiting);

struct conn_queue {
    struct conn_queues *owner;
    unsigned slot;
    unsigned running;          /* handlers that wait */
    unsigned stride;           /* how many entries come back at a time */
    struct waiting_list queue; /* by order */
    size_t count;
    UT_hash_handle hh;
    size_t key_len;
    char key[];
};

struct place {
    bool is_open;
    uint64_t term;
    struct message_id committed; /* what is at or before it was passed by the cursor */
    unsigned running;
};

struct conn_queues {
    struct broker *broker;
    struct conn_queue *table;
    size_t count, bytes; /* of all entries that wait */
    bool is_stuck;       /* Redis refused to bring something back: the timer runs */
    uv_timer_t retry;
    struct place places[];
};

/* --- lanes --- */

/* Neither a Name nor a client id contains NUL. */
static void append_key(struct buf *out, const struct entry *e) {
    buf_append(out, e->name);
    buf_append_char(out, '\0');
    buf_append(out, e->client_id);
}

static struct conn_queue *find(const struct conn_queues *l, struct bytes key) {
    struct conn_queue *lane = NULL;
    if (l->table != NULL)
        HASH_FIND(hh, l->table, key.ptr, key.len, lane);
    return lane;
}

static struct conn_queue *find_of(const struct conn_queues *l, const struct entry *e) {
    struct buf key = {0};
    if (l->table == NULL)
        return NULL;
    append_key(&key, e);
    struct conn_queue *lane = find(l, buf_bytes(&key));
    buf_deinit(&key);
    return lane;
}

static struct conn_queue *find_or_make(struct conn_queues *l, unsigned slot, struct bytes key) {
    struct conn_queue *lane = find(l, key);
    if (lane != NULL)
        return lane;
    lane = mem_zalloc(sizeof(*lane) + key.len);
    lane->owner = l;
    lane->slot = slot;
    lane->stride = 1;
    lane->key_len = key.len;
    memcpy(lane->key, key.ptr, key.len);
    TAILQ_INIT(&lane->queue);
    HASH_ADD_KEYPTR(hh, l->table, lane->key, lane->key_len, lane);
    return lane;
}

static void drop_if_unused(struct conn_queue *lane) {
    if (lane->running > 0 || !TAILQ_EMPTY(&lane->queue))
        return;
    HASH_DEL(lane->owner->table, lane);
    free(lane);
}

static void remove_waiting(struct conn_queue *lane, struct waiting *w) {
    struct conn_queues *l = lane->owner;
    TAILQ_REMOVE(&lane->queue, w, link);
    lane->count--;
    l->count--;
    l->bytes -= w->size;
    metrics_set(METRIC_entries_aside, (int64_t)l->count);
    free(w);
}

static struct waiting *find_waiting(const struct conn_queue *lane, struct message_id order) {
    struct waiting *w;
    TAILQ_FOREACH (w, &lane->queue, link)
        if (message_id_compare(w->order, order) >= 0)
            break;
    return w != NULL && message_id_compare(w->order, order) == 0 ? w : NULL;
}

/* Sorted by order; the newest is the usual one. */
static struct waiting *add_waiting(struct conn_queue *lane, struct message_id id,
                                   struct message_id order, size_t size) {
    struct conn_queues *l = lane->owner;
    struct waiting *w = mem_alloc(sizeof(*w)), *before;
    *w = (struct waiting){.id = id, .order = order, .size = size};
    TAILQ_FOREACH_REVERSE (before, &lane->queue, waiting_list, link)
        if (message_id_compare(before->order, order) < 0)
            break;
    if (before != NULL)
        TAILQ_INSERT_AFTER(&lane->queue, before, w, link);
    else
        TAILQ_INSERT_HEAD(&lane->queue, w, link);
    lane->count++;
    l->count++;
    l->bytes += size;
    metrics_set(METRIC_entries_aside, (int64_t)l->count);
    return w;
}

/* --- bringing back --- */

struct returning {
    struct conn_queues *queues;
    unsigned slot;
    uint64_t term;
    size_t key_len;
    char key[];
};

static void bring_back(struct conn_queue *lane);

static void on_retry(uv_timer_t *timer) {
    struct conn_queues *l = container_of(timer, struct conn_queues, retry);
    struct conn_queue *lane, *next;
    l->is_stuck = false;
    HASH_ITER (hh, l->table, lane, next)
        bring_back(lane);
}

/* Nothing of that call came back: it is asked for again. */
static void refused(struct conn_queues *l, struct conn_queue *lane) {
    struct waiting *w;
    TAILQ_FOREACH (w, &lane->queue, link)
        w->is_returning = false;
    if (!l->is_stuck)
        MUST(uv_timer_start(&l->retry, on_retry, RETRY_MS, 0) == 0);
    l->is_stuck = true;
}

static void read_answer(struct returning *r, struct redisReply *reply) {
    struct conn_queues *l = r->queues;
    const struct place *place = &l->places[r->slot];
    if (!place->is_open || place->term != r->term || !reply_is_error(reply, NULL) ||
        reply_is_error(reply, "FENCED"))
        return; /* forgotten, done, or about to be forgotten */
    bus_refused(l->broker->bus, "requeue.lua", reply);
    struct conn_queue *lane = find(l, bytes_of(r->key, r->key_len));
    if (lane != NULL)
        refused(l, lane);
}

static void on_brought_back(void *ctx, struct redisReply *reply) {
    struct returning *r = ctx;
    if (reply != NULL && !r->queues->broker->daemon.has_ended)
        read_answer(r, reply);
    free(r);
}

/* own_out: for the key that the place borrows. */
static struct deferred_place place_of(const struct conn_queues *l, unsigned slot,
                                      struct buf *own_out) {
    struct buf lease = {0};
    lease_keys(l->broker->lease, slot, own_out, &lease);
    buf_deinit(&lease);
    return (struct deferred_place){.bus = l->broker->bus,
                                   .own_key = buf_bytes(own_out),
                                   .partition = slot,
                                   .term = l->places[slot].term};
}

static void send_back(struct conn_queue *lane, const struct message_id *ids, size_t count) {
    struct buf own = {0};
    struct deferred_place place = place_of(lane->owner, lane->slot, &own);
    struct returning *r = mem_alloc(sizeof(*r) + lane->key_len);
    *r = (struct returning){
        .queues = lane->owner, .slot = lane->slot, .term = place.term, .key_len = lane->key_len};
    memcpy(r->key, lane->key, lane->key_len);
    deferred_bring_back(&place, ids, count, on_brought_back, r);
    buf_deinit(&own);
}

/* The first entries of a lane in which no handler waits. Only what the cursor has passed: before
 * that, the entry itself is still ahead. */
static void bring_back(struct conn_queue *lane) {
    struct conn_queues *l = lane->owner;
    const struct place *place = &l->places[lane->slot];
    struct message_id ids[STRIDE_MAX];
    size_t count = 0;
    struct waiting *w = TAILQ_FIRST(&lane->queue);
    if (lane->running > 0 || w == NULL || w->is_returning || !place->is_open || l->is_stuck ||
        !bus_can_send(l->broker->bus))
        return;
    for (; w != NULL && count < lane->stride && !w->is_returning &&
           message_id_compare(w->id, place->committed) <= 0;
         w = TAILQ_NEXT(w, link)) {
        w->is_returning = true;
        ids[count++] = w->id;
    }
    if (count > 0)
        send_back(lane, ids, count);
}

/* --- handlers --- */

struct conn_queue *conn_queues_enter(struct conn_queues *l, unsigned slot,
                                     const struct in_entry *e) {
    struct buf key = {0};
    append_key(&key, &e->entry);
    struct conn_queue *lane = find_or_make(l, slot, buf_bytes(&key));
    buf_deinit(&key);
    lane->running++;
    lane->stride = 1;
    l->places[slot].running++;
    return lane;
}

void conn_queues_leave(struct conn_queue *lane) {
    lane->running--;
    lane->owner->places[lane->slot].running--;
    bring_back(lane);
    drop_if_unused(lane);
}

bool conn_queues_are_busy(const struct conn_queues *l, unsigned slot) {
    return l->places[slot].running > 0;
}

/* --- entries --- */

static bool is_event(const struct entry *e) {
    return e->kind == ENTRY_CONNECT || e->kind == ENTRY_DISCONNECT;
}

static bool has_room(const struct conn_queue *lane, const struct entry *e) {
    const struct conn_queues *l = lane->owner;
    size_t times = is_event(e) ? 2 : 1;
    return lane->count < CONN_QUEUE_MAX * times && l->count < CONN_QUEUES_MAX * times &&
           l->bytes < CONN_QUEUES_BYTES * times;
}

static void add_to_batch(struct processing *p, struct conn_queue *lane, unsigned handled) {
    struct deferred_batch *a = p->deferred;
    if (a->count == a->cap) {
        a->cap = a->cap == 0 ? 16 : a->cap * 2;
        a->items = mem_realloc(a->items, a->cap * sizeof(*a->items));
    }
    a->items[a->count++] = (struct deferred_item){.id = p->entry->id,
                                                  .order = p->entry->order,
                                                  .handled = handled,
                                                  .lane = bytes_of(lane->key, lane->key_len)};
}

static void note_done(struct deferred_batch *a, struct message_id id) {
    if (a->done_count == a->done_cap) {
        a->done_cap = a->done_cap == 0 ? 16 : a->done_cap * 2;
        a->done = mem_realloc(a->done, a->done_cap * sizeof(*a->done));
    }
    a->done[a->done_count++] = id;
}

/* Its other handlers come later: what was noted last is not through. */
static void take_back_done(struct deferred_batch *a, struct message_id id) {
    if (a->done_count > 0 && message_id_compare(a->done[a->done_count - 1], id) == 0)
        a->done_count--;
}

static void put_aside(struct processing *p, struct conn_queue *lane, unsigned handled) {
    const struct in_entry *e = p->entry;
    struct waiting *w = e->is_back ? find_waiting(lane, e->order) : NULL;
    if (w == NULL) {
        add_waiting(lane, e->id, e->order, e->text.len + sizeof(*w) + lane->key_len);
    } else {
        w->id = e->id;
        w->is_returning = false;
    }
    lane->stride = 1;
    take_back_done(p->deferred, e->id);
    add_to_batch(p, lane, handled);
}

/* It came back: its turn, unless a handler waits or an earlier one is not back yet. */
static bool is_its_turn(const struct conn_queue *lane, const struct in_entry *e) {
    const struct waiting *first = TAILQ_FIRST(&lane->queue);
    return lane->running == 0 && (first == NULL || message_id_compare(first->order, e->order) >= 0);
}

static void let_through(struct processing *p, struct conn_queue *lane) {
    struct waiting *w = lane != NULL ? find_waiting(lane, p->entry->order) : NULL;
    note_done(p->deferred, p->entry->id);
    if (w != NULL)
        remove_waiting(lane, w);
    if (lane != NULL)
        drop_if_unused(lane);
}

enum conn_queue_turn conn_queues_take_turn(struct processing *p) {
    const struct in_entry *e = p->entry;
    struct conn_queue *lane = find_of(p->broker->queues, &e->entry);
    if (e->is_back && (lane == NULL || is_its_turn(lane, e))) {
        let_through(p, lane);
        return CONN_QUEUE_GO;
    }
    if (lane == NULL)
        return CONN_QUEUE_GO;
    if (!e->is_back && !has_room(lane, &e->entry))
        return CONN_QUEUE_FULL;
    put_aside(p, lane, e->handled);
    return CONN_QUEUE_DEFERRED;
}

void conn_queues_give_up(struct processing *p) {
    let_through(p, find_of(p->broker->queues, &p->entry->entry));
    conn_queues_after(p);
}

void conn_queues_defer_rest(struct processing *p, unsigned handled) {
    struct conn_queue *lane = find_of(p->broker->queues, &p->entry->entry);
    MUST(lane != NULL);
    put_aside(p, lane, handled);
}

void conn_queues_after(struct processing *p) {
    struct conn_queue *lane = find_of(p->broker->queues, &p->entry->entry);
    if (lane == NULL || lane->running > 0)
        return;
    lane->stride = lane->stride * 2 > STRIDE_MAX ? STRIDE_MAX : lane->stride * 2;
    bring_back(lane);
}

/* --- a slot --- */

/* {field, value} of w that somebody else wrote. */
static void drop_strange(struct conn_queues *l, unsigned slot, const struct redisReply *row) {
    struct buf key = {0};
    struct bytes field = reply_bytes(reply_at(row, 0));
    log_error("lanes", "dropped_strange partition=%u field=%s: w holds only what brokers set aside",
              slot, LOG_TEXT(field));
    metrics_add(METRIC_dead_letters, 1);
    const struct bytes fields[] = {BYTES_LIT("reason"), BYTES_LIT("not set aside by a broker"),
                                   BYTES_LIT("entry"),  field,
                                   BYTES_LIT("m"),      reply_bytes(reply_at(row, 1))};
    rejects_add(l->broker->bus, key_of(&key, slot, "dl", BYTES_NONE), fields, ARRAY_LEN(fields));
    buf_deinit(&key);
}

void conn_queues_open(struct conn_queues *l, unsigned slot, const struct lease_grant *grant,
                      const struct redisReply *list) {
    struct place *place = &l->places[slot];
    struct deferred_item item;
    place->is_open = true;
    place->term = grant->term;
    place->committed = grant->cursor;
    for (size_t i = 0; i < reply_count(list); i++) {
        if (deferred_read(reply_at(list, i), &item))
            add_waiting(find_or_make(l, slot, item.lane), item.id, item.order, item.size)
                ->is_returning = item.is_ahead;
        else
            drop_strange(l, slot, reply_at(list, i));
    }
    if (reply_count(list) > 0)
        on_retry(&l->retry);
}

static void forget_done(struct conn_queues *l, unsigned slot, struct deferred_batch *batch) {
    struct buf own = {0};
    if (batch->done_count == 0 || !bus_can_send(l->broker->bus))
        return;
    struct deferred_place place = place_of(l, slot, &own);
    deferred_forget(&place, batch->done, batch->done_count);
    batch->done_count = 0;
    buf_deinit(&own);
}

void conn_queues_committed(struct conn_queues *l, unsigned slot, struct deferred_batch *batch,
                           struct message_id cursor) {
    l->places[slot].committed = cursor;
    forget_done(l, slot, batch);
    for (size_t i = 0; i < batch->count; i++) {
        struct conn_queue *lane = find(l, batch->items[i].lane);
        if (lane != NULL)
            bring_back(lane);
    }
    batch->count = 0;
}

void conn_queues_close(struct conn_queues *l, unsigned slot) {
    struct conn_queue *lane, *next;
    struct place *place = &l->places[slot];
    if (!place->is_open)
        return;
    place->is_open = false;
    HASH_ITER (hh, l->table, lane, next) {
        if (lane->slot != slot)
            continue;
        while (!TAILQ_EMPTY(&lane->queue))
            remove_waiting(lane, TAILQ_FIRST(&lane->queue));
        drop_if_unused(lane);
    }
}

/* --- life --- */

struct conn_queues *conn_queues_new(struct broker *b) {
    size_t slots = bus_partitions(b->bus) + 1;
    struct conn_queues *l = mem_zalloc(sizeof(*l) + slots * sizeof(l->places[0]));
    l->broker = b;
    MUST(uv_timer_init(b->loop, &l->retry) == 0);
    uv_unref((uv_handle_t *)&l->retry);
    return l;
}

void conn_queues_end(struct conn_queues *l) {
    if (l != NULL)
        uv_close((uv_handle_t *)&l->retry, NULL);
}

void conn_queues_free(struct conn_queues *l) {
    struct conn_queue *lane, *next;
    if (l == NULL)
        return;
    HASH_ITER (hh, l->table, lane, next) {
        while (!TAILQ_EMPTY(&lane->queue))
            remove_waiting(lane, TAILQ_FIRST(&lane->queue));
        HASH_DEL(l->table, lane);
        free(lane);
    }
    free(l);
}

void deferred_batch_deinit(struct deferred_batch *a) {
    free(a->items);
    free(a->done);
    *a = (struct deferred_batch){0};
}
