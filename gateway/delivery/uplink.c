/* uplink.c - see uplink.h. */
#include "gateway/delivery/uplink.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/log/envelope.h"
#include "common/bus/log/ingest.h"
#include "gateway/session/clients.h"
#include "gateway/conn/conn.h"
#include "gateway/gateway.h"
#include "gateway/conn/identity.h"
#include "gateway/delivery/tracing.h"
#include "gateway/conn/ws.h"

enum { BLOCKED_MAX_MS = 10000, SHARES = 8 };

struct blocked {
    TAILQ_ENTRY(blocked) link;
    struct ws *ws; /* NULL: it is gone */
    unsigned partition;
    struct buf entry;
    struct traced_message *traced; /* NULL: nobody traces it */
};

/* A message on its way through ingest. */
struct passage {
    LIST_ENTRY(passage) link; /* in ws->passages */
    struct ws *ws;            /* NULL: it is gone */
    size_t len;
    struct traced_message *traced;
};

void uplink_init(struct uplink *u, struct gateway *g) {
    *u = (struct uplink){.gateway = g};
    TAILQ_INIT(&u->blocked);
}

static void drop(struct uplink *u, struct blocked *b) {
    TAILQ_REMOVE(&u->blocked, b, link);
    if (b->ws == NULL)
        u->orphan_bytes -= b->entry.len;
    tracing_accepted(b->traced, -ECANCELED);
    buf_deinit(&b->entry);
    free(b);
}

void uplink_deinit(struct uplink *u) {
    while (!TAILQ_EMPTY(&u->blocked))
        drop(u, TAILQ_FIRST(&u->blocked));
    buf_deinit(&u->entry);
}

/* ---- what one connection has under way. Past its share it is not read. */

static size_t share_of(const struct ws *ws) {
    return (size_t)ws->host->settings->max_uplink_bytes / SHARES;
}

static void hold_back(struct ws *ws) {
    stream_pause(&ws->conn->stream);
    conn_set_deadline(ws->conn, BLOCKED_MAX_MS);
}

static void take_off(struct passage *p) {
    struct ws *ws = p->ws;
    LIST_REMOVE(p, link);
    p->ws = NULL;
    ws->unaccepted_bytes -= p->len;
    if (!ws->is_over_share || ws->unaccepted_bytes > share_of(ws) / 2)
        return;
    ws->is_over_share = false;
    ws_on_unblocked(ws);
}

/* Redis does not take a message of its size. */
static void refuse(struct ws *ws, size_t len) {
    log_debug("uplink", "refused_too_large id=%s bytes=%zu", LOG_TEXT(ws->who->client_id), len);
    ws_close(ws, CLOSE_TOO_BIG);
}

static void on_accepted(void *ctx, int status) {
    struct passage *p = ctx;
    if (status == 0)
        metrics_add(METRIC_messages_in, 1);
    tracing_accepted(p->traced, status);
    if (p->ws != NULL && status == -EMSGSIZE)
        refuse(p->ws, p->len);
    if (p->ws != NULL)
        take_off(p);
    free(p);
}

/* ws: NULL when it is gone. */
static int push(struct uplink *u, struct ws *ws, unsigned partition, struct bytes entry,
                struct traced_message *traced) {
    struct passage *p = mem_alloc(sizeof(*p));
    *p = (struct passage){.ws = ws, .len = entry.len, .traced = traced};
    int status = ingest_push(u->gateway->ingest, partition, entry, on_accepted, p);
    if (status < 0) {
        free(p);
        return status;
    }
    if (ws != NULL) {
        LIST_INSERT_HEAD(&ws->passages, p, link);
        ws->unaccepted_bytes += entry.len;
    }
    return 0;
}

static struct bytes encode(struct uplink *u, const struct ws *ws, enum entry_kind kind,
                           unsigned flags, uint64_t ts_ms, struct bytes body) {
    const struct identity *who = ws->who;
    struct entry e = {
        .kind = kind,
        .ts_ms = ts_ms,
        .flags = flags | (who->is_v1 ? FLAG_V1 : 0u),
        .name = who->name,
        .group = who->group,
        .client_id = who->client_id,
        .conn = who->value,
        .session = kind == ENTRY_CLIENT ? who->session : BYTES_NONE,
        .body = body,
    };
    buf_clear(&u->entry);
    entry_encode(&u->entry, &e);
    return buf_bytes(&u->entry);
}

static void block(struct uplink *u, struct ws *ws, struct bytes entry,
                  struct traced_message *traced) {
    struct blocked *b = mem_zalloc(sizeof(*b));
    b->ws = ws;
    b->partition = ws->entry->partition;
    b->traced = traced;
    buf_append(&b->entry, entry);
    TAILQ_INSERT_TAIL(&u->blocked, b, link);
    ws->blocked = b;
    hold_back(ws);
}

static void on_message(void *ctx, struct ws *ws, bool is_binary, struct bytes body) {
    struct uplink *u = ctx;
    if (ws->entry == NULL)
        return;
    uint64_t ts_ms = clock_wall_ms();
    struct bytes entry = encode(u, ws, ENTRY_CLIENT, is_binary ? FLAG_BINARY : 0, ts_ms, body);
    struct traced_message *traced = NULL;
    if (trace_is_on(&u->gateway->trace))
        traced = tracing_received(u->gateway, ws, is_binary, body.len, ts_ms);
    int status = -ENOBUFS; /* others are before it */
    if (TAILQ_EMPTY(&u->blocked))
        status = push(u, ws, ws->entry->partition, entry, traced);
    if (status == -EMSGSIZE) {
        tracing_accepted(traced, status);
        refuse(ws, entry.len);
    } else if (status < 0) {
        block(u, ws, entry, traced);
    } else if (ws->unaccepted_bytes > share_of(ws)) {
        ws->is_over_share = true;
        hold_back(ws);
    }
    if (u->entry.cap > 65536)
        buf_release(&u->entry);
}

static bool ask_for_bye(void *ctx, struct ws *ws) {
    struct uplink *u = ctx;
    if (!bus_is_ready(u->gateway->bus))
        return false;
    struct bytes entry = encode(u, ws, ENTRY_BYE, 0, clock_wall_ms(), BYTES_NONE);
    return ingest_push(u->gateway->ingest, ws->entry->partition, entry, NULL, NULL) == 0;
}

/* Bounded: who comes and goes while Redis is away must not fill the memory. */
static void forget(struct uplink *u, struct ws *ws) {
    struct blocked *b = ws->blocked;
    ws->is_over_share = false;
    while (!LIST_EMPTY(&ws->passages))
        take_off(LIST_FIRST(&ws->passages));
    if (b == NULL)
        return;
    ws->blocked = NULL;
    b->ws = NULL;
    u->orphan_bytes += b->entry.len;
    if (u->orphan_bytes > (size_t)u->gateway->settings->max_uplink_bytes / 4)
        drop(u, b);
}

static void on_leaving(void *ctx, struct ws *ws) {
    struct uplink *u = ctx;
    clients_detach(ws);
    forget(u, ws);
    if (!ws->is_registered)
        return;
    ws->is_registered = false;
    registry_unregister(u->gateway->registry, ws->who->name, ws->who->client_id, ws->who->value,
                        bytes_str(ws->cause));
}

const struct ws_events uplink_events = {
    .on_message = on_message, .ask_for_bye = ask_for_bye, .on_leaving = on_leaving};

void uplink_on_room(struct uplink *u) {
    struct blocked *b;
    while ((b = TAILQ_FIRST(&u->blocked)) != NULL) {
        struct ws *ws = b->ws;
        size_t len = b->entry.len;
        int status = push(u, ws, b->partition, buf_bytes(&b->entry), b->traced);
        if (status < 0 && status != -EMSGSIZE)
            return;
        if (status == 0)
            b->traced = NULL;
        if (ws != NULL)
            ws->blocked = NULL;
        drop(u, b);
        if (ws != NULL && status == -EMSGSIZE)
            refuse(ws, len);
        else if (ws != NULL)
            ws_on_unblocked(ws);
    }
}
