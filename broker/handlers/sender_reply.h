/*
 * sender_reply.h - the replies to a sender: in signalbox.v1 to a message that bore a `ref`, and to
 * one that came by a request of its own (entry/outcomes.h). Other senders get none. What was
 * answered to a message with an id of its own is kept (repeats.h).
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_SENDER_REPLY_H
#define SIGNALBOX_BROKER_HANDLERS_SENDER_REPLY_H

#include "common/base/bytes.h"

struct client_message;
struct processing;

/* Why a message was not handled: the word, and what HTTP would have said. */
enum sender_fault {
    FAULT_LEVEL,       /* "level" 403 */
    FAULT_NO_ROUTE,    /* "no_route" 403 */
    FAULT_BAD_REQUEST, /* "bad_request" 400 */
    FAULT_TOO_BIG,     /* "too_big" 413 */
    FAULT_HANDLER,     /* "handler" 500 */
    FAULT_BUSY,        /* "busy" 429: it passes, so it is not kept */
    FAULT_CONFLICT     /* "conflict" 422: its id has an answer, which is not for this message */
};

/* {"type":"ack","ref":…,"id":…}; id is null when the message left for other partitions only. A
 * request: 202. */
void sender_reply_ack(struct processing *p, const struct client_message *m);
/* {"type":"error","ref":…,"code":…,"status":…,"message":…}, and retryMs where waiting helps.
 * A request: the status, with the message. */
void sender_reply_error(struct processing *p, const struct client_message *m,
                        enum sender_fault fault, struct bytes why);
/* The same as before: `answered` is what repeats_find found. */
void sender_reply_again(struct processing *p, const struct client_message *m,
                        struct bytes answered);

/* Nothing came of it, and only a request waits for an answer. */
void sender_reply_nothing(struct processing *p);

#endif
