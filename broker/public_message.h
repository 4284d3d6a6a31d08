/*
 * public_message.h - what redis-cli, the CLI and programs may say at the public entrances:
 *
 *     {"name": …, "group": …, "clientId": …, "data": …}      strings or lists; keys without case
 *     "binary": true    a binary message              "id": "…"    makes a retry harmless
 *     "receipt": "…"    gateways report under this token what became of it (publish.h)
 *     "op": "close", "code": 1000, "reason": "…"      closes connections instead
 */
#ifndef SIGNALBOX_BROKER_PUBLIC_MESSAGE_H
#define SIGNALBOX_BROKER_PUBLIC_MESSAGE_H

#include "broker/broadcast.h"
#include "broker/texts.h"

struct public_message {
    struct texts names, groups, clients, id, receipt;
    struct buf data; /* or the reason */
    struct delivery delivery;
    bool is_nothing; /* empty data: correct, and nothing to send */
};

/* false with one line in error_out. text need not outlive the call; delivery borrows from *m_out,
 * which is initialised in either case. */
bool public_message_init(struct public_message *m_out, struct bytes text, uint64_t ts_ms,
                         size_t max_bytes, struct buf *error_out);
void public_message_deinit(struct public_message *m);

#endif
