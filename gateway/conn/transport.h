/*
 * transport.h - what carries a Signal connection (session/client.h) over a conn: a WebSocket
 * (ws.c), an event stream (sse.c), or one of the channels of a WebSocket (session/channel.c).
 * Nothing above it knows which.
 *
 *     client ── transport: close, hold, release, … ──▶ carrier (struct ws, struct sse)
 *     client ◀── transport_events: a message, the end ─ carrier
 *
 * A carrier that has the conn for itself has no `send`: frames for the client are queued by
 * conn_send_message, so sending costs no indirection; how a message is encoded is the client's wire
 * (session/wire.h).
 *
 * To add a transport: a table here, its wires, and the place that opens it.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_TRANSPORT_H
#define SIGNALBOX_GATEWAY_CONN_TRANSPORT_H

#include "common/base/buf.h"
#include "common/base/close_reason.h"
#include "gateway/codec/frame.h"

/* Why a client's messages are not read for now. */
enum hold {
    HOLD_ROOM = 1,   /* there is no room for its last message on the way to Redis */
    HOLD_SHARE = 2,  /* Redis has not confirmed too many of its messages */
    HOLD_RATE = 4,   /* it sends too many a second; the transport's own, as the next one */
    HOLD_INFLATE = 8 /* its last message is being inflated */
};

/* How a client is held, and how it leaves. */
enum {
    HOLD_MAX_MS = 10000,     /* a hold that lasts longer ends it */
    BYE_MS = 500,            /* how long a client that leaves waits for its BYE */
    BYE_AFTER_SAID_MS = 2000 /* a message so old has caused all that it causes */
};

/* How long a peer may take nothing. */
enum {
    CLOSE_STALL_MS = 10000, /* of what comes before our end */
    SLOW_STALL_MS = 30000,  /* the same for one that has not read for long */
    PROBE_STALL_MS = 10000  /* a reader takes at most so long from one step to the next */
};

/* No pong is added to so much that waits for a client: one that does not read needs none. */
enum { PONG_QUEUE_MAX = 16384 };

/* What became of a message to a client. */
enum conn_sent {
    CONN_QUEUED,
    CONN_DROPPED, /* the policy dropped a message, perhaps this one */
    CONN_OVER     /* nothing was queued: the queue stays over its bound, and the policy is to close,
                   * which is up to the caller */
};

/* Who ended a connection. */
enum ended_by { ENDED_BY_CLIENT, ENDED_BY_SERVER, ENDED_LOST };

/* How we end it. */
struct transport_end {
    int code;
    struct bytes reason;
    bool is_for_good; /* a client that comes back by itself should not */
};

static inline struct transport_end transport_end_for(enum close_reason reason) {
    return (struct transport_end){.code = close_reason_code(reason),
                                  .reason = bytes_str(close_reason_text(reason)),
                                  .is_for_good = close_reason_is_for_good(reason)};
}

struct transport {
    /* Queues what the client's wire made; is_initial: past the bound, or CONN_OVER where there is a
     * bound to that, too. NULL: the conn does it. */
    enum conn_sent (*send)(void *carrier, struct frame f, bool is_initial);
    /* Ends it in good order: what is queued, then the end. No effect when it ends already. */
    void (*close)(void *carrier, const struct transport_end *end);
    /* Ends it with CLOSE_SLOW; the messages that wait for the client are dropped. */
    void (*close_slow)(void *carrier);
    /* What ask_for_bye asked for has come. */
    void (*on_bye)(void *carrier);
    /* Reads no messages until every hold is released. A hold that lasts too long closes the
     * connection. Reading goes on in a turn of its own, never inside release. Idempotent. */
    void (*hold)(void *carrier, enum hold why);
    void (*release)(void *carrier, enum hold why);
};

/* What a transport reports of its client. */
struct transport_events {
    /* A message. False when this client's messages are ignored. */
    bool (*on_message)(void *client, bool is_binary, struct bytes body);
    /* Asks for an entry BYE that follows the client's messages; on_bye when it is back. False:
     * there will be none. */
    bool (*ask_for_bye)(void *client);
    /* The end has begun, for this reason. Only the first report counts. */
    void (*on_ending)(void *client, enum ended_by by, int code, struct bytes reason);
    /* Nothing more goes out to the client but the end itself. May be called again. */
    void (*on_leaving)(void *client);
    /* Appends an id from which the client may resume; nothing while it is not known whether that is
     * later than all it was sent up to since_ms. 0: whatever. */
    void (*position)(void *client, uint64_t since_ms, struct buf *out);
    /* The carrier goes now. */
    void (*on_gone)(void *client);
};

#endif
