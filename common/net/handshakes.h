/*
 * handshakes.h - TLS handshakes of clients, kept from taking the processor away from everybody
 * else.
 *
 * A handshake costs a server about a millisecond, a thousand times what a message costs. So
 * handshakes take turns: once they have worked for their share of a turn of the loop, the others
 * wait, unread, for a turn to come, in the order in which their clients spoke. How many are under
 * way has a bound: then no more are accepted, unless one whose client has been silent for a second
 * can be given up.
 */
#ifndef SIGNALBOX_NET_HANDSHAKES_H
#define SIGNALBOX_NET_HANDSHAKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

enum {
    HANDSHAKES_MAX = 1024,       /* under way */
    HANDSHAKES_SHARE_US = 250,   /* of a turn; the one that goes over it comes to its end */
    HANDSHAKES_SILENT_MS = 1000, /* then it may be given up */
    HANDSHAKES_CALLED = 2        /* so many of those that waited are read in one turn */
};

struct handshake;
TAILQ_HEAD(handshake_list, handshake);

/* One of them, embedded in what it belongs to; all zero before it begins. */
struct handshake {
    TAILQ_ENTRY(handshake) link;
    struct handshakes *all;               /* NULL: not under way */
    struct handshake_list *list;          /* where it is */
    uint64_t spoke_ms;                    /* when its client last spoke */
    void (*go_on)(struct handshake *h);   /* its turn has come: read it */
    void (*give_up)(struct handshake *h); /* for others; it ends within */
};

struct handshakes {
    uv_loop_t *loop;
    uv_prepare_t turn;
    struct handshake_list silent;  /* the client is to speak; the longest silence first */
    struct handshake_list waiting; /* it has spoken and is not read */
    struct handshake_list called;  /* its turn has come */
    size_t count, called_count;
    uint64_t worked_ns; /* in this turn */
};

void handshakes_init(struct handshakes *all, uv_loop_t *loop);
/* None may be under way; the loop must run once more. */
void handshakes_deinit(struct handshakes *all);
/* Whether another one may begin. To make room it may give one up. */
bool handshakes_have_room(struct handshakes *all);

/* go_on and give_up are set. */
void handshake_begin(struct handshake *h, struct handshakes *all);
/* Idempotent. */
void handshake_end(struct handshake *h);
/* The client has spoken: whether it may be read now. If not, it is not to be read until go_on. */
bool handshake_may_go_on(struct handshake *h);
/* It was read, and worked for so long. */
void handshake_worked(struct handshake *h, uint64_t ns);

#endif
