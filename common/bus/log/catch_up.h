/*
 * catch_up.h - what a follow needs while it reads from the history what it missed: its turn, and a
 * place for the messages that the feed brings meanwhile. Used by follow.c and follower.c.
 *
 * Only CATCH_UPS_MAX follows of a process read at the same time, and fewer while Redis answers only
 * small pages (paging.h). The others wait in a queue.
 */
#ifndef SIGNALBOX_BUS_LOG_CATCH_UP_H
#define SIGNALBOX_BUS_LOG_CATCH_UP_H

#include <sys/queue.h>
#include <uv.h>

#include "common/bus/log/log_reader.h"

struct bus;

/* --- turns --- */

enum { CATCH_UPS_MAX = 500, CATCH_UP_PAUSE_MS = 100 };

struct catch_up {
    TAILQ_ENTRY(catch_up) link;
};

struct catch_ups {
    struct bus *bus;
    TAILQ_HEAD(, catch_up) queue;
    unsigned running;
    bool is_pausing;
    uv_timer_t pause; /* the owner closes it */
    /* The turn has come; catch_ups_done follows when the reading ends. */
    void (*start)(struct catch_up *c);
};

void catch_ups_init(struct catch_ups *all, struct bus *bus, void (*start)(struct catch_up *c));
/* Into the queue. Starts at once if it may. */
void catch_ups_add(struct catch_ups *all, struct catch_up *c);
/* Out of the queue again. */
void catch_ups_remove(struct catch_ups *all, struct catch_up *c);
/* A reading ended. */
void catch_ups_done(struct catch_ups *all);
/* Redis refused this reading: back into the queue, and nothing starts until after a pause. */
void catch_ups_retry(struct catch_ups *all, struct catch_up *c);
/* Starts as many as may run. */
void catch_ups_start(struct catch_ups *all);

/* --- live messages that wait until what was before them has been read --- */

/* The bound. Beyond it all are dropped, and so is what comes then: it is read from the history. */
enum { HELD_BYTES_MAX = 8 * 1024 * 1024 };

struct held_message {
    STAILQ_ENTRY(held_message) link;
    enum which_log log;
    struct message_id id;
    size_t len;
    char blob[];
};

struct held_messages {
    STAILQ_HEAD(, held_message) list;
    size_t bytes;
    bool has_overflowed;
};

void catch_up_init_held(struct held_messages *h);
void catch_up_hold(struct held_messages *h, enum which_log log, struct message_id id,
                   struct bytes blob);
/* The oldest, which becomes the caller's (free()), or NULL. */
struct held_message *catch_up_take_held(struct held_messages *h);
/* The same, if its id is smaller than this one. */
struct held_message *catch_up_take_held_before(struct held_messages *h, struct message_id id);
/* Drops all; it is as new. */
void catch_up_drop_held(struct held_messages *h);

#endif
