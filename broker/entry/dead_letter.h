/* dead_letter.h - what is given up: it is logged, counted and kept in a bounded stream of Redis. */
#ifndef SIGNALBOX_BROKER_ENTRY_DEAD_LETTER_H
#define SIGNALBOX_BROKER_ENTRY_DEAD_LETTER_H

#include "common/base/bytes.h"

struct bus;
struct processing;

/* The entry that is being processed. */
void dead_letter(const struct processing *p, const char *reason);
/* A field of the hash K w that no broker wrote. */
void dead_letter_stray(struct bus *bus, unsigned partition, struct bytes field, struct bytes value);

#endif
