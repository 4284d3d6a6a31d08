/*
 * receipts.h - for messages that ask what became of them: how many connections here had it written,
 * have it queued, or lost it. Known at the end of the loop turn, when every dirty connection was
 * written once.
 */
#ifndef SIGNALBOX_GATEWAY_DELIVERY_RECEIPTS_H
#define SIGNALBOX_GATEWAY_DELIVERY_RECEIPTS_H

#include <sys/queue.h>

#include "common/base/bytes.h"

struct bus;
struct clients;
struct pending_receipt;
struct client;

struct receipts {
    struct bus *bus;
    struct clients *clients;
    TAILQ_HEAD(, pending_receipt) pending;
};

void receipts_init(struct receipts *r, struct bus *bus, struct clients *clients);
void receipts_deinit(struct receipts *r);
/* A message that asks under this token is about to be delivered. */
struct pending_receipt *receipts_begin(struct receipts *r, struct bytes token);
/* It went to this connection, or was_dropped. */
void receipts_add(struct pending_receipt *p, const struct client *client, bool was_dropped);
/* At the end of the turn: reports and forgets. */
void receipts_report(struct receipts *r);

#endif
