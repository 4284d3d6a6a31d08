/*
 * capacity.h - how large an argument of a command this Redis takes.
 *
 * Redis has bounds of its own: proto-max-bulk-len and client-query-buffer-limit close the
 * connection. The bound is told (CONFIG GET, where the user may ask), or learned from a failure:
 *
 *   proof      Redis names the length in a protocol error: what is that large is not sent again.
 *   suspicion  the connection broke while a large argument had no answer. From then on large
 *              arguments go out one at a time, on a link that has proved useful; when the
 *              connection breaks CAPACITY_BREAKS times in a row for the same one, it is proof.
 *
 * OOM is no bound of this kind, even when only a large argument gets it: memory comes back, as
 * histories end. What was refused for it is repeated.
 *
 * What is learned is forgotten after CAPACITY_KEEP_MS, since an operator may raise the bound.
 * Arguments below CAPACITY_LARGE are never in question: no Redis has a bound that low.
 */
#ifndef SIGNALBOX_BUS_REDIS_CAPACITY_H
#define SIGNALBOX_BUS_REDIS_CAPACITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CAPACITY_LARGE = 65536, CAPACITY_BREAKS = 3, CAPACITY_KEEP_MS = 300000 };

struct capacity {
    size_t told, learned; /* 0: not known */
    uint64_t learned_ms;
    size_t suspect; /* 0: none */
    unsigned breaks;
    unsigned in_flight; /* large arguments without an answer */
};

/* Bytes of the largest argument; SIZE_MAX when no bound is known. */
size_t capacity_most(const struct capacity *c);
/* Whether an argument of so many bytes may be sent now; false: later. is_proven: the link's. */
bool capacity_may_send(const struct capacity *c, size_t bytes, bool is_proven);
/* An argument was sent / answered. Small ones are ignored. */
void capacity_sent(struct capacity *c, size_t bytes);
void capacity_answered(struct capacity *c, size_t bytes);
/* The connection broke. bytes: the first large argument that had no answer, 0 for none. */
void capacity_broke(struct capacity *c, size_t bytes, bool is_proof);
/* Arguments of so many bytes are too large. */
void capacity_learn(struct capacity *c, size_t bytes);

#endif
