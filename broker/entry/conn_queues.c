/* conn_queues.c - see conn_queues.h. Read conn_queues_take_turn, then requeue. */
#include "broker/entry/conn_queues.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/entry/dead_letter.h"
#include "broker/entry/processing.h"
#include "common/base/metrics.h"
#include "common/base/table.h"
#include "common/bus/bus_send.h"

enum { STRIDE_MAX = 32, RETRY_MS = 200 };

/* A deferred entry. */
struct waiting {
    TAILQ_ENTRY(waiting) link;
    struct message_id id, order;
    size_t size;
    bool is_requeued; /* on its way to the end of `in`, or there */
};

TAILQ_HEAD(waiting_list, waiting);

struct conn_queue {
    struct conn_queues *owner;
    unsigned slot;
    unsigned running;            /* handlers that wait */
    unsigned stride;             /* how many entries come back at a time */
    struct waiting_list waiting; /* by order */
    size_t count;
    UT_hash_handle hh;
    size_t key_len;
    char key[]; /* the slot, then the lane */
};

struct slot {
    bool is_open;
    bool is_refused; /* Redis refused to requeue something: nothing is requeued for RETRY_MS */
    struct deferred_place place; /* while it is open */
    struct message_id committed; /* the cursor has passed what is at or before it */
    unsigned running;            /* handlers that wait, also of an earlier time as its owner */
};

struct conn_queues {
    struct bus *bus;
    struct conn_queue *table;
    size_t count, bytes; /* of all entries that wait */
    uv_timer_t retry;
    struct slot slots[];
};

/* --- queues --- */

/* A Name belongs to one slot, but an entry that some other program wrote may lie in another. */
static void append_slot(struct buf *out, unsigned slot) {
    buf_append(out, bytes_of(&slot, sizeof(slot)));
}

/* Neither a Name nor a client id contains NUL. */
static void append_key(struct buf *out, unsigned slot, const struct entry *e) {
    append_slot(out, slot);
    buf_append(out, e->name);
    buf_append_char(out, '\0');
    buf_append(out, e->client_id);
}

/* What the queue is called in w, which is of one slot. */
static struct bytes lane_of(const struct conn_queue *q) {
    return bytes_from(bytes_of(q->key, q->key_len), sizeof(q->slot));
}

static struct conn_queue *find(const struct conn_queues *l, struct bytes key) {
    struct conn_queue *q;
    HASH_FIND(hh, l->table, key.ptr, key.len, q);
    return q;
}

static struct conn_queue *find_lane(const struct conn_queues *l, unsigned slot, struct bytes lane) {
    struct buf key = {0};
    append_slot(&key, slot);
    buf_append(&key, lane);
    struct conn_queue *q = find(l, buf_bytes(&key));
    buf_deinit(&key);
    return q;
}

static struct conn_queue *find_of(const struct conn_queues *l, unsigned slot,
                                  const struct entry *e) {
    struct buf key = {0};
    if (l->table == NULL)
        return NULL;
    append_key(&key, slot, e);
    struct conn_queue *q = find(l, buf_bytes(&key));
    buf_deinit(&key);
    return q;
}

static struct conn_queue *find_or_make(struct conn_queues *l, unsigned slot, struct bytes key) {
    struct conn_queue *q = find(l, key);
    if (q != NULL)
        return q;
    q = mem_zalloc(sizeof(*q) + key.len);
    q->owner = l;
    q->slot = slot;
    q->stride = 1;
    q->key_len = key.len;
    memcpy(q->key, key.ptr, key.len);
    TAILQ_INIT(&q->waiting);
    HASH_ADD_KEYPTR(hh, l->table, q->key, q->key_len, q);
    return q;
}

static void drop_if_unused(struct conn_queue *q) {
    if (q->running > 0 || !TAILQ_EMPTY(&q->waiting))
        return;
    HASH_DEL(q->owner->table, q);
    free(q);
}

static void remove_waiting(struct conn_queue *q, struct waiting *w) {
    struct conn_queues *l = q->owner;
    TAILQ_REMOVE(&q->waiting, w, link);
    q->count--;
    l->count--;
    l->bytes -= w->size;
    metrics_set(METRIC_entries_aside, (int64_t)l->count);
    free(w);
}

static struct waiting *find_waiting(const struct conn_queue *q, struct message_id order) {
    struct waiting *w;
    TAILQ_FOREACH (w, &q->waiting, link)
        if (message_id_compare(w->order, order) >= 0)
            break;
    return w != NULL && message_id_compare(w->order, order) == 0 ? w : NULL;
}

/* Sorted by order; the newest is the usual one. */
static struct waiting *add_waiting(struct conn_queue *q, struct message_id id,
                                   struct message_id order, size_t size) {
    struct conn_queues *l = q->owner;
    struct waiting *w = mem_alloc(sizeof(*w)), *before;
    *w = (struct waiting){.id = id, .order = order, .size = size};
    TAILQ_FOREACH_REVERSE (before, &q->waiting, waiting_list, link)
        if (message_id_compare(before->order, order) < 0)
            break;
    if (before != NULL)
        TAILQ_INSERT_AFTER(&q->waiting, before, w, link);
    else
        TAILQ_INSERT_HEAD(&q->waiting, w, link);
    q->count++;
    l->count++;
    l->bytes += size;
    metrics_set(METRIC_entries_aside, (int64_t)l->count);
    return w;
}

/* --- requeueing --- */

struct requeueing {
    struct conn_queues *queues;
    unsigned slot;
    uint64_t term;
    size_t key_len;
    char key[];
};

static void requeue(struct conn_queue *q);

static void on_retry(uv_timer_t *timer) {
    struct conn_queues *l = container_of(timer, struct conn_queues, retry);
    struct conn_queue *q, *next;
    for (unsigned slot = 0; slot <= bus_partitions(l->bus); slot++)
        l->slots[slot].is_refused = false;
    HASH_ITER (hh, l->table, q, next)
        requeue(q);
}

/* None of the entries of that call came back. */
static void retry_later(struct conn_queues *l, struct conn_queue *q) {
    struct waiting *w;
    TAILQ_FOREACH (w, &q->waiting, link)
        w->is_requeued = false;
    if (!uv_is_active((uv_handle_t *)&l->retry))
        MUST(uv_timer_start(&l->retry, on_retry, RETRY_MS, 0) == 0);
    l->slots[q->slot].is_refused = true;
}

/* {moved, id, value, …}: what Redis has not or cannot read. The others go on without it. */
static void drop_lost(struct conn_queue *q, const struct redisReply *reply) {
    struct message_id id;
    for (size_t i = 1; i + 1 < reply_count(reply); i += 2) {
        struct bytes text = reply_bytes(reply_at(reply, i));
        struct waiting *w = NULL;
        dead_letter_stray(q->owner->bus, q->slot, text, reply_bytes(reply_at(reply, i + 1)));
        if (!message_id_parse(text, &id))
            continue;
        TAILQ_FOREACH (w, &q->waiting, link)
            if (message_id_compare(w->id, id) == 0)
                break;
        if (w != NULL)
            remove_waiting(q, w);
    }
    requeue(q);
    drop_if_unused(q);
}

static void on_requeued(void *ctx, struct redisReply *reply) {
    struct requeueing *r = ctx;
    struct conn_queues *l = r->queues;
    const struct slot *slot = &l->slots[r->slot];
    struct conn_queue *q = find(l, bytes_of(r->key, r->key_len));
    bool is_ours = reply != NULL && slot->is_open && slot->place.term == r->term && q != NULL;
    if (is_ours && reply_count(reply) > 0) {
        drop_lost(q, reply);
    } else if (is_ours && reply_is_error(reply, NULL) && !reply_is_error(reply, "FENCED")) {
        /* If it is fenced, its inbox is about to close it. */
        bus_refused(l->bus, "requeue.lua", reply);
        retry_later(l, q);
    }
    free(r);
}

/* The first entries of a queue in which no handler waits, as far as the cursor has passed them:
 * before that, the entry itself is still ahead in `in`. */
static void requeue(struct conn_queue *q) {
    struct conn_queues *l = q->owner;
    const struct slot *slot = &l->slots[q->slot];
    struct message_id ids[STRIDE_MAX];
    size_t count = 0;
    struct waiting *w = TAILQ_FIRST(&q->waiting);
    if (q->running > 0 || w == NULL || w->is_requeued || !slot->is_open || slot->is_refused ||
        !bus_can_send(l->bus))
        return;
    for (; w != NULL && count < q->stride && !w->is_requeued &&
           message_id_compare(w->id, slot->committed) <= 0;
         w = TAILQ_NEXT(w, link)) {
        w->is_requeued = true;
        ids[count++] = w->id;
    }
    if (count == 0)
        return;
    struct requeueing *r = mem_alloc(sizeof(*r) + q->key_len);
    *r = (struct requeueing){
        .queues = l, .slot = q->slot, .term = slot->place.term, .key_len = q->key_len};
    memcpy(r->key, q->key, q->key_len);
    deferred_bring_back(&slot->place, ids, count, on_requeued, r);
}

/* --- handlers --- */

struct conn_queue *conn_queues_enter(struct conn_queues *l, unsigned slot,
                                     const struct in_entry *e) {
    struct buf key = {0};
    append_key(&key, slot, &e->entry);
    struct conn_queue *q = find_or_make(l, slot, buf_bytes(&key));
    buf_deinit(&key);
    q->running++;
    q->stride = 1;
    l->slots[slot].running++;
    return q;
}

void conn_queues_leave(struct conn_queue *q) {
    q->running--;
    q->owner->slots[q->slot].running--;
    requeue(q);
    drop_if_unused(q);
}

bool conn_queues_are_busy(const struct conn_queues *l, unsigned slot) {
    return l->slots[slot].running > 0;
}

/* --- entries --- */

static bool has_room(const struct conn_queue *q, const struct entry *e) {
    const struct conn_queues *l = q->owner;
    size_t times = e->kind == ENTRY_CONNECT || e->kind == ENTRY_DISCONNECT ? 2 : 1;
    return q->count < CONN_QUEUE_MAX * times && l->count < CONN_QUEUES_MAX * times &&
           l->bytes < CONN_QUEUES_BYTES * times;
}

static void defer(struct processing *p, struct conn_queue *q, unsigned handled) {
    const struct in_entry *e = p->entry;
    struct deferred_batch *b = &p->batch->deferred;
    struct waiting *w = e->is_back ? find_waiting(q, e->order) : NULL;
    if (w == NULL) {
        add_waiting(q, e->id, e->order, e->text.len + sizeof(*w) + q->key_len);
    } else {
        w->id = e->id;
        w->is_requeued = false;
    }
    q->stride = 1;
    /* Some of its handlers may have run: it is not done. */
    if (b->done_count > 0 && message_id_compare(b->done[b->done_count - 1], e->id) == 0)
        b->done_count--;
    if (b->count == b->cap) {
        b->cap = b->cap == 0 ? 16 : b->cap * 2;
        b->items = mem_realloc(b->items, b->cap * sizeof(*b->items));
    }
    b->items[b->count++] = (struct deferred_item){
        .id = e->id, .order = e->order, .handled = handled, .lane = lane_of(q)};
}

/* An entry that came back goes on to be processed, or is given up. q may be NULL. */
static void let_through(struct processing *p, struct conn_queue *q) {
    struct deferred_batch *b = &p->batch->deferred;
    struct waiting *w = q != NULL ? find_waiting(q, p->entry->order) : NULL;
    if (b->done_count == b->done_cap) {
        b->done_cap = b->done_cap == 0 ? 16 : b->done_cap * 2;
        b->done = mem_realloc(b->done, b->done_cap * sizeof(*b->done));
    }
    b->done[b->done_count++] = p->entry->id;
    if (w != NULL)
        remove_waiting(q, w);
    if (q != NULL)
        drop_if_unused(q);
}

/* For an entry that came back: a handler may wait again, or an earlier entry may not be back. */
static bool is_its_turn(const struct conn_queue *q, const struct in_entry *e) {
    const struct waiting *first = TAILQ_FIRST(&q->waiting);
    return q->running == 0 && (first == NULL || message_id_compare(first->order, e->order) >= 0);
}

enum conn_queue_turn conn_queues_take_turn(struct processing *p) {
    struct in_entry *e = p->entry;
    struct conn_queue *q = find_of(p->parts->queues, p->slot, &e->entry);
    if (e->is_back && q != NULL && find_waiting(q, e->order) == NULL) {
        e->is_back = false; /* nobody waits for it: some other program wrote its order */
        e->order = e->id;
        e->handled = 0;
    }
    if (e->is_back && (q == NULL || is_its_turn(q, e))) {
        let_through(p, q);
        return CONN_QUEUE_GO;
    }
    if (q == NULL)
        return CONN_QUEUE_GO;
    if (!e->is_back && !has_room(q, &e->entry))
        return CONN_QUEUE_FULL;
    defer(p, q, e->handled);
    return CONN_QUEUE_DEFERRED;
}

void conn_queues_defer_rest(struct processing *p, unsigned handled) {
    struct conn_queue *q = find_of(p->parts->queues, p->slot, &p->entry->entry);
    MUST(q != NULL);
    defer(p, q, handled);
}

void conn_queues_after(struct processing *p) {
    struct conn_queue *q = find_of(p->parts->queues, p->slot, &p->entry->entry);
    if (q == NULL || q->running > 0)
        return;
    q->stride = q->stride * 2 > STRIDE_MAX ? STRIDE_MAX : q->stride * 2;
    requeue(q);
}

void conn_queues_give_up(struct processing *p) {
    let_through(p, find_of(p->parts->queues, p->slot, &p->entry->entry));
    conn_queues_after(p);
}

/* --- a slot --- */

static int compare_orders(const void *a, const void *b) {
    return message_id_compare(((const struct deferred_item *)a)->order,
                              ((const struct deferred_item *)b)->order);
}

/* In their order, so that each is the last of its queue when it is added. */
static void add_all(struct conn_queues *l, unsigned slot, struct deferred_item *items,
                    size_t count) {
    struct buf key = {0};
    qsort(items, count, sizeof(*items), compare_orders);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&key);
        append_slot(&key, slot);
        buf_append(&key, items[i].lane);
        struct conn_queue *q = find_or_make(l, slot, buf_bytes(&key));
        add_waiting(q, items[i].id, items[i].order, items[i].size)->is_requeued = items[i].is_ahead;
    }
    buf_deinit(&key);
}

void conn_queues_open(struct conn_queues *l, const struct deferred_place *place,
                      struct message_id cursor, const struct redisReply *list) {
    unsigned slot = place->partition;
    l->slots[slot].is_open = true;
    l->slots[slot].place = *place;
    l->slots[slot].committed = cursor;
    struct deferred_item *items = mem_alloc((reply_count(list) + 1) * sizeof(*items));
    size_t count = 0;
    for (size_t i = 0; i < reply_count(list); i++) {
        const struct redisReply *row = reply_at(list, i);
        if (count < CONN_QUEUES_MAX * 2 && deferred_read(row, &items[count]))
            count++;
        else
            dead_letter_stray(l->bus, slot, reply_bytes(reply_at(row, 0)),
                              reply_bytes(reply_at(row, 1)));
    }
    add_all(l, slot, items, count);
    free(items);
    if (count > 0)
        on_retry(&l->retry);
}

void conn_queues_committed(struct conn_queues *l, unsigned slot, struct deferred_batch *batch,
                           struct message_id cursor) {
    l->slots[slot].committed = cursor;
    if (batch->done_count > 0 && bus_can_send(l->bus)) {
        deferred_forget(&l->slots[slot].place, batch->done, batch->done_count);
        batch->done_count = 0;
    }
    for (size_t i = 0; i < batch->count; i++) {
        struct conn_queue *q = find_lane(l, slot, batch->items[i].lane);
        if (q != NULL)
            requeue(q);
    }
    batch->count = 0;
}

static void empty(struct conn_queue *q) {
    while (!TAILQ_EMPTY(&q->waiting))
        remove_waiting(q, TAILQ_FIRST(&q->waiting));
}

void conn_queues_close(struct conn_queues *l, unsigned slot) {
    struct conn_queue *q, *next;
    if (!l->slots[slot].is_open)
        return;
    l->slots[slot].is_open = false;
    HASH_ITER (hh, l->table, q, next) {
        if (q->slot != slot)
            continue;
        empty(q);
        drop_if_unused(q);
    }
}

/* --- life --- */

struct conn_queues *conn_queues_new(uv_loop_t *loop, struct bus *bus) {
    size_t slots = bus_partitions(bus) + 1;
    struct conn_queues *l = mem_zalloc(sizeof(*l) + slots * sizeof(l->slots[0]));
    l->bus = bus;
    MUST(uv_timer_init(loop, &l->retry) == 0);
    uv_unref((uv_handle_t *)&l->retry);
    return l;
}

void conn_queues_end(struct conn_queues *l) {
    if (l != NULL)
        uv_close((uv_handle_t *)&l->retry, NULL);
}

void conn_queues_free(struct conn_queues *l) {
    struct conn_queue *q, *next;
    if (l == NULL)
        return;
    HASH_ITER (hh, l->table, q, next) {
        empty(q);
        HASH_DEL(l->table, q);
        free(q);
    }
    free(l);
}

void deferred_batch_deinit(struct deferred_batch *b) {
    free(b->items);
    free(b->done);
    *b = (struct deferred_batch){0};
}
