/*
 * reaper.h - gateways that died: their connections get their Disconnect.
 *
 * Watch: a gateway whose heartbeat counter did not move for dead_after_ms, by this process' own
 * clock and with uninterrupted contact to Redis, is buried (bury.lua refuses if it moved after
 * all). Reap: the owner of each partition closes the partition to a buried gateway (entomb.lua),
 * removes the members of its set one by one (disc.lua writes the Disconnect), then forgets it.
 * Sweep: at a take-over, and each minute, gateways that a partition knows and nobody else does.
 *
 * Several reapers, or one that is restarted, are harmless: each step is a compare-and-set.
 */
#ifndef SIGNALBOX_BROKER_REAPER_H
#define SIGNALBOX_BROKER_REAPER_H

#include "common/base/bytes.h"

struct broker;
struct reaper;

struct reaper *reaper_new(struct broker *b);
void reaper_free(struct reaper *r);
/* A partition was taken: look for work that its last owner left. */
void reaper_on_taken(struct reaper *r, unsigned partition);
void reaper_on_commands_lost(struct reaper *r);

#endif
