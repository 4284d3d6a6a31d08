/* uplink.c - see uplink.h. Read on_message, then uplink_on_room. */
#include "gateway/delivery/uplink.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/log/envelope.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/trace.h"
#include "gateway/conn/conn.h"
#include "gateway/delivery/tracing.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "gateway/session/memberships.h"

enum { SHARES = 8, SHARE_MOST_BYTES = 1024 * 1024 };

/* A message that waits for room in ingest. */
struct blocked {
    TAILQ_ENTRY(blocked) link;
    struct client *client; /* NULL: it has left */
    unsigned partition;
    struct buf entry;
    struct traced_message *traced; /* NULL: nobody traces it */
};

/* A message on its way through ingest. */
struct passage {
    LIST_ENTRY(passage) link; /* in client->passages */
    struct client *client;    /* NULL: it has left */
    size_t len;
    struct traced_message *traced;
};

void uplink_init(struct uplink *u, struct bus *bus, struct ingest *ingest, struct trace *trace) {
    *u = (struct uplink){.bus = bus, .ingest = ingest, .trace = trace};
    TAILQ_INIT(&u->blocked);
}

static void drop(struct uplink *u, struct blocked *b) {
    TAILQ_REMOVE(&u->blocked, b, link);
    if (b->client == NULL)
        u->orphan_bytes -= b->entry.len;
    tracing_accepted(b->traced, -ECANCELED);
    memory_add(MEMORY_incoming, -(int64_t)b->entry.cap);
    buf_deinit(&b->entry);
    free(b);
}

void uplink_deinit(struct uplink *u) {
    while (!TAILQ_EMPTY(&u->blocked))
        drop(u, TAILQ_FIRST(&u->blocked));
    buf_deinit(&u->entry);
}

/* ---- how much of one client is on its way: a client over its share is held */

static size_t share_of(const struct client *client) {
    size_t share = (size_t)client->host->settings->max_uplink_bytes / SHARES;
    return share < SHARE_MOST_BYTES ? share : SHARE_MOST_BYTES;
}

static void take_off(struct passage *p) {
    struct client *client = p->client;
    size_t before = client->unaccepted_bytes, half = share_of(client) / 2;
    LIST_REMOVE(p, link);
    p->client = NULL;
    client->unaccepted_bytes -= p->len;
    if (before > half && client->unaccepted_bytes <= half)
        client_release(client, HOLD_SHARE);
}

/* Redis does not take a message of this size. */
static void refuse(struct client *client, size_t len) {
    log_debug("uplink", "refused_too_large id=%s bytes=%zu", LOG_TEXT(client->who.client_id), len);
    client_close(client, CLOSE_TOO_BIG);
}

static void on_accepted(void *ctx, int status) {
    struct passage *p = ctx;
    if (status == 0)
        metrics_add(METRIC_messages_in, 1);
    tracing_accepted(p->traced, status);
    if (p->client != NULL && status == -EMSGSIZE)
        refuse(p->client, p->len);
    if (p->client != NULL)
        take_off(p);
    free(p);
}

/* client: NULL when it has left. */
static int push(struct uplink *u, struct client *client, unsigned partition, struct bytes entry,
                struct traced_message *traced) {
    struct passage *p = mem_alloc(sizeof(*p));
    *p = (struct passage){.client = client, .len = entry.len, .traced = traced};
    struct sender *sender = client != NULL ? &client->sender : NULL;
    int status = ingest_push(u->ingest, partition, sender, entry, on_accepted, p);
    if (status < 0) {
        free(p);
        return status;
    }
    if (client != NULL) {
        LIST_INSERT_HEAD(&client->passages, p, link);
        client->unaccepted_bytes += entry.len;
    }
    return 0;
}

/* said: NULL but for a message. */
static struct bytes encode(struct uplink *u, const struct client *client, uint64_t ts_ms,
                           const struct said *said) {
    const struct identity *who = &client->who;
    struct entry e = {
        .kind = said != NULL ? ENTRY_CLIENT : ENTRY_BYE,
        .ts_ms = ts_ms,
        .flags = wire_is_v1(client->wire) ? FLAG_V1 : 0u,
        .name = who->name,
        .group = client_group(client),
        .client_id = who->client_id,
        .conn = who->value,
    };
    if (said != NULL) {
        if (client->memberships != NULL)
            e.groups = client_groups(client);
        e.flags |= said->is_binary ? FLAG_BINARY : 0u;
        e.session = said->session;
        e.body = said->body;
        e.reply = said->reply;
        e.once = said->once;
    }
    buf_clear(&u->entry);
    entry_encode(&u->entry, &e);
    return buf_bytes(&u->entry);
}

static void block(struct uplink *u, struct client *client, struct bytes entry,
                  struct traced_message *traced) {
    struct blocked *b = mem_zalloc(sizeof(*b));
    b->client = client;
    b->partition = client->partition;
    b->traced = traced;
    buf_append(&b->entry, entry);
    memory_add(MEMORY_incoming, (int64_t)b->entry.cap);
    TAILQ_INSERT_TAIL(&u->blocked, b, link);
    client->blocked = b;
    client_hold(client, HOLD_ROOM);
}

/* There is always some room for a client that has nothing on the way. */
static bool is_quick(const struct client *client, size_t len) {
    return client != NULL && sender_is_quick(&client->sender, len);
}

static bool is_its_turn(const struct uplink *u, const struct client *client, size_t len) {
    const struct blocked *first = TAILQ_FIRST(&u->blocked);
    return first == NULL || (is_quick(client, len) && !is_quick(first->client, first->entry.len));
}

static void on_message(void *ctx, struct client *client, const struct said *said) {
    struct uplink *u = ctx;
    uint64_t ts_ms = clock_wall_ms();
    struct bytes entry = encode(u, client, ts_ms, said);
    struct traced_message *traced = NULL;
    if (trace_is_on(u->trace))
        traced = tracing_received(u->trace, client, said->is_binary, said->body.len, ts_ms);
    int status = -ENOBUFS; /* others wait already */
    if (is_its_turn(u, client, entry.len))
        status = push(u, client, client->partition, entry, traced);
    if (status == -EMSGSIZE) {
        tracing_accepted(traced, status);
        refuse(client, entry.len);
    } else if (status < 0) {
        block(u, client, entry, traced);
    } else if (client->unaccepted_bytes > share_of(client)) {
        client_hold(client, HOLD_SHARE);
    }
    if (u->entry.cap > 65536)
        buf_release(&u->entry);
}

static bool ask_for_bye(void *ctx, struct client *client) {
    struct uplink *u = ctx;
    if (!bus_is_ready(u->bus))
        return false;
    struct bytes entry = encode(u, client, clock_wall_ms(), NULL);
    return ingest_push(u->ingest, client->partition, &client->sender, entry, NULL, NULL) == 0;
}

static bool take_back(void *ctx, struct client *client) {
    struct blocked *b = client->blocked;
    if (b == NULL)
        return false;
    client->blocked = NULL;
    drop(ctx, b);
    return true;
}

/* Bounded, since clients that come and go while Redis is away must not fill the memory. */
static void on_left(void *ctx, struct client *client) {
    struct uplink *u = ctx;
    struct blocked *b = client->blocked;
    sender_leave(&client->sender);
    while (!LIST_EMPTY(&client->passages))
        take_off(LIST_FIRST(&client->passages));
    if (b == NULL)
        return;
    client->blocked = NULL;
    b->client = NULL;
    u->orphan_bytes += b->entry.len;
    if (u->orphan_bytes > (size_t)bus_settings(u->bus)->max_uplink_bytes / 4)
        drop(u, b);
}

const struct client_events uplink_events = {.on_message = on_message,
                                            .take_back = take_back,
                                            .ask_for_bye = ask_for_bye,
                                            .on_left = on_left};

void uplink_on_room(struct uplink *u) {
    struct blocked *b;
    while ((b = TAILQ_FIRST(&u->blocked)) != NULL) {
        struct client *client = b->client;
        size_t len = b->entry.len;
        int status = push(u, client, b->partition, buf_bytes(&b->entry), b->traced);
        if (status < 0 && status != -EMSGSIZE)
            return;
        if (status == 0)
            b->traced = NULL;
        if (client != NULL)
            client->blocked = NULL;
        drop(u, b);
        if (client != NULL && status == -EMSGSIZE)
            refuse(client, len);
        else if (client != NULL)
            client_release(client, HOLD_ROOM);
    }
}
