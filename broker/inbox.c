/* inbox.c - see inbox.h. Read step: it is called whenever something has ended, and begins the next.
 */
#include "broker/inbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "broker/entry/dead_letter.h"
#include "broker/entry/conn_queues.h"
#include "broker/entry/processing.h"
#include "broker/entry/receipt_ids.h"
#include "broker/handlers/handler_run.h"
#include "broker/entry/tracing.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/log/deferred.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/forward.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/log/log_writer.h"
#include "common/bus/redis/troubles.h"

enum {
    QUEUE_MAX = 128, /* entries of one read */
    BATCH_BYTES = 256 * 1024,
    BATCH_US = 10000,
    TRIES_MAX = 3,
    RETRY_MIN_MS = 50,
    RETRY_MAX_MS = 500,
    LAST_HANDLERS_MS = 1000 /* how long an end waits for handlers that wait */
};

enum state { OPENING, IDLE, TRYING, FORWARDING, STORING, COMMITTING };

struct inbox {
    struct broker *broker;
    unsigned slot, refs;
    enum state state;
    bool is_ending, is_closed;
    uint64_t ending_ms; /* since when */
    struct lease_grant grant;
    struct deferred_batch deferred;
    struct buf own_key;
    inbox_process_fn *process;
    struct entry_reader *reader;
    struct log_writer *writer;
    struct forward *forward;
    struct in_entry *queue[QUEUE_MAX]; /* read and not processed: from head to tail */
    size_t head, tail;
    struct message_id cursor; /* of the batch: its last entry */
    unsigned doubtful;        /* so many more entries may have killed the previous owner */
    uv_timer_t retry;
    uint64_t retry_ms;
    struct handler_run *open_runs;
    struct trouble unwritten; /* a script of ours is refused */
};

static void step(struct inbox *i);

static bool is_public(const struct inbox *i) {
    return i->slot == lease_public(i->broker->lease);
}

static void unref(struct inbox *i) {
    if (--i->refs > 0)
        return;
    buf_deinit(&i->own_key);
    deferred_batch_deinit(&i->deferred);
    free(i);
}

/* --- turns: doubtful entries run one at a time in the whole process, each until it is committed,
 * so that the entry that kills the process is the only one whose tries have counted --- */

static bool take_turn(struct inbox *i) {
    if (i->broker->alone == NULL)
        i->broker->alone = i;
    return i->broker->alone == i;
}

static void end_turn(struct inbox *i) {
    struct broker *b = i->broker;
    if (b->alone != i)
        return;
    b->alone = NULL;
    for (unsigned slot = 0; slot <= lease_public(b->lease) && bus_can_send(b->bus); slot++)
        if (b->inboxes[slot] != NULL && b->inboxes[slot] != i)
            step(b->inboxes[slot]);
}

/* --- the end --- */

static void on_retry_closed(uv_handle_t *handle) {
    unref(container_of((uv_timer_t *)handle, struct inbox, retry));
}

void inbox_close(struct inbox *i) {
    if (i == NULL || i->is_closed)
        return;
    i->is_closed = true;
    trouble_clear(&i->unwritten);
    tracing_lost(i->broker, i->slot);
    receipt_ids_lost(i->broker, i->slot);
    entry_reader_close(i->reader);
    log_writer_close(i->writer);
    forward_close(i->forward);
    while (i->head < i->tail)
        in_entry_unref(i->queue[i->head++]);
    if (!is_public(i))
        conn_queues_close(i->broker->queues, i->slot);
    while (i->open_runs != NULL)
        handler_run_settle(i->open_runs, false);
    end_turn(i);
    uv_close((uv_handle_t *)&i->retry, on_retry_closed);
}

static void give_up(struct inbox *i, bool is_fenced) {
    struct broker *b = i->broker;
    unsigned slot = i->slot;
    inbox_close(i);
    broker_on_inbox_end(b, slot, is_fenced);
}

void inbox_end(struct inbox *i) {
    i->is_ending = true;
    i->ending_ms = clock_ms();
    step(i);
}

/* --- what Redis refuses for now --- */

static void try_next(struct inbox *i);
static void store_deferred(struct inbox *i);
static void open_lanes(struct inbox *i);

/* Redis turned out not to take what these entries led to: processed anew, they are refused. */
static bool is_too_large(const struct inbox *i) {
    size_t largest = i->state == FORWARDING   ? forward_largest(i->forward)
                     : i->state == COMMITTING ? log_writer_largest(i->writer)
                                              : 0;
    return largest > bus_largest(i->broker->bus);
}

static void on_retry(uv_timer_t *timer) {
    struct inbox *i = container_of(timer, struct inbox, retry);
    if (is_too_large(i)) {
        give_up(i, true);
        return;
    }
    switch (i->state) {
    case OPENING: open_lanes(i); return;
    case IDLE: step(i); return;
    case TRYING: try_next(i); return;
    case FORWARDING: forward_repeat(i->forward); return;
    case STORING: store_deferred(i); return;
    case COMMITTING: log_writer_repeat(i->writer); return;
    }
}

static void repeat_later(struct inbox *i) {
    MUST(uv_timer_start(&i->retry, on_retry, i->retry_ms, 0) == 0);
    i->retry_ms = i->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : i->retry_ms * 2;
}

/* --- committing --- */

static void settle_runs(struct inbox *i) {
    for (struct handler_run *r = i->open_runs, *next; r != NULL; r = next) {
        next = r->next;
        if (message_id_compare(r->entry->id, i->cursor) <= 0)
            handler_run_settle(r, true);
    }
}

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
    tracing_committed(i->broker, i->slot);
    receipt_ids_committed(i->broker, i->slot);
    settle_runs(i);
    if (!is_public(i))
        conn_queues_committed(i->broker->queues, i->slot, &i->deferred, i->cursor);
    end_turn(i);
    step(i);
}

static void commit(struct inbox *i) {
    i->state = COMMITTING;
    log_writer_commit(i->writer, i->cursor, i->head < i->tail, on_committed, i);
}

/* A call that is not repeated as it was: NULL comes before the broker closes us. True: go on. */
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
        bus_refused(i->broker->bus, script, reply);
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
    return (struct deferred_place){.bus = i->broker->bus,
                                   .own_key = buf_bytes(&i->own_key),
                                   .partition = i->slot,
                                   .term = i->grant.term};
}

static void store_deferred(struct inbox *i) {
    struct deferred_place place = place_of(i);
    i->state = STORING;
    i->refs++;
    deferred_store(&place, i->deferred.items, i->deferred.count, on_stored, i);
}

static void on_forwarded(void *ctx, bool is_busy) {
    struct inbox *i = ctx;
    if (is_busy)
        repeat_later(i);
    else if (i->deferred.count > 0)
        store_deferred(i);
    else
        commit(i);
}

/* --- processing --- */

static void process_next(struct inbox *i) {
    struct in_entry *entry = i->queue[i->head++];
    struct processing p = {.broker = i->broker,
                           .slot = i->slot,
                           .entry = entry,
                           .writer = i->writer,
                           .forward = i->forward,
                           .deferred = &i->deferred,
                           .open_runs = &i->open_runs};
    tracing_begin(&p);
    i->process(&p);
    tracing_end(&p);
    metrics_add(METRIC_entries, 1);
    i->cursor = entry->id;
    i->broker->survived[i->slot] = entry->id;
    in_entry_unref(entry);
}

static void send_batch(struct inbox *i) {
    if (i->head == i->tail && !i->is_ending)
        entry_reader_read(i->reader);
    i->state = FORWARDING;
    forward_send(i->forward, on_forwarded, i);
}

/* Made before this term, and not outlived by this process yet. */
static bool is_doubtful(const struct inbox *i) {
    const struct in_entry *next = i->queue[i->head];
    return i->doubtful > 0 && next->id.term < i->grant.term &&
           message_id_compare(next->id, i->broker->survived[i->slot]) > 0;
}

static void process_batch(struct inbox *i) {
    uint64_t from = clock_us();
    do
        process_next(i);
    while (i->head < i->tail && !is_doubtful(i) && clock_us() - from < BATCH_US &&
           log_writer_bytes(i->writer) + forward_bytes(i->forward) < BATCH_BYTES);
    send_batch(i);
}

/* --- entries that may have killed the previous owner --- */

static void give_up_entry(struct inbox *i) {
    struct in_entry *entry = i->queue[i->head++];
    struct processing p = {
        .broker = i->broker, .slot = i->slot, .entry = entry, .deferred = &i->deferred};
    dead_letter(i->broker, i->slot, entry, "its owners died of it");
    if (entry->is_back)
        conn_queues_give_up(&p);
    i->cursor = entry->id;
    in_entry_unref(entry);
}

static void run_alone(struct inbox *i, int64_t tries) {
    i->doubtful--;
    if (tries > TRIES_MAX - 1) {
        give_up_entry(i);
    } else {
        process_next(i);
    }
    send_batch(i);
}

static void on_tries(void *ctx, struct redisReply *reply) {
    struct inbox *i = ctx;
    if (is_accepted(i, "count_try.lua", reply))
        run_alone(i, reply_number(reply, 1));
    unref(i);
}

static void try_next(struct inbox *i) {
    i->state = TRYING;
    i->refs++;
    lease_try(i->broker->lease, i->slot, i->queue[i->head]->id_text, on_tries, i);
}

/* --- the next thing to do --- */

/* The next owner begins with what waits for these, so they get a moment to end. */
static bool has_last_handlers(const struct inbox *i) {
    return conn_queues_are_busy(i->broker->queues, i->slot) &&
           clock_ms() - i->ending_ms < LAST_HANDLERS_MS;
}

static void step(struct inbox *i) {
    if (i->state != IDLE || i->is_closed)
        return;
    if (i->is_ending && has_last_handlers(i))
        MUST(uv_timer_start(&i->retry, on_retry, RETRY_MIN_MS, 0) == 0);
    else if (i->is_ending)
        give_up(i, false);
    else if (i->head == i->tail)
        entry_reader_read(i->reader);
    else if (!is_doubtful(i))
        process_batch(i);
    else if (take_turn(i))
        try_next(i);
}

static void on_entries(void *ctx, struct in_entry **entries, size_t count) {
    struct inbox *i = ctx;
    MUST(i->head == i->tail && count <= QUEUE_MAX);
    i->head = i->tail = 0;
    while (i->tail < count) {
        i->queue[i->tail] = entries[i->tail];
        i->tail++;
    }
    step(i);
}

uint64_t inbox_stuck_ms(const struct inbox *i) {
    return entry_reader_unread_ms(i->reader);
}

/* --- the beginning --- */

static void open_logs(struct inbox *i, const struct lease_grant *grant) {
    static const struct entry_reader_events events = {on_entries};
    const struct settings *s = i->broker->settings;
    struct bus *bus = i->broker->bus;
    struct buf in = {0}, lease = {0};
    char label[LEASE_LABEL], source[16];
    lease_keys(i->broker->lease, i->slot, &i->own_key, &lease);
    buf_deinit(&lease);
    lease_label(i->broker->lease, i->slot, label);
    snprintf(source, sizeof(source), is_public(i) ? "x" : "p%u", i->slot);
    if (is_public(i))
        buf_append_str(&in, fleet_key(KEY_PUBLIC_SEND));
    else
        key_of(&in, i->slot, "in", BYTES_NONE);
    struct log_writer_options options = {.own_key = buf_bytes(&i->own_key),
                                         .in_key = buf_bytes(&in),
                                         .partition = is_public(i) ? 0 : i->slot,
                                         .label = label,
                                         .term = grant->term,
                                         .cursor = grant->cursor,
                                         .history_bytes = s->history_bytes,
                                         .history_messages = s->history_messages,
                                         .history_seconds = s->history_seconds};
    trouble_init(&i->unwritten, bus_troubles(bus), TROUBLE_commits, label);
    i->writer = log_writer_new(bus, &options);
    i->forward = forward_new(bus, source);
    i->reader = entry_reader_new(bus, buf_bytes(&in),
                                 is_public(i) ? ENTRY_READER_TEXT : ENTRY_READER_ENTRIES,
                                 grant->cursor, label, &events, i);
    buf_deinit(&in);
}

static void begin(struct inbox *i) {
    i->state = IDLE;
    if (i->is_ending)
        step(i);
    else
        entry_reader_read(i->reader);
}

static void on_listed(void *ctx, struct redisReply *reply) {
    struct inbox *i = ctx;
    if (is_accepted(i, "list_deferred.lua", reply)) {
        conn_queues_open(i->broker->queues, i->slot, &i->grant, reply);
        i->retry_ms = RETRY_MIN_MS;
        begin(i);
    }
    unref(i);
}

static void open_lanes(struct inbox *i) {
    struct deferred_place place = place_of(i);
    i->refs++;
    deferred_list(&place, on_listed, i);
}

struct inbox *inbox_new(struct broker *b, unsigned slot, const struct lease_grant *grant,
                        inbox_process_fn *process) {
    struct inbox *i = mem_zalloc(sizeof(*i));
    i->broker = b;
    i->slot = slot;
    i->refs = 1;
    i->grant = *grant;
    i->process = process;
    i->doubtful = QUEUE_MAX;
    i->retry_ms = RETRY_MIN_MS;
    MUST(uv_timer_init(b->loop, &i->retry) == 0);
    open_logs(i, grant);
    if (is_public(i))
        begin(i);
    else
        open_lanes(i);
    return i;
}
