/*
 * ws.h - one WebSocket connection: the protocol after the 101.
 *
 *     OPEN ─ we close ──────────────────▶ CLOSING ─ the peer's Close, or 2 s ─▶ gone
 *       │
 *       └─ the peer closes, or breaks the protocol ─▶ LEAVING ─ BYE is back ─▶ our Close ─▶ gone
 *
 * LEAVING: what the connection's earlier messages caused comes before our Close. So an entry BYE
 * goes the way of its messages, and the connection stays in its Name until that comes back from
 * there. In LEAVING and CLOSING what the peer still says is no message any more.
 *
 * A Local connection has no Name entry; it belongs to the request that made it.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_WS_H
#define SIGNALBOX_GATEWAY_CONN_WS_H

#include <sys/queue.h>

#include <uthash.h>

#include "common/bus/log/envelope.h"
#include "common/base/close_reason.h"
#include "gateway/codec/ws_codec.h"
#include "gateway/conn/rate.h"

struct blocked;
struct conn;
struct identity;
struct name_entry;
struct request;
struct settings;
struct ws;

LIST_HEAD(passage_list, passage);

enum ws_state { WS_OPEN, WS_LEAVING, WS_CLOSING };

/* What a WebSocket tells those above. */
struct ws_events {
    /* A message of the client. */
    void (*on_message)(void *ctx, struct ws *ws, bool is_binary, struct bytes body);
    /* It asks for an entry BYE that follows its messages; ws_on_bye when that is back. False: there
     * will be none. */
    bool (*ask_for_bye)(void *ctx, struct ws *ws);
    /* It ends, and leaves its Name and the registry. Called once; ws->cause says why. */
    void (*on_leaving)(void *ctx, struct ws *ws);
};

/* What all WebSockets of a process have in common. */
struct ws_host {
    const struct settings *settings;
    const struct ws_events *events;
    void *ctx; /* of the events */
};

struct ws {
    struct conn *conn;
    const struct ws_host *host;
    enum ws_state state;
    struct identity *who;
    struct request *request; /* the route that made it, while that runs */
    bool is_registered, has_left;

    struct name_entry *entry; /* NULL: Local, or detached */
    uint32_t slot;
    struct message_id skip_until;
    struct ws *same_id;
    UT_hash_handle hh_id, hh_number;

    struct ws_decoder decoder;
    struct blocked *blocked;      /* its message that waits for room on the way to Redis */
    struct passage_list passages; /* its messages that Redis has not confirmed, */
    size_t unaccepted_bytes;      /* and their size */
    bool is_over_share;           /* too much of that: not read until half is confirmed */
    bool is_throttled;            /* too many messages a second: not read until the deadline */
    struct rate rate;
    uint64_t over_ms;   /* since when it has been over the rate; 0: it is not */
    struct buf backlog; /* what was read meanwhile */
    uint64_t said_ms;   /* its last message was handed on; 0: none */
    uint64_t heard_ms;  /* the peer's last bytes, */
    uint64_t heard_at;  /* and how much had been written to it then */
    uint64_t ping_at;   /* how much was written up to its ping; 0: no ping is out */
    uint64_t had_ms;    /* when its side had our ping, or our Close; 0: not yet */
    bool is_probed;     /* it has to show a sign of life, … */
    bool was_behind;    /* … and had not had everything when that began */
    uint64_t restored;  /* the round of restores it was part of */
    int close_code;     /* LEAVING: of our Close, 0: an empty one */
    char *close_reason; /* LEAVING: its text, or NULL */
    char *cause;        /* for the Disconnect */
};

/* The connection changes over to WebSocket. Owns `who`. Not attached to a Name yet. */
struct ws *ws_open(const struct ws_host *host, struct conn *c, struct identity *who);
/* Bytes that came before the connection was a WebSocket. */
void ws_feed(struct ws *ws, struct bytes in);

/* One frame that is not a message of the log: hello, a direct send. */
void ws_send_text(struct ws *ws, struct bytes text);
void ws_send(struct ws *ws, enum ws_opcode opcode, struct bytes payload);

/* We close. No effect when it closes already. */
void ws_close(struct ws *ws, enum close_reason reason);
void ws_close_with(struct ws *ws, int code, struct bytes reason);
/* BYE came back. */
void ws_on_bye(struct ws *ws);
/* Its blocked message was taken (or given up), or it may send again: reading goes on. */
void ws_on_unblocked(struct ws *ws);
/* The gateway was buried: its registration is gone without us. */
void ws_forget_registration(struct ws *ws);

/* The WebSocket of a connection, or NULL when it is none. */
struct ws *ws_of(struct conn *c);

#endif
