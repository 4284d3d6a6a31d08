/*
 * inbox.h - one slot that is ours: its entries, in order, each exactly once.
 *
 *     read ─▶ process: rules and handlers ─▶ forwards answered ─▶ commit: outputs and cursor
 *       ▲                                                             │
 *       └──────────────── the next read is under way meanwhile ───────┘
 *
 * What waits for an earlier handler of its connection (lanes.h) is stored before the commit.
 *
 * A batch ends after BATCH_BYTES of outputs or BATCH_US of work. What Redis refuses for now is
 * repeated; what it leaves unanswered is not assumed: the broker closes the inbox then and takes
 * the slot anew.
 *
 * Entries that were there at the take-over may have killed the previous owner: the first of them
 * run alone and counted (count_try.lua); after TRIES_MAX tries an entry goes to the dead letters.
 *
 * The public stream is a slot too: no outputs, everything is forwarded.
 */
#ifndef SIGNALBOX_BROKER_INBOX_H
#define SIGNALBOX_BROKER_INBOX_H

#include <stdint.h>

struct broker;
struct inbox;
struct lease_grant;
struct processing;

typedef void inbox_process_fn(struct processing *p);

struct inbox *inbox_new(struct broker *b, unsigned slot, const struct lease_grant *grant,
                        inbox_process_fn *process);
/* Commits what runs, then calls broker_on_inbox_end. */
void inbox_end(struct inbox *i);
/* Drops everything at once: the slot is not ours any more. NULL is legal. */
void inbox_close(struct inbox *i);

/* What becomes of an entry of a partition. */
void inbox_process_entry(struct processing *p);

/* For how long the slot has not been read, for a reason that may be this process' own; 0: it is. */
uint64_t inbox_stuck_ms(const struct inbox *i);

#endif
