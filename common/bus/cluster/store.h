/*
 * store.h - small shared state for app handlers: values, counters, locks, and the cluster's secret.
 *
 * Every call answers on a later turn, with status -ENOTCONN while Redis is away.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_STORE_H
#define SIGNALBOX_BUS_CLUSTER_STORE_H

#include "common/base/bytes.h"
#include "common/base/must.h"

struct bus;
struct store_lock;

/* value: BYTES_NONE when there is none. */
typedef void store_fn(void *ctx, int status, struct bytes value);

void store_get(struct bus *b, struct bytes key, store_fn *fn, void *ctx);
/* ttl_ms 0: for ever. */
void store_set(struct bus *b, struct bytes key, struct bytes value, uint64_t ttl_ms, store_fn *fn,
               void *ctx);
/* The new value as digits. ttl_ms 0 leaves the life time as it is. */
void store_incr(struct bus *b, struct bytes key, int64_t by, uint64_t ttl_ms, store_fn *fn,
                void *ctx);
void store_delete(struct bus *b, struct bytes key, store_fn *fn, void *ctx);

/* Waits until this process holds `key`, then fn(ctx, 0, …). One holder in the cluster; renewed
 * while held; it frees itself 10 s after its holder died. status -ETIMEDOUT when wait_ms passed
 * before. */
struct store_lock *store_lock_take(struct bus *b, struct bytes key, uint64_t wait_ms, store_fn *fn,
                                   void *ctx);
/* Gives the lock back, or stops waiting for it (fn is not called then). */
void store_lock_drop(struct store_lock *l);

/* The server secret of app handlers. With a cluster secret it is derived from that and never stands
 * in Redis. Without one it is random: the first process makes it, and it is the same for all while
 * any process lives. */
void store_server_secret(struct bus *b, store_fn *fn, void *ctx);

#endif
