/* replay.c - see replay.h. First the four questions about completeness, then the messages. */
#include "common/bus/replay.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bus/bus.h"
#include "common/bus/link.h"
#include "common/bus/log_reader.h"
#include "common/bus/partition.h"

struct replay {
    struct bus *bus;
    char *name;
    size_t name_len;
    struct message_id after, until;
    const struct replay_events *events;
    void *ctx;
    struct log_reader *reader;
    struct {
        bool has_first, has_last;
        struct message_id first, first_prev, last;
    } logs[LOG_COUNT];
    unsigned outstanding;
    bool is_broken, is_cancelled;
};

static void release(struct replay *r) {
    free(r->name);
    free(r);
}

static bool is_log_complete(const struct replay *r, enum which_log log) {
    struct message_id prev = r->logs[log].first_prev;
    if (message_id_compare(r->until, r->after) <= 0)
        return true;
    if (r->logs[log].has_first && message_id_compare(r->logs[log].first, r->after) <= 0)
        return true;
    if (r->logs[log].has_first)
        return !message_id_is_none(prev) && message_id_compare(prev, r->after) <= 0;
    return r->logs[log].has_last && message_id_compare(r->logs[log].last, r->after) <= 0;
}

static void finish(struct replay *r, int status) {
    r->reader = NULL;
    if (!r->is_cancelled)
        r->events->on_done(r->ctx, status,
                           status == 0 && is_log_complete(r, LOG_OWN) &&
                               is_log_complete(r, LOG_EVERY));
    release(r);
}

static void on_entry(void *ctx, enum which_log log, const struct message *m) {
    struct replay *r = ctx;
    (void)log;
    r->events->on_message(r->ctx, m);
}

static void on_read(void *ctx, int status) {
    finish(ctx, status);
}

static void answered(struct replay *r, struct redisReply *reply) {
    static const struct log_reader_events events = {on_entry, on_read};
    if (reply == NULL || reply_is_error(reply, NULL))
        r->is_broken = true;
    if (--r->outstanding > 0)
        return;
    if (r->is_cancelled || r->is_broken || !bus_can_send(r->bus)) {
        finish(r, -ENOTCONN);
        return;
    }
    struct message_id after[LOG_COUNT] = {r->after, r->after};
    r->reader =
        log_reader_start(r->bus, bytes_of(r->name, r->name_len), after, r->until, &events, r);
}

static void note_first(struct replay *r, enum which_log log, struct redisReply *reply) {
    struct redisReply *fields = reply_at(reply_at(reply, 0), 1);
    struct message m;
    if (message_decode(reply_bytes(reply_at(fields, 1)), &m) == PARSE_OK) {
        r->logs[log].has_first = true;
        r->logs[log].first = m.id;
        r->logs[log].first_prev = m.prev;
        message_free(&m);
    }
    answered(r, reply);
}

static void note_last(struct replay *r, enum which_log log, struct redisReply *reply) {
    r->logs[log].has_last = message_id_parse(reply_bytes(reply), &r->logs[log].last);
    answered(r, reply);
}

static void on_own_first(void *ctx, struct redisReply *reply) {
    note_first(ctx, LOG_OWN, reply);
}

static void on_every_first(void *ctx, struct redisReply *reply) {
    note_first(ctx, LOG_EVERY, reply);
}

static void on_own_last(void *ctx, struct redisReply *reply) {
    note_last(ctx, LOG_OWN, reply);
}

static void on_every_last(void *ctx, struct redisReply *reply) {
    note_last(ctx, LOG_EVERY, reply);
}

static void ask_first(struct replay *r, struct bytes key, link_reply_fn *fn) {
    struct command c = command_begin("XRANGE");
    command_bytes(&c, key);
    command_text(&c, "-");
    command_text(&c, "+");
    command_text(&c, "COUNT");
    command_number(&c, 1);
    r->outstanding++;
    link_send(bus_commands(r->bus), &c, fn, r);
}

static void ask_last(struct replay *r, struct bytes key, link_reply_fn *fn) {
    struct command c = command_begin("GET");
    command_bytes(&c, key);
    r->outstanding++;
    link_send(bus_commands(r->bus), &c, fn, r);
}

struct replay *replay_start(struct bus *bus, struct bytes name, struct message_id after,
                            struct message_id until, const struct replay_events *events,
                            void *ctx) {
    MUST(bus_can_send(bus));
    struct replay *r = mem_zalloc(sizeof(*r));
    struct buf key = {0};
    unsigned partition = partition_of(name, bus_partitions(bus));
    *r = (struct replay){
        .bus = bus, .name = bytes_dup(name), .name_len = name.len, .after = after, .until = until};
    r->events = events;
    r->ctx = ctx;
    ask_first(r, key_of(&key, partition, "h:", name), on_own_first);
    ask_first(r, key_of(&key, partition, "h*", BYTES_NONE), on_every_first);
    ask_last(r, key_of(&key, partition, "l:", name), on_own_last);
    ask_last(r, key_of(&key, partition, "l*", BYTES_NONE), on_every_last);
    buf_deinit(&key);
    return r;
}

void replay_cancel(struct replay *r) {
    if (r == NULL)
        return;
    r->is_cancelled = true;
    if (r->reader != NULL) {
        log_reader_cancel(r->reader);
        release(r);
    }
}
