/* public_entrance.c - see public_entrance.h. */
#include "broker/public_entrance.h"

#include "broker/broker.h"
#include "broker/entry/broadcast.h"
#include "broker/entry/processing.h"
#include "broker/entry/tracing.h"
#include "common/send/public_message.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/base/utf8.h"
#include "common/bus/bus.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/ingest.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/log/rejects.h"
#include "common/bus/partition.h"

enum { REFUSED_TEXT = 1024, STRAY_SHOWN = 64 };
#define NOTHING "there is nothing to send: no data, or an empty list as address"

/* --- refusing --- */

static void keep_refused(struct broker *b, struct bytes text, struct bytes why) {
    char at[32];
    clock_format_utc(clock_wall_ms(), at);
    const struct bytes fields[] = {BYTES_LIT("reason"), bytes_head(why, REFUSED_TEXT),
                                   BYTES_LIT("m"),      bytes_head(text, REFUSED_TEXT),
                                   BYTES_LIT("at"),     bytes_str(at)};
    rejects_add(b->bus, bytes_str(fleet_key(KEY_PUBLIC_REFUSED)), fields, ARRAY_LEN(fields));
}

static void refuse(struct broker *b, struct bytes text, struct bytes why, enum metric metric) {
    metrics_add(metric, 1);
    log_warn("pump", "refused reason=%s", LOG_TEXT(why));
    keep_refused(b, text, why);
}

/* Borrows from the message. */
static struct delivery delivery_of(const struct public_message *m, uint64_t ts_ms) {
    unsigned flags = (m->is_json ? FLAG_JSON : 0) | (m->is_binary ? FLAG_BINARY : 0) |
                     (m->receipt.len > 0 ? FLAG_RECEIPT : 0);
    return (struct delivery){.kind = m->op == PUBLIC_OP_CLOSE ? MESSAGE_CLOSE : MESSAGE_DATA,
                             .ts_ms = ts_ms,
                             .names = texts_list(&m->names),
                             .groups = texts_list(&m->groups),
                             .clients = texts_list(&m->clients),
                             .from = buf_bytes(&m->receipt),
                             .flags = flags,
                             .data = buf_bytes(&m->data),
                             .code = m->code,
                             .once = buf_bytes(&m->id)};
}

/* A message of the public entrances: what it says, and what is wrong with it. */
struct reading {
    struct public_message message;
    struct delivery delivery;
    bool is_good;
    struct buf why;
    enum metric metric; /* that counts why not */
};

static void read_message(struct broker *b, struct reading *r, struct bytes text, uint64_t ts_ms) {
    *r = (struct reading){.metric = METRIC_refused_input};
    if (public_message_read(&r->message, text, PUBLIC_OP_SEND,
                            (size_t)b->settings->max_message_bytes, &r->why) != PUBLIC_FINE)
        return;
    r->delivery = delivery_of(&r->message, ts_ms);
    if (!broadcast_fits(b, &r->delivery, &r->why))
        return;
    r->metric = METRIC_refused_level;
    r->is_good = r->delivery.kind == MESSAGE_CLOSE || r->message.is_nothing ||
                 broadcast_is_allowed(b, &r->delivery, &r->why);
}

static void forget_message(struct reading *r) {
    public_message_deinit(&r->message);
    buf_deinit(&r->why);
}

/* --- the stream --- */

static void refuse_entry(struct processing *p, struct buf *why) {
    tracing_verdict(p, TRACED_REFUSED, buf_bytes(why));
    refuse(p->broker, p->entry->text, buf_bytes(why), METRIC_refused_input);
    buf_deinit(why);
}

/* Larger than any message may be, and than Redis gives out. */
static void refuse_unread(struct processing *p) {
    struct buf why = {0};
    buf_printf(&why, "the entry has %zu bytes, more than a message may have",
               p->entry->unread_bytes);
    refuse_entry(p, &why);
}

/* What stands beside m may have been meant to say whom it is for. */
static void refuse_stray(struct processing *p) {
    struct buf why = {0};
    buf_append_str(&why, "unknown field ");
    json_append_string(&why, utf8_head(p->entry->stray, STRAY_SHOWN));
    buf_append_str(&why, ": an entry has the field m, once, and no other");
    refuse_entry(p, &why);
}

void public_entrance_process(struct processing *p) {
    struct reading r;
    struct bytes text = p->entry->text;
    if (p->entry->unread_bytes > 0) {
        refuse_unread(p);
        return;
    }
    if (p->entry->stray.ptr != NULL) {
        refuse_stray(p);
        return;
    }
    read_message(p->broker, &r, text, p->entry->id.term);
    if (r.is_good || r.metric == METRIC_refused_level)
        tracing_address(p, &r.delivery);
    if (r.is_good && r.message.is_nothing)
        tracing_verdict(p, TRACED_IGNORED, BYTES_LIT(NOTHING));
    else
        tracing_verdict(p, r.is_good ? TRACED_ALLOWED : TRACED_REFUSED, buf_bytes(&r.why));
    if (!r.is_good)
        refuse(p->broker, text, buf_bytes(&r.why), r.metric);
    else if (!r.message.is_nothing && !broadcast(p, &r.delivery))
        refuse(p->broker, text, BYTES_LIT("too many names"), METRIC_refused_input);
    forget_message(&r);
}

/* --- the channel --- */

struct taking {
    struct broker *broker;
    const struct delivery *delivery;
};

static void take_share(void *ctx, unsigned partition, struct bytes_list names, struct bytes entry) {
    struct taking *t = ctx;
    struct broker *b = t->broker;
    struct bytes name = names.count > 0 ? names.items[0] : BYTES_NONE;
    if (names.count > 0 && !lease_is_held(b->lease, partition))
        return; /* another broker's */
    if (t->delivery->once.len > 0)
        forward_publish_once(b->bus, partition, name, t->delivery->once, entry);
    else if (ingest_push(b->free_sends, partition, entry, NULL, NULL) != 0)
        log_warn("pump", "dropped a published message: Redis takes nothing");
}

/* Which broker speaks for a message: the owner of the first Name, or of the public slot. */
static bool is_ours(const struct broker *b, struct bytes_list names) {
    unsigned slot = lease_public(b->lease);
    if (names.count > 0)
        slot = partition_of(names.items[0], bus_partitions(b->bus));
    return lease_is_held(b->lease, slot);
}

void public_entrance_on_published(struct broker *b, struct bytes text) {
    struct reading r;
    if (!bus_can_send(b->bus))
        return;
    read_message(b, &r, text, clock_wall_ms());
    bool is_mine = is_ours(b, r.delivery.names);
    struct taking t = {b, &r.delivery};
    if (!r.is_good && is_mine)
        refuse(b, text, buf_bytes(&r.why), r.metric);
    if (r.is_good && !r.message.is_nothing && (r.delivery.names.count > 0 || is_mine))
        broadcast_split(&r.delivery, bus_partitions(b->bus), take_share, &t);
    forget_message(&r);
}
