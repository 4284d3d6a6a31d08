/*
 * inbox.h - the slots that are ours: the entries of each, in order, exactly once.
 *
 *     read ─▶ process: rules and handlers ─▶ forwards answered ─▶ commit: outputs and cursor
 *       ▲                                                             │
 *       └──────────────── the next read is under way meanwhile ───────┘
 *
 * What waits for an earlier handler of its connection (entry/conn_queues.h) is stored before the
 * commit.
 *
 * A batch ends after BATCH_BYTES of outputs or BATCH_US of work. A call that Redis refuses for now
 * is repeated. A call without an answer may have been carried out or not, so the broker drops the
 * inbox and takes the slot again.
 *
 * Entries that were there at the take-over may have killed the previous owner. The first of them
 * run alone, and each try is counted (count_try.lua); at TRIES_MAX an entry becomes a dead letter.
 *
 * The public stream is a slot too: it has no outputs, everything is forwarded.
 */
#ifndef SIGNALBOX_BROKER_INBOX_H
#define SIGNALBOX_BROKER_INBOX_H

#include "broker/entry/processing.h"

struct inboxes;
struct lease;
struct lease_grant;
struct settings;

struct inbox_events {
    /* What becomes of an entry of a partition, of the public stream. */
    void (*process)(struct processing *p);
    void (*process_public)(struct processing *p);
    /* The slot is not ours any more. is_fenced: it was taken from us; otherwise it was to be given
     * back (inboxes_give_back), and everything of it is committed. */
    void (*on_end)(void *ctx, unsigned slot, bool is_fenced);
};

struct inbox_options {
    uv_loop_t *loop;
    const struct settings *settings; /* of the history */
    struct lease *lease;
    const struct entry_parts *parts;
    const struct inbox_events *events;
    void *ctx;
};

struct inboxes *inboxes_new(const struct inbox_options *options);
/* After inboxes_drop of all. NULL is legal. */
void inboxes_free(struct inboxes *all);

/* The slot was taken. */
void inboxes_take(struct inboxes *all, unsigned slot, const struct lease_grant *grant);
/* Commits what runs, then calls on_end. False: there is nothing to wait for. */
bool inboxes_give_back(struct inboxes *all, unsigned slot);
/* Drops everything of the slot at once, without on_end; it need not be ours. */
void inboxes_drop(struct inboxes *all, unsigned slot);

bool inboxes_own(const struct inboxes *all, unsigned slot);
/* For how long the slot has not been read, for a reason that may be this process' own; 0: it is. */
uint64_t inboxes_stuck_ms(const struct inboxes *all, unsigned slot);

#endif
