/*
 * drain.h - the end in good order. The gateway takes no new connections and closes those it has
 * with 1001, spread over a time. With DRAIN_ENDS it then waits for clients that still read what was
 * queued for them, half a minute at most, and until Redis knows that they are gone, and ends; with
 * DRAIN_STAYS it stays and can be taken back into service.
 *
 *     OFF ──start──▶ CLOSING ─nobody left─▶ DRAINED        start … DRAIN_ENDS: ─▶ ENDING, from any
 *      ▲───────stop─────┴──────────stop────────┘           of them, for good
 *
 * set_state alone changes the state; it reports it to the connections (conns.is_draining) and to
 * the CLI (about.h).
 */
#ifndef SIGNALBOX_GATEWAY_DRAIN_H
#define SIGNALBOX_GATEWAY_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/base/must.h"

struct conns;
struct daemon;
struct ingest;
struct listeners;

enum drain_state { DRAIN_OFF, DRAIN_CLOSING, DRAIN_DRAINED, DRAIN_ENDING };

struct drain {
    struct daemon *daemon;
    struct conns *conns;
    struct listeners *listeners;
    struct ingest *ingest;
    uv_timer_t tick;
    enum drain_state state;
    bool is_leaving;
    uint64_t start_ms, over_ms;
    uint64_t gone_ms; /* when the last connection was gone, since the start; 0: not yet */
    size_t total, closed;
};

void drain_init(struct drain *d, struct daemon *daemon, struct conns *conns,
                struct listeners *listeners, struct ingest *ingest);
void drain_deinit(struct drain *d);
enum drain_then { DRAIN_STAYS, DRAIN_ENDS };
/* A later call sets the time anew, counted from now, and may make it the end of the process. False:
 * the process is ending, and DRAIN_STAYS cannot change that. */
bool drain_start(struct drain *d, uint64_t over_ms, enum drain_then then);
/* Takes connections again; those that are still here stay. -1 with one line in *error_out (free())
 * when the process is ending or cannot listen; fine when it does not drain. */
MUST_CHECK int drain_stop(struct drain *d, char **error_out);

#endif
