/*
 * kv.h - small shared state for app handlers: values, counters, locks, and the cluster's secret.
 *
 * Every call answers on a later turn, with status -ENOTCONN while Redis is away.
 */
#ifndef SIGNALBOX_BUS_KV_H
#define SIGNALBOX_BUS_KV_H

#include "common/base/bytes.h"
#include "common/base/must.h"

struct bus;
struct kv_lock;

/* value: BYTES_NONE when there is none. */
typedef void kv_fn(void *ctx, int status, struct bytes value);

void kv_get(struct bus *b, struct bytes key, kv_fn *fn, void *ctx);
/* ttl_ms 0: for ever. */
void kv_set(struct bus *b, struct bytes key, struct bytes value, uint64_t ttl_ms, kv_fn *fn,
            void *ctx);
/* The new value as digits. ttl_ms 0 leaves the life time as it is. */
void kv_incr(struct bus *b, struct bytes key, int64_t by, uint64_t ttl_ms, kv_fn *fn, void *ctx);
void kv_delete(struct bus *b, struct bytes key, kv_fn *fn, void *ctx);

/* Waits until this process holds `key`, then fn(ctx, 0, …). One holder in the cluster; renewed
 * while held; freed by itself 10 s after a holder's death. status -ETIMEDOUT when it could not be
 * had within wait_ms. */
struct kv_lock *kv_lock_take(struct bus *b, struct bytes key, uint64_t wait_ms, kv_fn *fn,
                             void *ctx);
/* Gives it back, or gives up waiting (fn is not called then). */
void kv_lock_drop(struct kv_lock *l);

/* The cluster's random secret: made by the first process, the same for all while any process lives.
 */
void kv_server_secret(struct bus *b, kv_fn *fn, void *ctx);

#endif
