/*
 * cluster.h - Redis lost and found: the registrations of this gateway, made again.
 *
 * After an outage that others may have noticed (longer than 5 s, or another Redis instance), or
 * when Redis has forgotten one of them, the registrations of all connections are made again, WINDOW
 * at a time, without events. Who lost its client id meanwhile is closed with 4001.
 */
#ifndef SIGNALBOX_GATEWAY_CLUSTER_H
#define SIGNALBOX_GATEWAY_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"

struct gateway;

struct cluster {
    struct gateway *gateway;
    bool was_ready;
    uint64_t lost_ms;
    char run_id[64];
    uint64_t round; /* of restores; a connection knows the last it was part of */
    size_t in_flight;
    bool is_restoring;
    bool has_to_wait; /* Redis refused some: goes on at the next probe */
};

void cluster_init(struct cluster *c, struct gateway *g);
/* Every few seconds: looks whether Redis still knows one of our connections. */
void cluster_probe(struct cluster *c);

#endif
