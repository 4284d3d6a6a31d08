/*
 * level_check.h - refuses what the broadcast levels of the app do not allow.
 *
 * Every message to clients is checked once, where it enters: a client's message, a handler's send,
 * a message of the public entrances, an entry that was not checked before. The rule itself is
 * common/send/levels.h.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_LEVEL_CHECK_H
#define SIGNALBOX_BROKER_ENTRY_LEVEL_CHECK_H

#include "broker/entry/processing.h"
#include "common/send/delivery.h"

/* False: why_out gets the text for the sender. */
bool level_check(const struct entry_parts *parts, const struct delivery *d, struct buf *why_out);
/* Counts a refusal and reports it to those who trace. p: NULL when no entry is being processed. */
void level_check_refused(struct processing *p, struct bytes why);

#endif
