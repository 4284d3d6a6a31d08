/*
 * host.h - the Redis of the world: the model (model.h) on the simulated network, as a process that
 * can be stopped, killed and started again, and all that may go wrong with it.
 *
 * It carries out one command after the other, each of which takes its time; which of the
 * connections that have sent something is served next, and how many of its commands, the dice
 * decide. Replies go out after the command, so that a server may die between the two.
 *
 * SIGSTOP, clock jumps and rates are those of its process; delays and cuts are those of the network.
 * Every function is harmless when the fault is under way already, or has nothing to hit.
 */
#ifndef SIGNALBOX_WORLD_REDIS_HOST_H
#define SIGNALBOX_WORLD_REDIS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/world/redis/model.h"

struct process;
struct redis_host;

enum { REDIS_PORT = 6379 };

/* Listens at once, at port 6379 of that address. There is no end to it: a world is a program. */
struct redis_host *redis_host_new(const char *ip);
struct redis_model *redis_host_model(const struct redis_host *h);
struct process *redis_host_process(const struct redis_host *h);
/* Its wall clock. */
uint64_t redis_host_wall_us(const struct redis_host *h);
/* Commands carried out since the world began. */
uint64_t redis_host_commands(const struct redis_host *h);

/* ---- it dies and comes back ---- */

enum redis_return {
    REDIS_WITH_ALL,    /* appendfsync always */
    REDIS_WITH_MARKED, /* what was on the disk, or at the replica: redis_host_mark */
    REDIS_EMPTY
};

/* The data of this moment are what it falls back to later. */
void redis_host_mark(struct redis_host *h);
/* The same, after so many more commands: between what belongs together. */
void redis_host_mark_after(struct redis_host *h, unsigned commands);
/* When they were marked; now, when they are not: nothing will be lost. */
uint64_t redis_host_marked_us(const struct redis_host *h);
/* kill -9. */
void redis_host_crash(struct redis_host *h);
/* It comes back under another run id, and answers LOADING for a while. Also a fail-over, as seen
 * from those who connect by name. */
void redis_host_start(struct redis_host *h, enum redis_return data, uint64_t loading_us);

/* ---- a fail-over that leaves the connections open ---- */

/* It is a replica from now on: READONLY. Who waits in XREAD is cut off, all others stay. */
void redis_host_demote(struct redis_host *h);
/* It is the master again, under the same run id and another replication id, with these data. */
void redis_host_promote(struct redis_host *h, enum redis_return data);

/* ---- it refuses, or is slow ---- */

/* Until REDIS_FINE. */
void redis_host_refuse(struct redis_host *h, enum redis_refusal refusal);
/* OOM: it is full, but for so many bytes. / It is not full any more. */
void redis_host_fill(struct redis_host *h, size_t left);
void redis_host_empty(struct redis_host *h);
/* How long one command takes; 0, 0: as usual. */
void redis_host_set_pace(struct redis_host *h, uint64_t least_us, uint64_t most_us);

/* ---- its connections ---- */

/* Connections with subscriptions are cut off, all others stay. How many. */
unsigned redis_host_kill_subscribers(struct redis_host *h);
/* What goes to those with subscriptions is held back, until it hears again. */
void redis_host_deafen(struct redis_host *h, bool is_deaf);
/* What is published meanwhile is lost to those with subscriptions; nothing breaks. */
void redis_host_mute(struct redis_host *h, bool is_mute);
/* A subscriber for whom more than that waits is cut off (client-output-buffer-limit); 0: as
 * usual. */
void redis_host_set_subscriber_bound(struct redis_host *h, size_t bytes);
/* All connections. How many. */
unsigned redis_host_kill_all(struct redis_host *h);

#endif
