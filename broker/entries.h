/* entries.h - what becomes of an entry of a partition, by its kind. */
#ifndef SIGNALBOX_BROKER_ENTRIES_H
#define SIGNALBOX_BROKER_ENTRIES_H

struct processing;

void entries_process(struct processing *p);

#endif
