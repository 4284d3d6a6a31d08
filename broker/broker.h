/*
 * broker.h - one broker process: all of its parts. Only broker.c and main.c see it; the processing
 * of entries gets struct entry_parts (entry/processing.h). README.md shows the way of an entry.
 */
#ifndef SIGNALBOX_BROKER_BROKER_H
#define SIGNALBOX_BROKER_BROKER_H

#include <uv.h>

#include "broker/entry/processing.h"
#include "common/daemon/daemon.h"

struct heard_takes;
struct inboxes;
struct lease;
struct reaper;
struct schedules;

enum broker_state {
    BROKER_RUNS,
    BROKER_GIVES_BACK, /* finishes batches and gives the partitions back */
    BROKER_LEAVES      /* nothing is ours any more */
};

struct broker {
    struct daemon daemon;
    enum broker_state state;
    struct bus *bus; /* the daemon's */
    struct lease *lease;
    struct heard_takes *heard;
    struct entry_parts parts;
    struct inboxes *inboxes;
    struct reaper *reaper;
    struct schedules *schedules;
    uv_timer_t patience; /* says what the broker waits for; later, when to stop waiting */
    char waits_for[400]; /* what bus_trouble said last */
    uint64_t left_ms;
};

extern const struct daemon_kind broker_kind;

/* Makes the parts, once the app is loaded. */
void broker_open(struct broker *b);
void broker_close(struct broker *b);
/* After the loop has turned. */
void broker_deinit(struct broker *b);

#endif
