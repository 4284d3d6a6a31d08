/*
 * public_message.h - the JSON of a send or a close as redis-cli, the CLI and programs write it at
 * the public entrances, POST /send and POST /close included. All of them share this reader, so that
 * a broker accepts what an entrance has accepted.
 *
 *     {"name": …, "group": …, "clientId": …, "data": …}      strings or lists; keys without case
 *     "binary": true    a binary message              "id": "…"    makes a retry harmless
 *     "compress": false    compressed for nobody
 *     "receipt": "…"    what became of it is reported under this token (publish.h)
 *     "op": "close", "code": 1000, "reason": "…"      closes connections instead
 *     "op": "join" or "leave"    changes the groups of one connection: name, clientId, group
 *
 * What an entrance has accepted a broker still refuses when a broadcast level does not allow it,
 * when its own --max-message-bytes is lower, or when Redis takes less than it did.
 */
#ifndef SIGNALBOX_SEND_PUBLIC_MESSAGE_H
#define SIGNALBOX_SEND_PUBLIC_MESSAGE_H

#include "common/send/delivery.h"
#include "common/send/message_form.h"

enum public_op { PUBLIC_OP_SEND, PUBLIC_OP_CLOSE, PUBLIC_OP_JOIN, PUBLIC_OP_LEAVE };

enum { PUBLIC_ID_MAX = 256 };

struct public_message {
    enum public_op op;
    bool has_op, has_id; /* the key is present */
    struct texts names, groups, clients;
    struct buf id, receipt; /* empty: none */
    struct buf data;        /* or the reason */
    bool is_json;           /* data is the JSON text of a value that is no string */
    bool is_binary, is_uncompressed;
    bool is_nothing; /* empty data, or an empty list as address: correct, but nothing to send */
    int code;        /* of a close */
};

enum public_fault {
    PUBLIC_FINE,
    PUBLIC_BAD,
    PUBLIC_TOO_BIG /* for the limits, or for so many Names */
};

struct public_limits {
    size_t max_bytes;      /* of the data */
    const struct bus *bus; /* whether its Redis takes what the message becomes; NULL: not asked */
};

/* Writes one line to error_out unless the message is fine. op holds unless the text has an "op".
 * text need not outlive the call; *m_out is initialised in any case. */
enum public_fault public_message_read(struct public_message *m_out, struct bytes text,
                                      enum public_op op, const struct public_limits *limits,
                                      struct buf *error_out);
/* What is wrong with an idempotency key, or NULL. It follows "id: ". */
const char *public_message_id_fault(struct bytes id);
/* What it asks for; borrows from the message. */
struct delivery public_message_delivery(const struct public_message *m, uint64_t ts_ms);
/* Appends the JSON of a delivery, which public_message_read reads as the same; its texts must be
 * UTF-8. Returns how many bytes stand before the data, or before the reason of a close. */
size_t public_message_write(struct buf *out, const struct delivery *d);
/* Appends "group":["a","b"], with its comma; nothing for an absent list. */
void public_message_write_list(struct buf *out, enum message_key key, struct bytes_list list);

/*
 * For POST /send, /close, /join and /leave: checks a request's body, since its sender would not
 * learn of a mistake that a broker finds, and appends the text for Redis. The sender's text of the
 * data stays as it is; "op" is added to what is no send. Nothing is appended when there is nothing
 * to send. id: the idempotency key of the request's head, or empty; it must not differ from the
 * body's own. Returns 0, or an HTTP status (400, 413) with one line in error_out.
 */
int public_message_admit(enum public_op op, struct bytes text, struct bytes id,
                         const struct public_limits *limits, struct buf *out,
                         struct buf *error_out);

void public_message_deinit(struct public_message *m);

#endif
