/*
 * log_writer.h - appends to the logs of a partition: the outputs of one batch of entries, in one
 * step with the cursor (commit.lua). Only the partition's owner has one.
 *
 *     log_writer_add(o, …) for each message;  log_writer_commit(o, cursor, …);
 *
 * Ids are <term>-<seq>, rising over all logs of the partition. Each message names the one before it
 * in its log (`prev`, also where no history is kept, so that a hole shows). For a log not seen in
 * this term the key l: tells it. The logs seen last are remembered, LOG_WRITER_LOGS of them. The
 * history is bounded by bytes, messages (history.h) and time. What goes to a Name that nobody has
 * joined is published and leaves no key. While Redis is nearly full histories are shorter, and in
 * the end nothing is kept. A note (envelope.h) has an id and no place in its log: it is published.
 * Of a Name with `keep` the newest messages are also kept in a stream of their own (K k:), for
 * keep_seconds, whoever has joined.
 *
 * If an answer does not come (the link broke), nothing is assumed: there is no callback, and the
 * owner forgets the partition.
 */
#ifndef SIGNALBOX_BUS_LOG_LOG_WRITER_H
#define SIGNALBOX_BUS_LOG_LOG_WRITER_H

#include "common/bus/log/output.h"

struct answer_key;
struct bus;
struct log_writer;

enum { LOG_WRITER_LOGS = 10000 };

struct log_writer_options {
    unsigned partition; /* or the number of partitions: the public stream, which has no logs */
    const char *label;  /* of its troubles: "3", "public"; borrowed for the call */
    uint64_t term;
    struct message_id cursor;
    int64_t history_bytes, history_messages, history_seconds, keep_seconds;
    uint64_t keep_all_until_ms; /* by clock_ms: keep also the logs of Names that nobody joined */
};

struct log_writer *log_writer_new(struct bus *bus, const struct log_writer_options *options);
/* NULL is legal. No more callbacks. */
void log_writer_close(struct log_writer *o);

/* Copies what the output borrows, until the commit, and returns its id. Not while a commit is under
 * way. */
struct message_id log_writer_add(struct log_writer *o, const struct output *output);
/* Keeps what was answered to a message with an id of its own (answers.h) with the commit: at most
 * ANSWER_BYTES_MAX. Copies both. */
void log_writer_answer(struct log_writer *o, const struct answer_key *to, struct bytes answer);
size_t log_writer_bytes(const struct log_writer *o);
size_t log_writer_count(const struct log_writer *o);
/* Bytes of the largest message of a commit under way. */
size_t log_writer_largest(const struct log_writer *o);

enum log_writer_result {
    LOG_WRITER_DONE,
    LOG_WRITER_BUSY, /* Redis refused for now (out of memory, disk full): log_writer_repeat later */
    LOG_WRITER_FENCED /* the partition is another broker's, or Redis fell back: forget it */
};
typedef void log_writer_done_fn(void *ctx, enum log_writer_result result);
/* done may be called inside, with LOG_WRITER_BUSY. has_more: entries beyond the cursor were read
 * already, so `in` need not be trimmed yet. */
void log_writer_commit(struct log_writer *o, struct message_id cursor, bool has_more,
                       log_writer_done_fn *done, void *ctx);
void log_writer_repeat(struct log_writer *o);

#endif
