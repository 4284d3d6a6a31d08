/* inbox.c - see inbox.h. Read step: it is called whenever something has ended, and begins the next.
 */
#include "broker/inbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/entry/dead_letter.h"
#include "broker/entry/outcomes.h"
#include "broker/entry/receipt_ids.h"
#include "broker/entry/tracing.h"
#include "broker/handlers/handler_run.h"
#include "broker/handlers/repeats.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus_send.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/log_writer.h"
#include "common/bus/redis/troubles.h"

enum {
    BATCH_BYTES = 256 * 1024,
    BATCH_US = 10000,
    TRIES_MAX = 3,
    RETRY_MIN_MS = 50,
    RETRY_MAX_MS = 500,
    MEMORY_MS = 50,         /* how often it is measured, and looked at again while it is short */
    AHEAD_MS = 3600 * 1000, /* by how much the ids of a stream may be ahead of the clock */
    RESTART_MS = 1000,      /* how often a restart is tried */
    LAST_HANDLERS_MS = 1000 /* how long an end waits for handlers that wait */
};

enum state { OPENING, IDLE, RESTARTING, LOOKING, TRYING, FORWARDING, STORING, COMMITTING };

struct inbox {
    struct inboxes *all;
    const struct entry_parts *parts;
    unsigned slot, refs;
    enum state state;
    bool is_public, is_ending, is_closed;
    uint64_t ending_ms; /* since when */
    struct lease_grant grant;
    struct entry_reader *reader;
    struct batch batch;
    struct in_entry *queue[ENTRY_READER_MAX]; /* read and not processed: from head to tail */
    size_t head, tail;
    bool is_new;              /* nothing of the queue has been looked up (repeats.h) */
    struct message_id cursor; /* of the batch: its last entry */
    unsigned doubtful;        /* so many more entries may have killed the previous owner */
    uv_timer_t retry;
    uint64_t retry_ms;
    uint64_t restart_ms;      /* not before */
    struct trouble unwritten; /* Redis refuses one of our scripts */
};

/* Of a slot, whether it is ours or not. */
struct place {
    struct inbox *inbox;        /* NULL: not ours */
    struct message_id survived; /* the last entry that this process ran without dying */
};

struct inboxes {
    struct inbox_options o;
    uint64_t measured_ms;  /* when memory was measured last */
    struct inbox *alone;   /* runs a doubtful entry; no other inbox does meanwhile */
    struct place places[]; /* by slot: the partitions, then the public stream */
};

static void step(struct inbox *i);

static bool is_memory_short(struct inboxes *all) {
    uint64_t now_ms = clock_ms();
    if (now_ms - all->measured_ms >= MEMORY_MS) {
        memory_measure();
        all->measured_ms = now_ms;
    }
    return memory_is_over() || memory_is_full(MEMORY_requests);
}

static void unref(struct inbox *i) {
    if (--i->refs > 0)
        return;
    deferred_batch_deinit(&i->batch.deferred);
    repeats_free(i->batch.repeats);
    free(i);
}

/* --- turns --- */

/* Doubtful entries run one at a time in the whole process, each until it is committed, so that a
 * try is counted for the entry that kills the process, and for no other. */

static bool take_turn(struct inbox *i) {
    if (i->all->alone == NULL)
        i->all->alone = i;
    return i->all->alone == i;
}

static void end_turn(struct inbox *i) {
    struct inboxes *all = i->all;
    if (all->alone != i)
        return;
    all->alone = NULL;
    for (unsigned slot = 0; slot <= lease_public(all->o.lease) && bus_can_send(i->parts->bus);
         slot++)
        if (all->places[slot].inbox != NULL && all->places[slot].inbox != i)
            step(all->places[slot].inbox);
}

/* --- the end --- */

static void on_retry_closed(uv_handle_t *handle) {
    unref(container_of((uv_timer_t *)handle, struct inbox, retry));
}

static void close_inbox(struct inbox *i) {
    if (i->is_closed)
        return;
    i->is_closed = true;
    i->all->places[i->slot].inbox = NULL;
    trouble_clear(&i->unwritten);
    tracing_lost(&i->batch);
    receipt_ids_lost(&i->batch);
    outcomes_lost(&i->batch);
    entry_reader_close(i->reader);
    log_writer_close(i->batch.writer);
    forward_close(i->batch.forward);
    while (i->head < i->tail)
        in_entry_unref(i->queue[i->head++]);
    if (!i->is_public)
        conn_queues_close(i->parts->queues, i->slot);
    handler_run_lost(&i->batch);
    end_turn(i);
    uv_close((uv_handle_t *)&i->retry, on_retry_closed);
}

static void give_up(struct inbox *i, bool is_fenced) {
    struct inbox_options o = i->all->o;
    unsigned slot = i->slot;
    close_inbox(i);
    o.events->on_end(o.ctx, slot, is_fenced);
}

/* --- what Redis refuses for now --- */

static void look_up(struct inbox *i);
static void try_next(struct inbox *i);
static void store_deferred(struct inbox *i);
static void open_queues(struct inbox *i);

/* Redis turned out not to take what these entries led to. The inbox is given up: when the entries
 * are processed again, what is too large is refused. */
static bool is_too_large(const struct inbox *i) {
    size_t largest = i->state == FORWARDING   ? forward_largest(i->batch.forward)
                     : i->state == COMMITTING ? log_writer_largest(i->batch.writer)
                                              : 0;
    return largest > bus_largest(i->parts->bus);
}

static void on_retry(uv_timer_t *timer) {
    struct inbox *i = container_of(timer, struct inbox, retry);
    if (is_too_large(i)) {
        give_up(i, true);
        return;
    }
    switch (i->state) {
    case OPENING: open_queues(i); return;
    case IDLE:
    case RESTARTING: step(i); return;
    case LOOKING: look_up(i); return;
    case TRYING: try_next(i); return;
    case FORWARDING: forward_repeat(i->batch.forward); return;
    case STORING: store_deferred(i); return;
    case COMMITTING: log_writer_repeat(i->batch.writer); return;
    }
}

static void repeat_later(struct inbox *i) {
    MUST(uv_timer_start(&i->retry, on_retry, i->retry_ms, 0) == 0);
    i->retry_ms = i->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : i->retry_ms * 2;
}

/* --- committing --- */

static void on_committed(void *ctx, enum log_writer_result result) {
    struct inbox *i = ctx;
    if (result == LOG_WRITER_BUSY) {
        repeat_later(i);
        return;
    }
    if (result == LOG_WRITER_FENCED) {
        give_up(i, true);
        return;
    }
    i->state = IDLE;
    i->retry_ms = RETRY_MIN_MS;
    tracing_committed(&i->batch, i->parts->trace);
    receipt_ids_committed(&i->batch, i->parts->bus);
    outcomes_committed(&i->batch, i->parts->bus);
    handler_run_committed(&i->batch, i->cursor);
    if (!i->is_public)
        conn_queues_committed(i->parts->queues, i->slot, &i->batch.deferred, i->cursor);
    end_turn(i);
    step(i);
}

static void commit(struct inbox *i) {
    i->state = COMMITTING;
    log_writer_commit(i->batch.writer, i->cursor, i->head < i->tail, on_committed, i);
}

/* Whether to go on after a call. When not, it is repeated later, or the inbox ends; a reply of NULL
 * means that the broker is about to drop us. */
static bool is_accepted(struct inbox *i, const char *script, struct redisReply *reply) {
    if (i->is_closed || reply == NULL)
        return false;
    if (!reply_is_error(reply, NULL)) {
        trouble_clear(&i->unwritten);
        return true;
    }
    if (reply_is_error(reply, "FENCED")) {
        metrics_add(METRIC_fenced, 1);
        give_up(i, true);
    } else {
        bus_refused(i->parts->bus, script, reply);
        trouble_raise(&i->unwritten, reply_bytes(reply));
        repeat_later(i);
    }
    return false;
}

static void on_stored(void *ctx, struct redisReply *reply) {
    struct inbox *i = ctx;
    if (is_accepted(i, "defer.lua", reply))
        commit(i);
    unref(i);
}

static struct deferred_place place_of(struct inbox *i) {
    return (struct deferred_place){
        .bus = i->parts->bus, .partition = i->slot, .term = i->grant.term};
}

static void store_deferred(struct inbox *i) {
    struct deferred_place place = place_of(i);
    i->state = STORING;
    i->refs++;
    deferred_store(&place, i->batch.deferred.items, i->batch.deferred.count, on_stored, i);
}

static void on_forwarded(void *ctx, bool is_busy) {
    struct inbox *i = ctx;
    if (is_busy)
        repeat_later(i);
    else if (i->batch.deferred.count > 0)
        store_deferred(i);
    else
        commit(i);
}

/* --- processing --- */

static struct processing begin_entry(struct inbox *i) {
    return (struct processing){.parts = i->parts,
                               .batch = &i->batch,
                               .slot = i->slot,
                               .is_public = i->is_public,
                               .entry = i->queue[i->head++]};
}

static void end_entry(struct inbox *i, struct in_entry *entry) {
    i->cursor = entry->id;
    in_entry_unref(entry);
}

static void process_next(struct inbox *i) {
    const struct inbox_events *events = i->all->o.events;
    struct processing p = begin_entry(i);
    tracing_begin(&p);
    if (i->is_public)
        events->process_public(&p);
    else
        events->process(&p);
    tracing_end(&p);
    metrics_add(METRIC_entries, 1);
    i->all->places[i->slot].survived = p.entry->id;
    end_entry(i, p.entry);
}

static void send_batch(struct inbox *i) {
    if (i->head == i->tail && !i->is_ending && !is_memory_short(i->all))
        entry_reader_read(i->reader);
    i->state = FORWARDING;
    forward_send(i->batch.forward, on_forwarded, i);
}

/* The entry was there before this term, and this process has not survived it yet. */
static bool is_doubtful(const struct inbox *i) {
    const struct in_entry *next = i->queue[i->head];
    return i->doubtful > 0 && next->id.term < i->grant.term &&
           message_id_compare(next->id, i->all->places[i->slot].survived) > 0;
}

static void process_batch(struct inbox *i) {
    uint64_t from = clock_us();
    do
        process_next(i);
    while (i->head < i->tail && !is_doubtful(i) && clock_us() - from < BATCH_US &&
           log_writer_bytes(i->batch.writer) + forward_bytes(i->batch.forward) < BATCH_BYTES);
    send_batch(i);
}

/* --- entries that may have killed the previous owner --- */

static void give_up_entry(struct inbox *i) {
    struct processing p = begin_entry(i);
    dead_letter(&p, "its owners died of it");
    if (p.entry->is_back)
        conn_queues_give_up(&p);
    end_entry(i, p.entry);
}

static void on_tries(void *ctx, struct redisReply *reply) {
    struct inbox *i = ctx;
    if (is_accepted(i, "count_try.lua", reply)) {
        i->doubtful--;
        if (reply_number(reply, 1) >= TRIES_MAX)
            give_up_entry(i);
        else
            process_next(i);
        send_batch(i);
    }
    unref(i);
}

static void try_next(struct inbox *i) {
    i->state = TRYING;
    i->refs++;
    lease_try(i->all->o.lease, i->slot, i->queue[i->head]->id_text, on_tries, i);
}

/* --- messages with an id of their own: what was answered to them before --- */

static void on_looked_up(void *ctx, struct redisReply *reply) {
    struct inbox *i = ctx;
    if (is_accepted(i, "find_answers.lua", reply)) {
        for (size_t at = 0; at < repeats_count(i->batch.repeats); at++)
            repeats_take(i->batch.repeats, at, answers_read(reply, at));
        i->state = IDLE;
        i->retry_ms = RETRY_MIN_MS;
        step(i);
    }
    unref(i);
}

static void look_up(struct inbox *i) {
    i->state = LOOKING;
    i->refs++;
    struct answer_key keys[ENTRY_READER_MAX];
    repeats_keys(i->batch.repeats, keys);
    answers_ask(i->parts->bus, i->slot, keys, repeats_count(i->batch.repeats), on_looked_up, i);
}

/* What was read while the last batch was committed is looked up after that. */
static bool needs_a_look(struct inbox *i) {
    if (!i->is_new || i->is_public)
        return false;
    i->is_new = false;
    return repeats_look(i->batch.repeats, i->queue + i->head, i->tail - i->head);
}

/* --- the next thing to do --- */

static void on_restarted(void *ctx, struct redisReply *reply) {
    struct inbox *i = ctx;
    i->state = IDLE;
    if (is_accepted(i, "restart_stream.lua", reply)) {
        i->retry_ms = RETRY_MIN_MS;
        if (reply_number(reply, 0) == 0) {
            step(i);
        } else {
            log_warn("inbox", "stream_restarted after=%" PRIu64 "-%" PRIu64 ": an id of the future",
                     i->cursor.term, i->cursor.seq);
            metrics_add(METRIC_stream_restarts, 1);
            i->all->places[i->slot].survived = (struct message_id){0, 0};
            give_up(i, true);
        }
    }
    unref(i);
}

/* Somebody appended under an id of the future. */
static bool is_ahead(const struct inbox *i) {
    uint64_t now_ms = clock_wall_ms();
    return i->is_public && i->cursor.term > now_ms && i->cursor.term - now_ms > AHEAD_MS;
}

static void restart_stream(struct inbox *i) {
    char text[MESSAGE_ID_TEXT];
    i->state = RESTARTING;
    i->restart_ms = clock_ms() + RESTART_MS;
    i->refs++;
    lease_restart_stream(i->all->o.lease, i->slot, message_id_format(i->cursor, text), AHEAD_MS,
                         on_restarted, i);
}

/* While memory is short the entries stay in Redis. */
static void read_next(struct inbox *i) {
    bool has_leapt = is_ahead(i);
    if (has_leapt && clock_ms() >= i->restart_ms) {
        restart_stream(i);
        return;
    }
    if (has_leapt)
        MUST(uv_timer_start(&i->retry, on_retry, RESTART_MS, 0) == 0);
    if (is_memory_short(i->all))
        MUST(uv_timer_start(&i->retry, on_retry, MEMORY_MS, 0) == 0);
    else
        entry_reader_read(i->reader);
}

/* What waits for these handlers runs as soon as the next owner begins, so they get a moment to end.
 */
static bool has_last_handlers(const struct inbox *i) {
    return conn_queues_are_busy(i->parts->queues, i->slot) &&
           clock_ms() - i->ending_ms < LAST_HANDLERS_MS;
}

static void step(struct inbox *i) {
    if (i->state != IDLE || i->is_closed)
        return;
    uv_timer_stop(&i->retry);
    if (i->is_ending && has_last_handlers(i))
        MUST(uv_timer_start(&i->retry, on_retry, RETRY_MIN_MS, 0) == 0);
    else if (i->is_ending)
        give_up(i, false);
    else if (i->head == i->tail)
        read_next(i);
    else if (needs_a_look(i))
        look_up(i);
    else if (!is_doubtful(i))
        process_batch(i);
    else if (take_turn(i))
        try_next(i);
}

static void on_entries(void *ctx, struct in_entry **entries, size_t count) {
    struct inbox *i = ctx;
    MUST(i->head == i->tail && count <= ENTRY_READER_MAX);
    memcpy(i->queue, entries, count * sizeof(*entries));
    i->head = 0;
    i->tail = count;
    i->is_new = true;
    step(i);
}

/* --- the beginning --- */

static void open_logs(struct inbox *i, const struct lease_grant *grant) {
    static const struct entry_reader_events events = {on_entries};
    const struct settings *s = i->all->o.settings;
    struct bus *bus = i->parts->bus;
    char label[LEASE_LABEL], source[16];
    lease_label(i->all->o.lease, i->slot, label);
    snprintf(source, sizeof(source), i->is_public ? "x" : "p%u", i->slot);
    struct log_writer_options options = {
        .partition = i->slot,
        .label = label,
        .term = grant->term,
        .cursor = grant->cursor,
        .history_bytes = s->history_bytes,
        .history_messages = s->history_messages,
        .history_seconds = s->history_seconds,
        .keep_seconds = s->keep_seconds,
        .keep_all_until_ms =
            grant->is_doubtful ? clock_ms() + (uint64_t)s->history_seconds * 1000 : 0};
    trouble_init(&i->unwritten, bus_troubles(bus), TROUBLE_commits, label);
    i->batch.writer = log_writer_new(bus, &options);
    i->batch.repeats = i->is_public ? NULL : repeats_new();
    i->batch.forward = forward_new(bus, source, grant->generation);
    const struct entry_reader_options reading = {.partition = i->slot,
                                                 .kind = i->is_public ? ENTRY_READER_TEXT
                                                                      : ENTRY_READER_ENTRIES,
                                                 .cursor = grant->cursor,
                                                 .label = label};
    i->reader = entry_reader_new(bus, &reading, &events, i);
}

static void begin(struct inbox *i) {
    i->state = IDLE;
    if (i->is_ending)
        step(i);
    else
        read_next(i);
}

static void on_listed(void *ctx, struct redisReply *reply) {
    struct inbox *i = ctx;
    if (is_accepted(i, "list_deferred.lua", reply)) {
        struct deferred_place place = place_of(i);
        conn_queues_open(i->parts->queues, &place, i->grant.cursor, reply);
        i->retry_ms = RETRY_MIN_MS;
        begin(i);
    }
    unref(i);
}

static void open_queues(struct inbox *i) {
    struct deferred_place place = place_of(i);
    i->refs++;
    deferred_list(&place, on_listed, i);
}

/* --- all of them --- */

struct inboxes *inboxes_new(const struct inbox_options *options) {
    size_t slots = lease_public(options->lease) + 1;
    struct inboxes *all = mem_zalloc(sizeof(*all) + slots * sizeof(all->places[0]));
    all->o = *options;
    return all;
}

void inboxes_free(struct inboxes *all) {
    free(all);
}

void inboxes_take(struct inboxes *all, unsigned slot, const struct lease_grant *grant) {
    struct inbox *i = mem_zalloc(sizeof(*i));
    i->all = all;
    i->parts = all->o.parts;
    i->slot = slot;
    i->is_public = slot == lease_public(all->o.lease);
    i->refs = 1;
    i->grant = *grant;
    i->cursor = grant->cursor;
    i->doubtful = ENTRY_READER_MAX;
    i->retry_ms = RETRY_MIN_MS;
    MUST(uv_timer_init(all->o.loop, &i->retry) == 0);
    all->places[slot].inbox = i;
    open_logs(i, grant);
    if (i->is_public)
        begin(i);
    else
        open_queues(i);
}

bool inboxes_give_back(struct inboxes *all, unsigned slot) {
    struct inbox *i = all->places[slot].inbox;
    if (i == NULL)
        return false;
    i->is_ending = true;
    i->ending_ms = clock_ms();
    step(i);
    return true;
}

void inboxes_drop(struct inboxes *all, unsigned slot) {
    if (all->places[slot].inbox != NULL)
        close_inbox(all->places[slot].inbox);
}

bool inboxes_own(const struct inboxes *all, unsigned slot) {
    return all->places[slot].inbox != NULL;
}

uint64_t inboxes_stuck_ms(const struct inboxes *all, unsigned slot) {
    const struct inbox *i = all->places[slot].inbox;
    return i != NULL ? entry_reader_unread_ms(i->reader) : 0;
}
