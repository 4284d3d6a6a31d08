/*
 * receipt_ids.h - tells publishers who asked for it (FLAG_RECEIPT) under which id their message was
 * published: once the batch that holds it is committed, for until then another broker may give it
 * another id.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_RECEIPT_IDS_H
#define SIGNALBOX_BROKER_ENTRY_RECEIPT_IDS_H

#include "common/bus/log/envelope.h"

struct broker;

/* m was added to the batch of that slot, as `id`. */
void receipt_ids_add(struct broker *b, unsigned slot, const struct message *m,
                     struct message_id id);
/* The batch of the slot was committed / was lost, with the partition. */
void receipt_ids_committed(struct broker *b, unsigned slot);
void receipt_ids_lost(struct broker *b, unsigned slot);

#endif
