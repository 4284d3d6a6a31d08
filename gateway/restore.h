/*
 * restore.h - makes the registrations of this gateway again after Redis has lost them.
 *
 * After an outage that others may have noticed (longer than 5 s, or another instance of Redis), or
 * when a look-up shows that Redis has forgotten one of them, the registrations of all connections
 * are made again, WINDOW at a time, without events; then reconcile.h removes those that came back
 * with older data. A connection whose client id somebody else has taken meanwhile is closed with
 * 4001. When this gateway itself was declared dead, all its connections are closed.
 */
#ifndef SIGNALBOX_GATEWAY_RESTORE_H
#define SIGNALBOX_GATEWAY_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bus/redis/server_info.h"

struct bus;
struct clients;
struct reconcile;
struct registry;

struct restore {
    struct bus *bus;
    struct registry *registry;
    struct clients *clients;
    struct reconcile *reconcile;
    bool was_ready;
    uint64_t lost_ms;
    char server[SERVER_IDENTITY_TEXT]; /* that it spoke to last */
    uint64_t round;                    /* of restores; a connection knows the last it was part of */
    size_t in_flight;
    bool is_restoring;
    bool has_to_wait; /* Redis refused some: goes on at the next probe */
};

void restore_init(struct restore *r, struct bus *bus, struct registry *registry,
                  struct clients *clients, struct reconcile *reconcile);
/* Every second: goes on with what broke off, or looks whether Redis still knows one connection. */
void restore_probe(struct restore *r);

#endif
