/*
 * request.h - one HTTP request and its one answer.
 *
 * Made by http.c when head and body are complete. Holders: http.c, the running handler, a file that
 * is being sent, a conversion under way. `conn` is NULL once the client is gone or the connection
 * became a WebSocket; whoever still runs then has nobody to answer.
 *
 * The next request of the connection is read when this one is settled: answered, and nothing works
 * on it any more (request_work / request_worked).
 */
#ifndef SIGNALBOX_GATEWAY_CONN_REQUEST_H
#define SIGNALBOX_GATEWAY_CONN_REQUEST_H

#include "common/base/buf.h"
#include "common/base/ip.h"
#include "common/http/http_head.h"
#include "common/send/address.h"

struct conn;
struct endpoint;
struct routes;
struct http_conn;
struct http_proxies;
struct local_life;
struct request;
struct client;

/* The connection that X-PODE-SIGNAL-* headers refer to, or the one this request became. */
struct signal_reference {
    char *name, *client_id;
    char *value;         /* the connection value; NULL for the one it became */
    struct texts groups; /* the oldest first */
    char *data;          /* JSON; NULL: there is none */
    bool is_local;
};
/* The oldest group, or empty. */
struct bytes signal_reference_group(const struct signal_reference *s);

#define SIGNAL_CLIENT_ID_FIELD "X-PODE-SIGNAL-CLIENT-ID"

enum request_state {
    REQUEST_OPEN,       /* nobody has answered it yet */
    REQUEST_CLAIMED,    /* what works on it will answer */
    REQUEST_ANSWERED,   /* for good */
    REQUEST_CONVERTING, /* becoming a Signal connection; what works on it will answer */
    REQUEST_CONVERTED,  /* answered with 101 */
    REQUEST_UNCONVERTED /* the conversion failed, and that was the answer */
};

/* What works on a request and hears of its connection. Any function may be NULL. */
struct request_worker {
    void (*on_gone)(struct request *r);    /* the client is gone */
    void (*on_drained)(struct request *r); /* everything queued was handed to the socket */
};

/* Takes the answer of a request that has no socket of its own, that of a channel (routes/
 * multiplex.h). */
struct request_sink {
    /* Its answer; extra: its header lines. */
    void (*on_answer)(struct request *r, int status, struct bytes body);
    /* Carries what it became, instead of a 101. */
    void (*carry)(struct request *r, struct client *client);
};

struct request {
    enum request_state state; /* changed by request_set_state */
    unsigned refs;
    unsigned working;
    struct routes *routes; /* what those who answer it work with; only handed on here */
    struct conn *conn;
    struct client *client;    /* what it became, while that is open */
    bool has_left;            /* its Local connection ended before the route */
    struct local_life *local; /* the handlers of a Local one, while they run (local.c); or NULL */
    const struct endpoint *endpoint;
    struct buf raw; /* what the slices of head and body point to */
    size_t counted; /* of raw, as memory_budget.h has it */
    struct http_head head;
    struct bytes body;
    char *path; /* canonical (http_path.h), what everything that looks at paths is given; NULL when
                   there is no such form */
    const char *path_error; /* why not */
    /* Who asks, as listed proxies tell it (http_forwarded.h). */
    struct ip remote;
    char remote_address[IP_TEXT_SIZE]; /* the same as text */
    bool is_proxied;                   /* the connection is a proxy's, which serves others, too */
    bool is_secure;                    /* the client speaks TLS: https or wss */
    struct bytes host;                 /* what the client asked, with its port; a slice of raw or of
                                          host_text */
    struct buf host_text;
    struct buf extra;      /* header lines for the answer or the 101 */
    struct buf extensions; /* Sec-WebSocket-Extensions of its 101; empty: none */
    struct buf cors; /* those that let a page of another origin read it, refusals too (cors.h) */
    bool keeps_alive;
    struct signal_reference *signal;
    bool has_looked_up; /* what its headers refer to (gateway/routes/reference.h) */
    /* The conversion has ended: true with a 101, false refused or gone. Set by who waits for it. */
    void (*on_converted)(struct request *r, bool is_ok);
    void *convert_ctx;
    /* It was answered, or something that worked on it has ended; conn is not NULL. For http.c. */
    void (*on_progress)(struct request *r);
    const struct request_worker *worker; /* NULL: nobody wants to know */
    void *work;                          /* the worker's */
    const struct request_sink *sink;     /* NULL: its answer goes to the socket */
    void *sink_ctx;                      /* the sink's */
};

/* Takes the request that lies whole at the front of `http`. One reference. */
struct request *request_new(struct conn *c, struct http_conn *http,
                            const struct http_proxies *proxies);
/* A request that came within what `c` carries; `head` is parsed from *raw, which is taken. The
 * caller sets the sink. */
struct request *request_new_within(struct conn *c, struct buf *raw, const struct http_head *head,
                                   const struct http_proxies *proxies);
struct request *request_ref(struct request *r);
void request_unref(struct request *r);

/* An impossible move is our bug. */
void request_set_state(struct request *r, enum request_state to);
static inline bool request_is_answered(const struct request *r) {
    return r->state == REQUEST_ANSWERED || r->state >= REQUEST_CONVERTED;
}
/* Whether its conversion was begun, whatever has become of it. */
static inline bool request_is_converted(const struct request *r) {
    return r->state >= REQUEST_CONVERTING;
}
/* One at a time; NULL ends it. */
void request_set_worker(struct request *r, const struct request_worker *worker, void *work);

/* Something works on the request / has ended. Each holds a reference. */
void request_work(struct request *r);
void request_worked(struct request *r);

/* Another line for the answer. False when it could not stand in a head. */
bool request_header(struct request *r, struct bytes name, struct bytes value);
/* The whole answer. Once; nothing happens when the client is gone. */
void request_reply(struct request *r, int status, struct bytes content_type, struct bytes body);
/* The head of an answer whose body follows by conn_send. */
void request_reply_head(struct request *r, int status, struct bytes content_type, int64_t length);
/* One line of text, and the connection is closed after it unless it is a proxy's. What is refused
 * for now (503, 429) to a client that asks for an event stream is answered with one that ends at
 * once, since EventSource would take any other answer to be for good. */
void request_refuse(struct request *r, int status, const char *reason);

bool request_is_head(const struct request *r);
/* Whether the body that request_reply_head announces is sent. */
static inline bool request_takes_body(const struct request *r) {
    return r->sink == NULL && !request_is_head(r);
}
/* A GET that accepts text/event-stream, and is no handshake of a WebSocket. */
bool request_wants_events(const struct request *r);
/* Whether these are to be frames of signalbox.v1: ?signalbox=v1. */
bool request_wants_v1_events(const struct request *r);
/* The value of the last parameter of that name in the query, as it stands there; a NULL pointer
 * when there is none. */
struct bytes request_query(const struct request *r, const char *name);
/* Copies all of it. */
struct signal_fields {
    struct bytes name, client_id;
    struct bytes value, data; /* or empty */
    struct bytes_list groups;
    bool is_local;
};
void request_set_signal(struct request *r, const struct signal_fields *fields);

#endif
