/* forward.c - see forward.h. There is a lane for each partition; read send_lane. */
#include "common/bus/log/forward.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bulk.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/append.h"
#include "common/bus/redis/troubles.h"

enum { GENERATION_TEXT = 22 };

struct forward_item {
    struct forward_item *next;
    char seq[GENERATION_TEXT + FORWARD_SEQ_TEXT];
    struct bytes entry, once;
    char bytes[];
};

struct forward_lane {
    struct forward *forward;
    unsigned partition;
    struct forward_item *head, *tail;
    size_t in_flight; /* items of the call under way */
    struct bulk_turn turn;
    struct trouble refused;
};

struct forward {
    struct bus *bus;
    char source[16];
    char generation[GENERATION_TEXT]; /* before each sequence text */
    unsigned refs;
    bool is_closed, is_busy;
    size_t bytes, count;
    unsigned calls; /* under way, or waiting for their turn */
    forward_done_fn *done;
    void *ctx;
    unsigned lane_count;
    struct forward_lane lanes[];
};

const char *forward_seq(struct message_id entry, unsigned index, char text_out[FORWARD_SEQ_TEXT]) {
    MUST(index <= FORWARD_INDEX_MAX);
    snprintf(text_out, FORWARD_SEQ_TEXT, "%020" PRIu64 "%020" PRIu64 "%04u", entry.term, entry.seq,
             index);
    return text_out;
}

void forward_add(struct forward *f, unsigned partition, const char *seq, struct bytes entry,
                 struct bytes once) {
    struct forward_lane *lane = &f->lanes[partition];
    struct forward_item *item = mem_alloc(sizeof(*item) + entry.len + once.len);
    MUST(f->done == NULL);
    *item = (struct forward_item){.entry = {item->bytes, entry.len},
                                  .once = {item->bytes + entry.len, once.len}};
    snprintf(item->seq, sizeof(item->seq), "%s%s", f->generation, seq);
    memcpy(item->bytes, entry.ptr, entry.len);
    if (once.len > 0)
        memcpy(item->bytes + entry.len, once.ptr, once.len);
    if (lane->tail != NULL)
        lane->tail->next = item;
    else
        lane->head = item;
    lane->tail = item;
    f->bytes += entry.len;
    f->count++;
}

size_t forward_bytes(const struct forward *f) {
    return f->bytes;
}

size_t forward_count(const struct forward *f) {
    return f->count;
}

static size_t largest_of(const struct forward_lane *lane) {
    size_t largest = 0;
    for (const struct forward_item *i = lane->head; i != NULL; i = i->next)
        largest = i->entry.len > largest ? i->entry.len : largest;
    return largest;
}

size_t forward_largest(const struct forward *f) {
    size_t largest = 0;
    for (unsigned i = 0; i < f->lane_count; i++) {
        size_t here = largest_of(&f->lanes[i]);
        largest = here > largest ? here : largest;
    }
    return largest;
}

/* --- sending --- */

static void pop(struct forward_lane *lane) {
    struct forward_item *item = lane->head;
    lane->head = item->next;
    if (lane->head == NULL)
        lane->tail = NULL;
    lane->forward->bytes -= item->entry.len;
    lane->forward->count--;
    free(item);
}

static void unref(struct forward *f) {
    if (--f->refs > 0)
        return;
    for (unsigned i = 0; i < f->lane_count; i++)
        while (f->lanes[i].head != NULL)
            pop(&f->lanes[i]);
    free(f);
}

/* All items up to the first with an idempotency key; that one travels alone. */
static size_t bytes_of_call(const struct forward_lane *lane) {
    size_t bytes = lane->head->entry.len;
    if (lane->head->once.len > 0)
        return bytes;
    for (const struct forward_item *i = lane->head->next; i != NULL && i->once.len == 0;
         i = i->next)
        bytes += i->entry.len;
    return bytes;
}

static struct command next_call(struct forward_lane *lane) {
    const struct append a = {.partition = lane->partition,
                             .source = bytes_str(lane->forward->source),
                             .once = lane->head->once,
                             .limit = APPEND_LIMIT_BROKER};
    if (a.once.len > 0) {
        lane->in_flight = 1;
        return append_once(&a, lane->head->seq, lane->head->entry);
    }
    struct command c = append_begin(SCRIPT_forward, &a);
    for (struct forward_item *i = lane->head; i != NULL && i->once.len == 0; i = i->next) {
        command_text(&c, i->seq);
        command_bytes(&c, i->entry);
        lane->in_flight++;
    }
    return c;
}

static void on_answer(void *ctx, struct redisReply *reply);

static void end_turn(struct forward_lane *lane) {
    bulk_leave(bus_bulk(lane->forward->bus, lane->partition), &lane->turn);
}

/* The lane has its turn. If the link breaks first, the owner forgets everything. */
static void send_call(struct forward_lane *lane) {
    struct forward *f = lane->forward;
    if (!bus_can_send(f->bus))
        return;
    if (!bus_takes_now(f->bus, lane->partition, largest_of(lane))) {
        end_turn(lane);
        f->calls--;
        f->is_busy = true; /* the caller repeats */
        return;
    }
    struct command c = next_call(lane);
    f->refs++;
    bus_send(f->bus, lane->partition, &c, on_answer, lane);
}

static void send_lane(struct forward_lane *lane) {
    struct forward *f = lane->forward;
    if (lane->head == NULL || lane->turn.state != BULK_NONE)
        return;
    f->calls++;
    if (bulk_take(bus_bulk(f->bus, lane->partition), &lane->turn, bytes_of_call(lane)))
        send_call(lane);
}

static void finish(struct forward *f) {
    forward_done_fn *done = f->done;
    if (f->calls > 0 || done == NULL)
        return;
    if (!f->is_busy)
        f->done = NULL;
    done(f->ctx, f->is_busy);
}

static void on_turn(struct bulk_turn *turn) {
    struct forward_lane *lane = container_of(turn, struct forward_lane, turn);
    send_call(lane);
    finish(lane->forward);
}

static void read_answer(struct forward_lane *lane, struct redisReply *reply) {
    struct forward *f = lane->forward;
    size_t answered = lane->in_flight;
    lane->in_flight = 0;
    f->calls--;
    if (reply == NULL)
        return; /* unknown: the owner forgets everything and begins anew */
    if (reply_is_error(reply, NULL)) {
        append_refused(f->bus, "forward.lua", reply, &lane->refused);
        f->is_busy = true;
    } else {
        trouble_clear(&lane->refused);
        metrics_add(METRIC_forwards, (int64_t)answered);
        while (answered-- > 0)
            pop(lane);
        send_lane(lane);
    }
    finish(f);
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct forward_lane *lane = ctx;
    struct forward *f = lane->forward;
    end_turn(lane);
    if (!f->is_closed)
        read_answer(lane, reply);
    unref(f);
}

void forward_send(struct forward *f, forward_done_fn *done, void *ctx) {
    MUST(f->done == NULL);
    f->done = done;
    f->ctx = ctx;
    forward_repeat(f);
}

void forward_repeat(struct forward *f) {
    f->is_busy = false;
    for (unsigned i = 0; i < f->lane_count; i++)
        send_lane(&f->lanes[i]);
    if (f->calls == 0)
        finish(f);
}

/* --- life --- */

struct forward *forward_new(struct bus *bus, const char *source, uint64_t generation) {
    unsigned lanes = bus_partitions(bus);
    struct forward *f = mem_zalloc(sizeof(*f) + lanes * sizeof(f->lanes[0]));
    f->bus = bus;
    f->refs = 1;
    snprintf(f->source, sizeof(f->source), "%s", source);
    /* The ms of an id begin with 0 or 1: the 9 puts what has a generation behind what has none. */
    if (generation > 0)
        snprintf(f->generation, sizeof(f->generation), "9%020" PRIu64, generation);
    f->lane_count = lanes;
    for (unsigned i = 0; i < lanes; i++) {
        char at[TROUBLE_AT_MAX];
        f->lanes[i] =
            (struct forward_lane){.forward = f, .partition = i, .turn = {.on_turn = on_turn}};
        snprintf(at, sizeof(at), "%s -> %u", source, i);
        trouble_init(&f->lanes[i].refused, bus_troubles(bus), TROUBLE_commits, at);
    }
    return f;
}

void forward_close(struct forward *f) {
    if (f == NULL)
        return;
    f->is_closed = true;
    f->done = NULL;
    for (unsigned i = 0; i < f->lane_count; i++) {
        end_turn(&f->lanes[i]);
        trouble_clear(&f->lanes[i].refused);
    }
    unref(f);
}

void forward_publish_once(struct bus *bus, unsigned partition, struct bytes name, struct bytes key,
                          struct bytes entry) {
    struct buf text = {0};
    const struct append a = {.partition = partition,
                             .source = BYTES_LIT(""),
                             .once = append_once_key(&text, partition, name, key),
                             .limit = APPEND_LIMIT_BROKER};
    struct command c = append_once(&a, "0", entry);
    bus_send(bus, partition, &c, NULL, NULL);
    buf_deinit(&text);
}
