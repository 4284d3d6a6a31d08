/* public_entrance.c - see public_entrance.h. Read judge, then the two entrances. */
#include "broker/public_entrance.h"

#include "broker/entry/broadcast.h"
#include "broker/entry/level_check.h"
#include "broker/entry/tracing.h"
#include "broker/heard_takes.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/utf8.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/rejects.h"
#include "common/bus/partition.h"
#include "common/send/public_message.h"

enum { REFUSED_TEXT = 1024, STRAY_SHOWN = 64, FUTURE_MS = 60000 };
#define NOTHING "there is nothing to send: no data, or an empty list as address"

enum verdict {
    SENDS,
    IS_NOTHING,   /* correct, and nothing to do */
    IS_BAD,       /* it makes no sense, or is too large */
    IS_OVER_LEVEL /* the broadcast levels do not allow it */
};

/* A message of the public entrances, and what is wrong with it. */
struct reading {
    struct public_message message;
    struct delivery delivery; /* empty if it makes no sense */
    struct buf why;
    enum verdict verdict;
};

static enum verdict judge(struct reading *r, const struct entry_parts *parts, struct bytes text,
                          uint64_t ts_ms) {
    const struct public_limits limits = {parts->max_message_bytes, parts->bus};
    *r = (struct reading){0};
    if (public_message_read(&r->message, text, PUBLIC_OP_SEND, &limits, &r->why) != PUBLIC_FINE)
        return IS_BAD;
    r->delivery = public_message_delivery(&r->message, ts_ms);
    if (r->message.is_nothing)
        return IS_NOTHING;
    return level_check(parts, &r->delivery, &r->why) ? SENDS : IS_OVER_LEVEL;
}

static void forget(struct reading *r) {
    public_message_deinit(&r->message);
    buf_deinit(&r->why);
}

/* --- refusing --- */

/* Counts it, logs it and keeps it in the stream of refused messages. p: NULL for a message of the
 * channel. */
static void refuse(const struct entry_parts *parts, struct processing *p, const struct reading *r,
                   struct bytes text) {
    struct bytes why = buf_bytes(&r->why);
    char at[32];
    if (r->verdict == IS_OVER_LEVEL) {
        level_check_refused(p, why);
    } else {
        metrics_add(METRIC_refused_input, 1);
        tracing_verdict(p, TRACED_REFUSED, why);
    }
    clock_format_utc(clock_wall_ms(), at);
    const struct bytes fields[] = {BYTES_LIT("reason"), bytes_head(why, REFUSED_TEXT),
                                   BYTES_LIT("m"),      bytes_head(text, REFUSED_TEXT),
                                   BYTES_LIT("at"),     bytes_str(at)};
    log_warn("public_entrance", "refused reason=%s", LOG_TEXT(why));
    rejects_add_refused(parts->bus, fields, ARRAY_LEN(fields));
}

/* --- the stream --- */

/* Whether an entry can be read at all; why_out says why not. */
static bool is_readable(const struct in_entry *e, struct buf *why_out) {
    if (e->unread_bytes > 0) {
        buf_printf(why_out, "the entry has %zu bytes, more than a message may have",
                   e->unread_bytes);
        return false;
    }
    if (e->stray.ptr == NULL)
        return true;
    /* What stands beside m may have been meant to say to whom it goes. */
    buf_append_str(why_out, "unknown field ");
    json_append_string(why_out, utf8_head(e->stray, STRAY_SHOWN));
    buf_append_str(why_out, ": an entry has the field m, once, and no other");
    return false;
}

static void process(struct processing *p, struct reading *r) {
    if (r->verdict != IS_BAD)
        tracing_address(p, &r->delivery);
    switch (r->verdict) {
    case SENDS:
        tracing_verdict(p, TRACED_ALLOWED, BYTES_NONE);
        if (broadcast(p, &r->delivery))
            return;
        buf_append_str(&r->why, "too many names");
        r->verdict = IS_BAD;
        break;
    case IS_NOTHING: tracing_verdict(p, TRACED_IGNORED, BYTES_LIT(NOTHING)); return;
    case IS_BAD:
    case IS_OVER_LEVEL: break;
    }
    refuse(p->parts, p, r, p->entry->text);
}

/* When an entry came, by its id; a publisher may have chosen one of the future. */
static uint64_t time_of(const struct in_entry *e) {
    uint64_t now = clock_wall_ms();
    return e->id.term > now + FUTURE_MS ? now : e->id.term;
}

void public_entrance_process(struct processing *p) {
    struct reading r = {.verdict = IS_BAD};
    if (is_readable(p->entry, &r.why))
        r.verdict = judge(&r, p->parts, p->entry->text, time_of(p->entry));
    process(p, &r);
    forget(&r);
}

/* --- the channel --- */

struct taking {
    const struct entry_parts *parts;
    const struct lease *lease;
    const struct heard_takes *heard;
    struct bytes once;
};

/* Whether it is up to this broker. */
static bool answers_for(const struct taking *t, unsigned slot) {
    return lease_is_certain(t->lease, slot) && heard_takes_has(t->heard, slot);
}

static void take_share(void *ctx, unsigned partition, struct bytes_list names, struct bytes entry) {
    struct taking *t = ctx;
    struct bytes name = names.count > 0 ? names.items[0] : BYTES_NONE;
    if (names.count > 0 && !answers_for(t, partition))
        return; /* another broker's */
    if (t->once.len > 0)
        forward_publish_once(t->parts->bus, partition, name, t->once, entry);
    else if (ingest_push(t->parts->free_sends, partition, NULL, entry, NULL, NULL) != 0)
        log_warn("public_entrance", "dropped a published message: Redis takes nothing");
}

void public_entrance_on_published(const struct entry_parts *parts, const struct lease *lease,
                                  const struct heard_takes *heard, struct bytes text) {
    struct reading r;
    if (!bus_can_send(parts->bus))
        return;
    r.verdict = judge(&r, parts, text, clock_wall_ms());
    struct bytes_list names = r.delivery.names;
    struct taking taking = {parts, lease, heard, r.delivery.once};
    /* One broker answers for a message: the owner of the first Name, or of the public slot. */
    bool is_mine = answers_for(
        &taking, names.count > 0 ? partition_of(names.items[0], bus_partitions(parts->bus))
                                 : lease_public(lease));
    if (r.verdict == SENDS && (names.count > 0 || is_mine))
        delivery_split(&r.delivery, bus_partitions(parts->bus), take_share, &taking);
    else if ((r.verdict == IS_BAD || r.verdict == IS_OVER_LEVEL) && is_mine)
        refuse(parts, NULL, &r, text);
    forget(&r);
}
