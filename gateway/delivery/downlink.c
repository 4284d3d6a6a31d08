/* downlink.c - see downlink.h. on_message is the switch, each_slot the loop that must be fast. */
#include "gateway/delivery/downlink.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/publish.h"
#include "common/bus/log/trace.h"
#include "common/send/delivery.h"
#include "gateway/conn/conn.h"
#include "gateway/delivery/tracing.h"
#include "gateway/routes/join.h"
#include "gateway/session/addressees.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "gateway/session/message_frames.h"

/* ---- receipts */

/* Connections are remembered by their number, since one may be gone when the turn ends. */
struct pending_receipt {
    TAILQ_ENTRY(pending_receipt) link;
    char *token;
    size_t matched, dropped;
    uint64_t *numbers; /* of the connections that have it in their queue */
    size_t count, cap;
};

static void add_to_receipt(struct pending_receipt *p, const struct client *client,
                           bool was_dropped) {
    p->matched++;
    if (was_dropped) {
        p->dropped++;
        return;
    }
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 16 : p->cap * 2;
        p->numbers = mem_realloc(p->numbers, p->cap * sizeof(*p->numbers));
    }
    p->numbers[p->count++] = client->who.number;
}

static void send_receipt(struct downlink *d, const struct pending_receipt *p) {
    struct receipt sum = {.matched = p->matched, .dropped = p->dropped};
    for (size_t i = 0; i < p->count; i++) {
        struct client *client = clients_by_number(d->clients, p->numbers[i]);
        if (client == NULL)
            sum.dropped++;
        else if (conn_is_written(client->conn))
            sum.written++;
        else
            sum.queued++;
    }
    publish_receipt(d->bus, bytes_str(p->token), &sum);
}

static void forget_receipt(struct downlink *d, struct pending_receipt *p) {
    TAILQ_REMOVE(&d->pending, p, link);
    free(p->token);
    free(p->numbers);
    free(p);
}

void downlink_on_flushed(struct downlink *d) {
    while (!TAILQ_EMPTY(&d->pending)) {
        send_receipt(d, TAILQ_FIRST(&d->pending));
        forget_receipt(d, TAILQ_FIRST(&d->pending));
    }
    message_frames_forget(d->frames);
}

void downlink_init(struct downlink *d, struct bus *bus, struct clients *clients,
                   struct message_frames *frames, struct trace *trace) {
    *d = (struct downlink){.bus = bus, .clients = clients, .frames = frames, .trace = trace};
    TAILQ_INIT(&d->pending);
}

void downlink_deinit(struct downlink *d) {
    while (!TAILQ_EMPTY(&d->pending))
        forget_receipt(d, TAILQ_FIRST(&d->pending));
}

/* ---- whom a message is for */

/* One message on its way to the clients of one Name. */
struct fan_out {
    struct downlink *downlink;
    struct name_entry *entry;
    const struct message *m;
    struct frame frames_of[WIRE_COUNT]; /* made when the first client needs them */
    unsigned made;                      /* which of them, as bits */
    struct frame shared;                /* that of WIRE_CHANNEL, which is not among them */
    size_t count;
    uint64_t mark;                   /* of what its lists name */
    struct pending_receipt *receipt; /* NULL: nobody asked */
};

typedef void address_fn(struct fan_out *v, struct client_slot *slot);

/* From the end: fn may detach the connection it is given, and the last takes its place. */
static void each_slot(struct fan_out *v, address_fn *fn) {
    struct name_entry *e = v->entry;
    for (size_t i = e->count; i-- > 0;)
        fn(v, &e->slots[i]);
}

/* The members of the i-th group of the list; NULL when it has none, or was listed before. */
static struct group *take_group(struct fan_out *v, size_t i) {
    struct group *g = clients_by_group(v->entry, v->m->to_groups.items[i]);
    if (g == NULL || g->mark == v->mark)
        return NULL;
    g->mark = v->mark;
    return g;
}

/* fn may detach the connection it is given, and with the last one the group is freed. */
static void each_of_group(struct fan_out *v, struct group *g, address_fn *fn) {
    struct client *next, *client = TAILQ_FIRST(&g->members);
    struct membership *after, *one = TAILQ_FIRST(&g->further);
    for (; client != NULL; client = next) {
        next = TAILQ_NEXT(client, by_group);
        fn(v, &v->entry->slots[client->slot]);
    }
    for (; one != NULL; one = after) {
        after = TAILQ_NEXT(one, link);
        if (one->client->mark == v->mark)
            continue; /* of another group, too, that was listed before */
        one->client->mark = v->mark;
        fn(v, &v->entry->slots[one->client->slot]);
    }
}

static void each_member(struct fan_out *v, address_fn *fn) {
    for (size_t i = 0; i < v->m->to_groups.count; i++) {
        struct group *g = take_group(v, i);
        if (g != NULL)
            each_of_group(v, g, fn);
    }
}

static bool is_wanted(const struct fan_out *v, const struct client *client) {
    bool is_of_group = !bytes_list_is_given(v->m->to_groups) || clients_has_mark(client, v->mark);
    return is_of_group && client->mark != v->mark;
}

static void each_id(struct fan_out *v, address_fn *fn) {
    struct bytes_list ids = v->m->to_clients;
    for (size_t i = 0; i < v->m->to_groups.count; i++)
        (void)take_group(v, i);
    for (size_t i = 0; i < ids.count; i++) {
        struct client *next, *client = clients_by_id(v->entry, ids.items[i]);
        for (; client != NULL; client = next) {
            next = client->same_id;
            if (!is_wanted(v, client))
                continue;
            client->mark = v->mark;
            fn(v, &v->entry->slots[client->slot]);
        }
    }
}

/* For each attached connection that the message is for. Whoever is named is looked up, so that a
 * message costs what it names and whom it reaches, however many others there are. */
static void each_address(struct fan_out *v, address_fn *fn) {
    const struct message *m = v->m;
    if (m->to_conn.len > 0) {
        struct client *client = clients_by_value(v->downlink->clients, m->to_conn);
        if (client != NULL && client->entry == v->entry && clients_is_for(m, client))
            fn(v, &v->entry->slots[client->slot]);
        return;
    }
    v->mark = clients_new_mark(v->downlink->clients);
    if (bytes_list_is_given(m->to_clients))
        each_id(v, fn);
    else if (bytes_list_is_given(m->to_groups))
        each_member(v, fn);
    else
        each_slot(v, fn);
}

/* A connection that joined lately has had, or must not have, what is before its position: in each
 * of the two logs, for one may be behind the other, and behind notes, while a hole in it is
 * filled. */
static bool is_before(struct client_slot *slot, const struct message *m) {
    if (!client_slot_skips(slot, m))
        return false;
    if (message_id_compare(m->id, slot->client->skip_until) <= 0)
        return true;
    if (message_has_place(m))
        slot->skips &= m->is_to_every ? SKIPS_OWN : SKIPS_EVERY;
    return false;
}

/* ---- what becomes of it */

static struct frame make_frame(struct fan_out *v, enum wire wire) {
    return message_frames_make(v->downlink->frames, v->m, name_entry_name(v->entry), wire);
}

/* Its wire has no frame yet, which is made when the first client needs it; or it is a channel,
 * whose transport puts something of its own before what all channels share. */
RARE static enum conn_sent send_other(struct fan_out *v, struct client_slot *slot) {
    if (slot->wire == WIRE_CHANNEL) {
        if (v->shared.chunk == NULL)
            v->shared = make_frame(v, WIRE_CHANNEL);
        return client_send_frame(slot->client, v->shared, false);
    }
    v->frames_of[slot->wire] = make_frame(v, slot->wire);
    v->made |= 1u << slot->wire;
    return conn_send_message(slot->conn, v->frames_of[slot->wire]);
}

static void release_frames(struct fan_out *v) {
    for (unsigned made = v->made; made != 0; made &= made - 1)
        frame_unref(v->frames_of[__builtin_ctz(made)]);
    frame_unref(v->shared);
}

/* After a send: somebody asked what became of it, or the client is slow. */
RARE static void conclude(struct fan_out *v, struct client_slot *slot, enum conn_sent sent) {
    if (v->receipt != NULL)
        add_to_receipt(v->receipt, slot->client, sent != CONN_QUEUED);
    if (sent == CONN_OVER)
        client_close(slot->client, CLOSE_SLOW);
}

static void send_to(struct fan_out *v, struct client_slot *slot) {
    if (is_before(slot, v->m))
        return;
    v->count++;
    struct frame frame = v->frames_of[slot->wire];
    enum conn_sent sent =
        frame.chunk != NULL ? conn_send_message(slot->conn, frame) : send_other(v, slot);
    if (sent != CONN_QUEUED || v->receipt != NULL)
        conclude(v, slot, sent);
}

static void close_it(struct fan_out *v, struct client_slot *slot) {
    struct bytes reason;
    int code = delivery_read_close(v->m, &reason);
    if (!is_before(slot, v->m))
        client_close_with(slot->client, code, reason);
}

static void finish_it(struct fan_out *v, struct client_slot *slot) {
    (void)v;
    client_on_bye(slot->client);
}

/* Every message behind this one finds them changed. */
static void regroup(struct downlink *d, const struct message *m) {
    struct conn_details details;
    if (!conn_details_decode(m->data, &details))
        return; /* there is no such connection any more */
    clients_regroup(d->clients, &details);
    conn_details_free(&details);
}

static void tell_joins(struct name_entry *e, const struct message *m) {
    struct addressees to = {.m = m};
    for (struct join *next, *j = LIST_FIRST(&e->joins); j != NULL; j = next) {
        next = join_next(j); /* j may end within */
        join_on_message(j, &to);
    }
    addressees_deinit(&to);
}

static void on_message(void *ctx, void *owner, const struct message *m) {
    struct downlink *d = ctx;
    struct name_entry *e = owner;
    struct fan_out v = {.downlink = d, .entry = e, .m = m};
    tell_joins(e, m);
    if (m->flags & FLAG_RECEIPT) {
        v.receipt = mem_zalloc(sizeof(*v.receipt));
        v.receipt->token = bytes_dup(m->from);
        TAILQ_INSERT_TAIL(&d->pending, v.receipt, link);
    }
    switch (m->kind) {
    case MESSAGE_DATA:
    case MESSAGE_NOTE: each_address(&v, send_to); break;
    case MESSAGE_CLOSE: each_address(&v, close_it); break;
    case MESSAGE_BYE: each_address(&v, finish_it); break;
    case MESSAGE_GROUPS: regroup(d, m); break;
    default: break; /* of a newer version */
    }
    release_frames(&v);
    metrics_add(METRIC_deliveries, (int64_t)v.count);
    if (trace_is_on(d->trace))
        tracing_delivered(d->trace, e, m, v.count);
}

/* Those that were taken from data that Redis gave up: ids that come may be smaller. */
static void forget_positions(struct name_entry *e) {
    struct message_id today = follow_position(e->follow);
    for (size_t i = 0; i < e->count; i++) {
        if (message_id_compare(e->slots[i].client->skip_until, today) <= 0)
            continue;
        e->slots[i].skips = 0;
        e->slots[i].client->skip_until = MESSAGE_ID_NONE;
    }
}

/* What came out of the log after it was read in the registry is later, and stays. */
static void on_groups(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct clients *clients = ctx;
    if (status < 0)
        log_warn("downlink", "missed_groups reason=\"%s\"", registry_failure(status));
    for (size_t i = 0; i < count; i++) {
        struct client *client = clients_by_value(clients, rows[i].value);
        struct conn_details d;
        if (client == NULL || rows[i].details.len == 0)
            continue;
        conn_details_read(rows[i].value, rows[i].details, &d);
        if (client->memberships == NULL ||
            message_id_compare(client->memberships->changed, d.changed) < 0)
            clients_regroup(clients, &d);
        conn_details_free(&d);
    }
}

/* Changes of groups may be among what was lost, and the registry knows them. */
static void read_groups(struct downlink *d, const struct name_entry *e) {
    if (d->registry != NULL && e->count > 0)
        registry_list_in_parts(d->registry, name_entry_name(e), on_groups, d->clients);
}

static void on_gap(void *ctx, void *owner, enum gap gap) {
    struct name_entry *e = owner;
    for (struct join *j = LIST_FIRST(&e->joins); j != NULL; j = join_next(j))
        join_on_gap(j, gap);
    if (gap != GAP_LOST)
        forget_positions(e);
    if (e->continues_on_gap && gap != GAP_NONE)
        read_groups(ctx, e);
    if (e->continues_on_gap || gap == GAP_NONE)
        return;
    log_info("downlink", "closed_after_gap name=%s clients=%zu", LOG_TEXT(name_entry_name(e)),
             e->count);
    for (size_t i = e->count; i-- > 0;)
        client_close(e->slots[i].client, CLOSE_GAP);
}

const struct follower_events downlink_events = {.on_message = on_message, .on_gap = on_gap};
