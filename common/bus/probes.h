/*
 * probes.h - for bus.c: every heartbeat is also a probe of the feed, published to a channel of the
 * process' own. This remembers which Redis accepted and which came back. One that was accepted and
 * did not come, although a later one did, shows that the feed was deaf in between.
 */
#ifndef SIGNALBOX_BUS_PROBES_H
#define SIGNALBOX_BUS_PROBES_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PROBES_KEPT = 16,
    HEARTBEAT_GAP_MS = 2500, /* after so long without one, a process counts as silent */
    HEARTBEAT_VALUE_MAX = 32 /* bytes of a counter and HEARTBEAT_UNFIT */
};

/* What the heartbeat of a broker ends with that others should rank behind themselves. */
#define HEARTBEAT_UNFIT " unfit"

struct probes {
    uint64_t first; /* the ones before it are not expected */
    uint64_t last;  /* the latest that came */
    struct {
        uint64_t number;
        bool is_accepted, has_come;
    } all[PROBES_KEPT];
};

/* The feed listens: probes from this number on must come. */
void probes_begin(struct probes *b, uint64_t first);
/* True when this shows that a probe was skipped, once for each. The two may be called in either
 * order. */
bool probes_accepted(struct probes *b, uint64_t number);
bool probes_came(struct probes *b, uint64_t number);

#endif
