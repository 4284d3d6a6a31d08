/*
 * channel.h - one of the Signal connections that share a WebSocket: the transport of its client
 * (conn/transport.h).
 *
 *     OPENED ─ the client closes it ─▶ LEAVING ─ BYE is back ─▶ ENDED ─ a later turn ─▶ freed
 *        └───────────── we close ────────────────────────────────▲
 *
 * While it is held its messages wait here, up to a bound, and it holds nobody else. Whoever closes
 * its client may be in the middle of a walk over others; so it is freed in a later turn, and a
 * socket whose queue is over its bound is closed then, too.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_CHANNEL_H
#define SIGNALBOX_GATEWAY_SESSION_CHANNEL_H

#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/bus/log/envelope.h"
#include "gateway/conn/transport.h"

struct client;
struct conn;

/* Of messages that wait because their channel is held: of one channel, of a socket. One message
 * always may. */
enum { CHANNEL_WAITING_MAX = 64 * 1024, CHANNELS_WAITING_MAX = 1024 * 1024 };

/* What the channels of a socket have in common. */
struct channel_socket {
    struct conn *conn;
    /* A turn shall look at those that are due, in so many ms. */
    void (*wake)(struct channel_socket *s, unsigned in_ms);
    TAILQ_HEAD(, channel) due;
    size_t due_count;
    size_t waiting_bytes;
    size_t byes;   /* that the socket's end waits for */
    bool is_slow;  /* its queue is over its bound: nothing goes out, and the next turn closes it */
    bool has_left; /* it ends: nothing is said any more */
};

enum channel_state {
    CHANNEL_OPENED,
    CHANNEL_LEAVING, /* the client has closed it: what its messages caused comes first */
    CHANNEL_ENDED
};

struct waiting;

struct channel {
    struct channel_socket *socket;
    uint64_t number;
    struct client *client;
    enum channel_state state;
    bool has_greeted;       /* its first frame, the hello, was queued */
    bool has_spoken;        /* a frame was queued since channel_tell_position */
    bool awaits_bye;        /* its own, or that of its socket's end */
    bool is_due;            /* in socket->due */
    unsigned held;          /* enum hold */
    uint64_t held_ms;       /* since when */
    uint64_t said_ms;       /* when its last message was handed on; 0: none was */
    uint64_t leaving_ms;    /* since when its BYE is waited for; 0: it was not asked for */
    struct message_id told; /* the position that it was told last */
    uint64_t spoken_ms;     /* no message was for it since, as channel_tell_position saw it */
    size_t waiting_bytes;
    STAILQ_HEAD(, waiting) waiting;
    TAILQ_ENTRY(channel) due;
    struct bytes ref; /* of its open, as it was written; a copy behind the struct */
    char text[];
};

/* Carries the client, until channel_free. */
struct channel *channel_new(struct channel_socket *s, uint64_t number, struct client *client,
                            struct bytes ref);
void channel_free(struct channel *ch);

/* Queues the text of an object of signalbox.v1 for a channel; 0: for none. ref: empty, or JSON that
 * follows the channel. */
void channel_say(struct channel_socket *s, uint64_t channel, struct bytes ref, struct bytes text);

/* A message of the client. False: too much waits already. */
bool channel_take(struct channel *ch, struct bytes message);
/* The client closes it. */
void channel_leave(struct channel *ch);
/* Its turn, when it was due. False: it has ended, and is to be freed. */
bool channel_look_at(struct channel *ch, uint64_t now_ms);
/* Where its client would resume, if that is news. */
bool channel_tell_position(struct channel *ch, uint64_t now_ms);

/* Its socket ends: asks for the BYE that follows what it said, and leaves; told: NULL, or what it
 * is told. */
bool channel_ask_for_bye(struct channel *ch);
void channel_end_with_socket(struct channel *ch, const struct transport_end *told);

#endif
