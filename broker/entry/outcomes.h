/*
 * outcomes.h - tells a gateway what became of a client's message that came to it as a request
 * (entry.reply): once its batch is committed, since until then another broker may take the
 * partition and handle the message again.
 */
#ifndef SIGNALBOX_BROKER_ENTRY_OUTCOMES_H
#define SIGNALBOX_BROKER_ENTRY_OUTCOMES_H

#include "common/base/bytes.h"

struct batch;
struct bus;
struct processing;

/* Of the entry; the first call counts, and none does without a reply. status: of HTTP; 202: it was
 * handled. text: else one line. */
void outcomes_add(struct processing *p, int status, struct bytes text);
/* The batch was committed: tell them. / It was lost, with the partition. */
void outcomes_committed(struct batch *batch, struct bus *bus);
void outcomes_lost(struct batch *batch);

#endif
