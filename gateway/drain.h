/*
 * drain.h - the end in good order: no new connections, then the connections are closed with 1001,
 * spread over a time, then (after a signal) the process waits for clients that still read what was
 * queued for them, for half a minute at most, and until Redis knows, and ends.
 */
#ifndef SIGNALBOX_GATEWAY_DRAIN_H
#define SIGNALBOX_GATEWAY_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct gateway;

struct drain {
    struct gateway *gateway;
    uv_timer_t tick;
    bool is_running, ends_process, has_left;
    uint64_t start_ms, over_ms;
    uint64_t gone_ms; /* when the last connection was gone, since the start; 0: not yet */
    size_t total, closed;
};

void drain_init(struct drain *d, struct gateway *g);
void drain_deinit(struct drain *d);
/* A second call may shorten the time, or make it the end of the process. */
void drain_start(struct drain *d, uint64_t over_ms, bool ends_process);

#endif
