/*
 * reaper.h - removes what dead gateways registered, so that their connections get a Disconnect.
 *
 *     watch   A gateway is declared dead when its heartbeat counter has not moved for
 *             dead_after_ms, by this process' own clock, while Redis accepted this process' own
 *             heartbeat all the time. declare_dead.lua refuses if the counter moved after all.
 *     reap    The owner of each partition closes it to the dead gateway (fence_gateway.lua),
 *             removes its registrations one by one (unregister.lua writes the Disconnect), and
 *             then forgets the gateway.
 *     sweep   Each second: a gateway that a partition knows and that has no heartbeat is dead
 *             after dead_after_ms, too.
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
/* A partition was taken: reap what its last owner did not. */
void reaper_on_taken(struct reaper *r, unsigned partition);
void reaper_on_commands_lost(struct reaper *r);

#endif
