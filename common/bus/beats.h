/*
 * beats.h - for bus.c: which heartbeats Redis accepted and which came back over the feed. One that
 * was accepted and did not come, although a later one did, shows that the feed was deaf in between.
 */
#ifndef SIGNALBOX_BUS_BEATS_H
#define SIGNALBOX_BUS_BEATS_H

#include <stdbool.h>
#include <stdint.h>

enum { BEATS_KEPT = 16 };

struct beats {
    uint64_t first; /* those before are not expected */
    uint64_t last;  /* that came */
    struct {
        uint64_t number;
        bool is_accepted, has_come;
    } all[BEATS_KEPT];
};

/* The feed listens: heartbeats from this one on must come. */
void beats_begin(struct beats *b, uint64_t first);
/* Each answers whether it shows a heartbeat that was skipped, once for each. Numbers may come in
 * either order. */
bool beats_accepted(struct beats *b, uint64_t number);
bool beats_came(struct beats *b, uint64_t number);

#endif
