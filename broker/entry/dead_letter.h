/* dead_letter.h - entries that are given up: logged, counted and kept in a bounded stream. */
#ifndef SIGNALBOX_BROKER_ENTRY_DEAD_LETTER_H
#define SIGNALBOX_BROKER_ENTRY_DEAD_LETTER_H

struct broker;
struct in_entry;

void dead_letter(struct broker *b, unsigned slot, const struct in_entry *entry, const char *reason);

#endif
