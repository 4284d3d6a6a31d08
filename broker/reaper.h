/*
 * reaper.h - gateways that died: their connections get their Disconnect.
 *
 * Watch: a gateway whose heartbeat counter did not move for dead_after_ms, by this process' own
 * clock and while Redis accepted this process' own heartbeat all the time, is declared dead
 * (declare_dead.lua refuses if it moved after all). Reap: the owner of each partition closes the
 * partition to a dead gateway (fence_gateway.lua), removes the members of its set one by one
 * (unregister.lua writes the Disconnect), then forgets it. Sweep: each second, gateways that a
 * partition knows and whose heartbeat nobody sees: after dead_after_ms they are dead, too.
 *
 * Several reapers, or one that is restarted, are harmless: each step is a compare-and-set.
 */
#ifndef SIGNALBOX_BROKER_REAPER_H
#define SIGNALBOX_BROKER_REAPER_H

#include <stdint.h>
#include <uv.h>

struct bus;
struct inboxes;
struct lease;
struct reaper;

/* dead_after_ms: how long a heartbeat may stay away. */
struct reaper *reaper_new(uv_loop_t *loop, struct bus *bus, const struct lease *lease,
                          const struct inboxes *inboxes, uint64_t dead_after_ms);
void reaper_free(struct reaper *r);
/* A partition was taken: look for work that its last owner left. */
void reaper_on_taken(struct reaper *r, unsigned partition);
void reaper_on_commands_lost(struct reaper *r);

#endif
