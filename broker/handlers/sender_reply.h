/*
 * sender_reply.h - the replies to a sender: in signalbox.v1 to a message that bore a `ref`, and to
 * one that came by a request of its own (entry/outcomes.h). Other senders get none.
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_SENDER_REPLY_H
#define SIGNALBOX_BROKER_HANDLERS_SENDER_REPLY_H

#include "common/base/bytes.h"

struct client_message;
struct processing;

/* {"type":"ack","ref":…,"id":…}; id is null when the message left for other partitions only. A
 * request: 202. */
void sender_reply_ack(struct processing *p, const struct client_message *m);
/* {"type":"error","ref":…,"code":…,"message":…}; code: level, no_route,
 * bad_request, too_big, handler, busy. A request: the status of the code, with the message. */
void sender_reply_error(struct processing *p, const struct client_message *m, const char *code,
                        struct bytes why);

/* Nothing came of it, and only a request waits for an answer. */
void sender_reply_nothing(struct processing *p);

#endif
