/*
 * ticket_keys.h - the keys for TLS session tickets, shared by the gateways of a fleet so that a
 * client resumes at any of them. Each period of time has its key, made by the first gateway that
 * needs it, one period ahead. In Redis they are sealed under the cluster secret; without a cluster
 * secret nothing is shared.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_TICKET_KEYS_H
#define SIGNALBOX_BUS_CLUSTER_TICKET_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/must.h"

struct bus;
struct ticket_keys;

/* key: of so many bytes as ticket_keys_new was told. */
typedef void ticket_key_fn(void *ctx, uint64_t period, const unsigned char *key);

/* fn is called for each key that is known, also again. */
struct ticket_keys *ticket_keys_new(struct bus *b, uint64_t period_ms, size_t key_bytes,
                                    ticket_key_fn *fn, void *ctx);
/* Redis must owe no answer. */
void ticket_keys_free(struct ticket_keys *k);
/* To be called every second. While Redis is away the keys that are known go on. */
void ticket_keys_tick(struct ticket_keys *k, uint64_t wall_ms);

#endif
