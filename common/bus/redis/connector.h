/*
 * connector.h - from the name of a server to an open stream: looks it up, tries its addresses in
 * turn ("localhost" has two), each for two seconds, and makes the TLS context that the URL asks
 * for. One connector makes one stream after the other; the owner decides when and to where.
 *
 *     IDLE ──connector_start──▶ WAITING ─▶ RESOLVING ─▶ CONNECTING ─▶ OPEN
 *                               the stream before is not closed yet
 *
 * connector_abort leads back to IDLE from everywhere, and so does on_failed.
 */
#ifndef SIGNALBOX_BUS_REDIS_CONNECTOR_H
#define SIGNALBOX_BUS_REDIS_CONNECTOR_H

#include <netinet/in.h>

#include "common/bus/redis/redis_access.h"
#include "common/net/stream.h"

struct connector;
struct lookup;
struct tls_context;

enum { CONNECTOR_ADDRESSES_MAX = 8 };

enum connector_state {
    CONNECTOR_IDLE,
    CONNECTOR_WAITING,
    CONNECTOR_RESOLVING,
    CONNECTOR_CONNECTING,
    CONNECTOR_OPEN,
    CONNECTOR_CLOSED
};

struct connector_events {
    void (*on_open)(struct connector *c);
    /* It is not reached, or the stream was open and ended; why is borrowed until return. */
    void (*on_failed)(struct connector *c, const char *why);
    void (*on_bytes)(struct connector *c, struct bytes in);
    void (*on_writable)(struct connector *c);
    /* After connector_close, unless connector_is_closed holds at once. */
    void (*on_closed)(struct connector *c);
};

struct connector {
    uv_loop_t *loop;
    const struct redis_url *url;
    const char *name; /* for the log */
    const struct connector_events *events;
    enum connector_state state;
    struct stream stream; /* for the owner while it is open */
    bool has_stream;      /* until its on_closed */
    struct redis_host host;
    unsigned silent_ms;    /* counted in ticks, in this state and for this address */
    struct lookup *lookup; /* a getaddrinfo under way, kept over attempts: it cannot be cancelled */
    struct sockaddr_storage addresses[CONNECTOR_ADDRESSES_MAX];
    unsigned address_count, address_at;
    struct tls_context *tls;
    struct redis_access_stamp tls_stamp; /* the files it was made of */
};

/* url, name and events are borrowed for life. */
void connector_init(struct connector *c, uv_loop_t *loop, const struct redis_url *url,
                    const char *name, const struct connector_events *events);
/* From IDLE or OPEN. host: NULL when the URL has a path, which is connected to then. */
void connector_start(struct connector *c, const struct redis_host *host);
/* So much time has passed; a process that did not run counts none. */
void connector_tick(struct connector *c, unsigned passed_ms);
/* No callback follows. */
void connector_abort(struct connector *c);
void connector_close(struct connector *c);
bool connector_is_closed(const struct connector *c);
/* After on_closed. */
void connector_deinit(struct connector *c);

#endif
