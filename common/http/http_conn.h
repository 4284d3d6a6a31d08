/*
 * http_conn.h - the server's side of one HTTP/1.1 connection (RFC 9112, section 9): bytes in, whole
 * requests out, one after the other. It knows no sockets; its owner embeds it and gives it a table
 * of functions.
 *
 *     HEAD ─▶ BODY or CHUNKS ─ whole ─▶ STARTING ─ run returned ─▶ RUNNING
 *      ▲  ▲                                │                          │
 *      │  └────────────────────────────────┴──── http_conn_settle ────┤
 *      ├◀─ http_conn_rested ── RESTING: enough for one turn           │
 *      └◀─ http_conn_drained ─ FULL: the peer does not read answers   └─▶ ENDING
 *
 * While a request runs the next ones wait in `in`, up to HTTP_PIPELINE_MAX bytes; beyond that the
 * peer is not read. After HTTP_TURN_REQUESTS requests in one go the owner's other connections get
 * their turn.
 */
#ifndef SIGNALBOX_HTTP_HTTP_CONN_H
#define SIGNALBOX_HTTP_HTTP_CONN_H

#include "common/base/buf.h"
#include "common/http/http_chunked.h"
#include "common/http/http_head.h"

enum { HTTP_PIPELINE_MAX = 64 * 1024, HTTP_TURN_REQUESTS = 32 };

enum http_state {
    HTTP_HEAD,     /* waits for a head, or for the rest of one */
    HTTP_BODY,     /* the head is there; waits for Content-Length bytes */
    HTTP_CHUNKS,   /* the head is there; waits for the end of a chunked body */
    HTTP_STARTING, /* `run` has been called and has not returned */
    HTTP_RUNNING,  /* a request is being answered */
    HTTP_RESTING,
    HTTP_FULL,
    HTTP_ENDING /* nothing more is read; for good */
};

struct http_conn;

struct http_conn_events {
    /* A whole request lies at the front: http_conn_take, then answer and http_conn_settle, now or
     * later. False: the connection speaks something else now, and `h` is gone, or is closed. */
    bool (*run)(struct http_conn *h);
    /* Writes 100 Continue. */
    void (*say_continue)(struct http_conn *h);
    /* Writes the answer to what is no request; `end` follows. */
    void (*refuse)(struct http_conn *h, int status, const char *reason);
    /* Nothing more will be read or run: close once everything is written. Must not free `h`. */
    void (*end)(struct http_conn *h);
    /* Whether the peer has too much to read already. http_conn_drained must follow. */
    bool (*is_full)(const struct http_conn *h);
    /* Whether memory is left for a body of so many bytes; of a chunked one for all it may have.
     * NULL: always. Without it the request is refused with 503. */
    bool (*has_room)(const struct http_conn *h, uint64_t body_bytes);
    /* How large the body of this request may be. NULL: as http_conn_init was told. */
    uint64_t (*max_body)(const struct http_conn *h, const struct http_head *head);
    /* Call http_conn_rested on a later turn. NULL: no rests. */
    void (*rest)(struct http_conn *h);
    /* Stop or go on reading from the socket. Idempotent. */
    void (*pause)(struct http_conn *h);
    void (*resume)(struct http_conn *h);
};

struct http_conn {
    const struct http_conn_events *events;
    size_t max_head_bytes;
    uint64_t max_body_bytes;
    enum http_state state;
    bool has_ended;    /* the peer sends nothing more */
    bool has_served;   /* one request at least was answered */
    struct buf in;     /* what was received and not taken */
    size_t length;     /* from HTTP_BODY on: of the request at the front, as far as it is known */
    uint64_t body_max; /* from HTTP_BODY on: of its body */
    uint64_t since_ms; /* since when it waits for a request */
    struct http_chunked chunked;
};

void http_conn_init(struct http_conn *h, const struct http_conn_events *events,
                    size_t max_head_bytes, uint64_t max_body_bytes, uint64_t now_ms);
void http_conn_deinit(struct http_conn *h);

/* Bytes came. */
void http_conn_feed(struct http_conn *h, struct bytes in);
/* The peer has shut its half down. What it asked is still answered. */
void http_conn_on_end(struct http_conn *h);

/* Within `run`: the request. The slices of head and body point into *raw_out, which is the
 * caller's. */
void http_conn_take(struct http_conn *h, struct buf *raw_out, struct http_head *head_out,
                    struct bytes *body_out);
/* The request is answered and nothing works on it any more. */
void http_conn_settle(struct http_conn *h, bool keeps_alive, uint64_t now_ms);
/* It becomes something else: returns what was read past the request, the caller's. `h` is
 * deinitialised. */
struct buf http_conn_leave(struct http_conn *h);

/* The peer has taken all that was written. */
void http_conn_drained(struct http_conn *h, uint64_t now_ms);
void http_conn_rested(struct http_conn *h);
/* Ends a connection that waits for a request. False: one runs, or it is ending already. */
bool http_conn_end_idle(struct http_conn *h);

/* Whether a request is waited for, be it for its first byte. */
static inline bool http_conn_is_reading(const struct http_conn *h) {
    return h->state <= HTTP_CHUNKS;
}
/* It was not read for so long, which is not the peer's fault. */
void http_conn_unread(struct http_conn *h, uint64_t ms);
/* Refuses what has come of a request. Nothing happens unless one is waited for. */
void http_conn_give_up(struct http_conn *h, int status, const char *reason);
/* Ends a connection whose next request is not complete in time: a head has limit_ms; a body has
 * more, as long as bytes of it come (heard_ms: the last one). Answers 408 where that cannot be
 * taken for the answer to another request. */
void http_conn_check(struct http_conn *h, uint64_t now_ms, uint64_t heard_ms, uint64_t limit_ms);

#endif
