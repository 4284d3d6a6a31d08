/*
 * sender_reply.h - the replies to a sender of signalbox.v1 whose message bore a `ref`. Other
 * senders get none.
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_SENDER_REPLY_H
#define SIGNALBOX_BROKER_HANDLERS_SENDER_REPLY_H

#include "common/base/bytes.h"

struct client_message;
struct processing;

/* {"type":"ack","ref":…,"id":…}; id is null when the message left for other partitions only. */
void sender_reply_ack(struct processing *p, const struct client_message *m);
/* {"type":"error","ref":…,"code":…,"message":…}; code: level, bad_request, too_big, handler, busy.
 */
void sender_reply_error(struct processing *p, const struct client_message *m, const char *code,
                        struct bytes why);

#endif
