/*
 * receipt_ids.h - tells the publishers that asked for a receipt (FLAG_RECEIPT) the id of their
 * message. They learn it when its batch is committed: until then another broker may take the
 * partition and publish the message under another id.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_RECEIPT_IDS_H
#define SIGNALBOX_BROKER_ENTRY_RECEIPT_IDS_H

#include "common/bus/log/envelope.h"

struct batch;
struct bus;

/* m was added to the batch as `id`; ignored unless its publisher wants a receipt. */
void receipt_ids_add(struct batch *batch, const struct message *m, struct message_id id);
/* The batch was committed: tell them. / It was lost, with the partition. */
void receipt_ids_committed(struct batch *batch, struct bus *bus);
void receipt_ids_lost(struct batch *batch);

#endif
