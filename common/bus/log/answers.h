/*
 * answers.h - what was answered to messages to which their senders gave an id of their own, so that
 * one that comes again is answered as the first time and does nothing.
 *
 *     answers_ask ─▶ answers_read: none ─▶ process ─▶ log_writer_answer, with the commit
 *                           └ an answer ─▶ answer again
 *
 * Only the partition's owner asks. What it processed itself since it asked it has to know.
 *
 * An id belongs to a client id and a Name. The latest ANSWERS_KEPT of them are kept, twice as many
 * at most, for ANSWERS_SECONDS: in two hashes that are filled in turn (commit.lua).
 */
#ifndef SIGNALBOX_BUS_LOG_ANSWERS_H
#define SIGNALBOX_BUS_LOG_ANSWERS_H

#include "common/base/buf.h"
#include "common/bus/redis/reply.h"

struct bus;

enum { ANSWERS_KEPT = 128, ANSWERS_SECONDS = 300 };
enum { ANSWER_ID_MAX = 128, ANSWER_BYTES_MAX = 256 /* bytes */ };
/* Of these, what tells the message that was answered from others with its id. */
enum { ANSWER_MARK = 17 };

struct answer_key {
    struct bytes name, client_id; /* of the sender's connection */
    struct bytes id;              /* answer_id_is_valid */
};

#define ANSWER_ID_RULE "must be a text of 1 to 128 bytes without control characters"
_Static_assert(ANSWER_ID_MAX == 128, "as ANSWER_ID_RULE says");
bool answer_id_is_valid(struct bytes id);

/* The reply is NULL when the link broke, an error when Redis refuses for now. */
void answers_ask(struct bus *bus, unsigned partition, const struct answer_key *asked, size_t count,
                 reply_fn *fn, void *ctx);
/* What the reply says about asked[index]; empty: nothing was answered yet. Borrows. */
struct bytes answers_read(const struct redisReply *reply, size_t index);

/* The keys of the two hashes, into `out`. */
struct bytes answers_key(struct buf *out, unsigned partition, const struct answer_key *k,
                         bool is_second);

#endif
