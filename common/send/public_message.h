/*
 * public_message.h - what redis-cli, the CLI and programs may say at the public entrances, POST
 * /send and POST /close included: one reader, so that what one of them accepts the broker accepts.
 *
 *     {"name": …, "group": …, "clientId": …, "data": …}      strings or lists; keys without case
 *     "binary": true    a binary message              "id": "…"    makes a retry harmless
 *     "receipt": "…"    what became of it is reported under this token (publish.h)
 *     "op": "close", "code": 1000, "reason": "…"      closes connections instead
 */
#ifndef SIGNALBOX_SEND_PUBLIC_MESSAGE_H
#define SIGNALBOX_SEND_PUBLIC_MESSAGE_H

#include "common/send/delivery.h"
#include "common/send/message_form.h"

enum public_op { PUBLIC_OP_SEND, PUBLIC_OP_CLOSE };

enum { PUBLIC_ID_MAX = 256 };

struct public_message {
    enum public_op op;
    bool has_op, has_id; /* the key is there */
    struct texts names, groups, clients;
    struct buf id, receipt; /* empty: none */
    struct buf data;        /* or the reason */
    bool is_json;           /* data is the JSON text of a value that is no string */
    bool is_binary;
    bool is_nothing; /* empty data, or an empty list as address: correct, and nothing to do */
    int code;        /* of a close */
};

enum public_fault {
    PUBLIC_FINE,
    PUBLIC_BAD,
    PUBLIC_TOO_BIG /* data is over max_bytes, or there are too many Names for it */
};

/* One line in error_out unless it is fine. op: what it is unless the text says so. text need not
 * outlive the call; *m_out is initialised in any case. */
enum public_fault public_message_read(struct public_message *m_out, struct bytes text,
                                      enum public_op op, size_t max_bytes, struct buf *error_out);
/* What it asks for; borrows from the message. */
struct delivery public_message_delivery(const struct public_message *m, uint64_t ts_ms);
void public_message_deinit(struct public_message *m);

#endif
