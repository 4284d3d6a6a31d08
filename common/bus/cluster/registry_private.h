/* registry_private.h - shared by registry.c and registry_lists.c only. */
#ifndef SIGNALBOX_BUS_CLUSTER_REGISTRY_PRIVATE_H
#define SIGNALBOX_BUS_CLUSTER_REGISTRY_PRIVATE_H

#include <sys/queue.h>
#include <uv.h>

#include "common/bus/redis/troubles.h"

struct registering;
struct unregistering;

struct registry {
    struct bus *bus;
    LIST_HEAD(, registering) registering;
    TAILQ_HEAD(, unregistering) unregistering;
    size_t unregistering_count;
    uv_timer_t retry;
    struct trouble refused; /* register.lua, last time */
};

#endif
