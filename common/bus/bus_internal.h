/*
 * bus_internal.h - what a bus is, for bus.c (what it does), bus_state.c (what it says of itself)
 * and ask.c (what it is asked). Nobody else includes it.
 */
#ifndef SIGNALBOX_BUS_BUS_INTERNAL_H
#define SIGNALBOX_BUS_BUS_INTERNAL_H

#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/base/cluster_secret.h"
#include "common/bus/backlog.h"
#include "common/bus/bulk.h"
#include "common/bus/probes.h"
#include "common/bus/bus.h"
#include "common/bus/redis/one_server.h"
#include "common/bus/redis/paging.h"
#include "common/bus/partition.h"
#include "common/bus/redis/redis_url.h"
#include "common/bus/redis/refusals.h"
#include "common/bus/redis/troubles.h"

struct feed;
struct redis_check;
struct cluster_check;

enum { LISTENERS_MAX = 12, DEAF_AFTER_MS = 3000, MISMATCH_MAX = 256 };

/* Memory that its owner gives back with an answer of Redis, or the bus when it is closed before. */
struct until_answer {
    LIST_ENTRY(until_answer) link;
};

struct bus {
    uv_loop_t *loop;
    const struct settings *settings;
    enum bus_kind kind;
    struct redis_url url;
    char fleet[FLEET_FINGERPRINT_SIZE];
    char id[17];
    struct link *commands;
    struct one_server one_server;
    struct feed *feed;
    struct {
        const struct bus_events *events;
        void *ctx;
    } listeners[LISTENERS_MAX];
    size_t listener_count;
    unsigned partitions;
    bool is_configured; /* the cluster's configuration was read on this connection and is ours */
    bool is_leaving, is_mismatched;
    uv_timer_t beat_timer;
    bool is_unfit;
    uint64_t beat;                           /* the counter */
    unsigned unanswered_beats;               /* the latest so many have no answer yet */
    unsigned foreign_beats;                  /* the oldest so many of those were of an id before */
    struct probes probes;                    /* which of them came back */
    bool was_counted;                        /* a beat of this id was accepted before */
    uint64_t accepted_since_ms, accepted_ms; /* see bus_accepted_since; the last accepted one */
    unsigned deaf_beats;                     /* in a row */
    uint64_t probe_sent_ms; /* a beat was accepted then and has not come back; 0: none */
    uint64_t probe_seen_ms; /* the last beat that came back */
    uint64_t probe_seen;    /* its counter */
    char probe_channel[FLEET_NAME_MAX + 17];
    bool is_asking_config;
    int64_t memory_used, memory_max; /* of Redis */
    struct refusals refusals;
    struct redis_check *check;
    struct paging paging;
    struct backlog backlog;
    struct bulk bulk;
    struct troubles *troubles;
    struct trouble beats_refused;
    struct cluster_check *cluster_check;
    LIST_HEAD(, until_answer) until_answers;
    struct buf trouble; /* what bus_trouble and bus_note say */
    char secret[40];
    struct cluster_secret cluster_secret;
    char secret_check[45]; /* what stands for it in the configuration; "": none is known */
    bool has_other_secret; /* the configuration has another, or one where we have none */
    bool was_configured;
    char mismatch[MISMATCH_MAX]; /* why one that was configured waits; "": it does not */
    struct trouble other_secret, unproven;
    void (*on_left)(void *ctx);
    void *on_left_ctx;
};

#endif
