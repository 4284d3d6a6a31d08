/*
 * plan.h - what goes wrong in a story: a list of faults, each with its time, its victim and its
 * length, made from the seed. A story may be told with some of them only, which is how a failing
 * one is shrunk: the numbers of the faults stay.
 */
#ifndef SIGNALBOX_WORLD_PLAN_H
#define SIGNALBOX_WORLD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/world/sim.h"

/* The kinds of ends of connections. */
enum end_kind {
    END_NONE,
    END_LOST = 1,    /* 1006: without a Close */
    END_RESTART = 2, /* 1001 */
    END_DEAD = 4,    /* 1012 */
    END_BUSY = 8,    /* 1013 */
    END_SLOWNESS = 16 /* 4002 */,
    END_TIMEOUT = 32, /* 4003 */
    END_GAP = 64,     /* 4004 */
    END_SHORT = 128,  /* the same: histories are short while Redis is nearly full */
    FAULT_LOSS = 1024 /* Redis gives data up */
};

enum fault_kind {
#define FAULT(name, ...) FAULT_##name,
#include "tests/world/story/fault.def"
#undef FAULT
    FAULT_KIND_COUNT
};

enum whom { WHOM_GATEWAY, WHOM_BROKER, WHOM_PROCESS, WHOM_CLIENT, WHOM_REDIS };

struct fault {
    unsigned number; /* from 1, in the order of time */
    enum fault_kind kind;
    enum whom whom; /* never WHOM_PROCESS */
    unsigned index; /* which gateway, broker or client */
    uint64_t at_us, for_us;
    uint64_t chance; /* whatever else it needs to be decided */
    bool has_begun, has_ended;
    uint64_t ended_us;
    struct event event;
};

enum { PLAN_MAX = 64 };

struct plan {
    struct fault faults[PLAN_MAX];
    unsigned count;
};

struct plan_options {
    unsigned gateways, brokers, clients;
    uint64_t from_us, to_us;
    bool may_lose; /* Redis may give data up */
    unsigned most; /* faults */
};

extern struct plan plan;

void plan_make(const struct plan_options *options);
bool plan_has(enum fault_kind kind);
/* Keeps those whose numbers are in the list "1,4,7" and no others. False: that is no list. */
bool plan_keep(const char *list);
const char *fault_text(const struct fault *f); /* of "gateway1: SIGSTOP for 1.2 s" */
const char *fault_kind_text(enum fault_kind kind);
unsigned fault_explains(const struct fault *f);

/* Starts and ends each of them at its time (inflict.c). */
void plan_start(void);
bool plan_is_over(void);

/* Whether a fault that has one of these ends was under way, or had ended no longer than grace_us
 * before. gateway, client: whom it must have hit; faults of Redis hit all. */
bool plan_explains(unsigned kinds, unsigned gateway, unsigned client, uint64_t at_us,
                   uint64_t grace_us);
/* Whether any fault at all, of anybody, was under way, or had ended no longer before. */
bool plan_is_calm(uint64_t at_us, uint64_t grace_us);

#endif
