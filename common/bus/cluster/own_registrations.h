/*
 * own_registrations.h - what Redis lists as registered by this gateway: its set K g:<id> in each
 * partition, read page by page, one partition after the other.
 *
 * The set holds more than the registry shows: when Redis has come back with older data, a
 * connection may be in the set, and another connection may have taken its client id since.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_OWN_REGISTRATIONS_H
#define SIGNALBOX_BUS_CLUSTER_OWN_REGISTRATIONS_H

#include "common/bus/cluster/registry_member.h"

struct bus;

/* is_complete: false when Redis went away or refused in the middle. The walk may start again from
 * here. */
typedef void own_registrations_end_fn(void *ctx, bool is_complete);

/* A walk: the caller's memory, until its end. */
struct own_registrations {
    struct bus *bus;
    registry_row_fn *row_fn;
    own_registrations_end_fn *end_fn;
    void *ctx;
    unsigned partition;
    char cursor[REGISTRY_CURSOR_SIZE];
};

/* Needs bus_can_send. Answers on later turns. */
void own_registrations_read(struct own_registrations *walk, struct bus *bus,
                            registry_row_fn *row_fn, own_registrations_end_fn *end_fn, void *ctx);

#endif
