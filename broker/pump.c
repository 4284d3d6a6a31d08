/* pump.c - see pump.h. */
#include "broker/pump.h"

#include "broker/broker.h"
#include "broker/outcome.h"
#include "broker/public_message.h"
#include "broker/tracing.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/forward.h"
#include "common/bus/ingest.h"
#include "common/bus/lease.h"
#include "common/bus/memo.h"
#include "common/bus/partition.h"

enum { REFUSED_TEXT = 1024 };

/* --- refusing --- */

static void keep_refused(struct broker *b, struct bytes text, struct bytes why) {
    char at[32];
    clock_format_utc(clock_wall_ms(), at);
    const struct bytes fields[] = {BYTES_LIT("reason"), bytes_head(why, REFUSED_TEXT),
                                   BYTES_LIT("m"),      bytes_head(text, REFUSED_TEXT),
                                   BYTES_LIT("at"),     bytes_str(at)};
    memo_add(b->bus, bytes_str(fleet_key(KEY_PUBLIC_REFUSED)), fields, ARRAY_LEN(fields));
}

static void refuse(struct broker *b, struct bytes text, struct bytes why, enum metric metric) {
    metrics_add(metric, 1);
    log_warn("pump", "refused reason=%s", LOG_TEXT(why));
    keep_refused(b, text, why);
}

/* Whether it is correct and allowed; why_out and metric_out say what is wrong. */
static bool read_message(struct broker *b, struct public_message *m_out, struct bytes text,
                         uint64_t ts_ms, struct buf *why_out, enum metric *metric_out) {
    *metric_out = METRIC_refused_input;
    if (!public_message_init(m_out, text, ts_ms, (size_t)b->settings->max_message_bytes, why_out))
        return false;
    *metric_out = METRIC_refused_level;
    return m_out->delivery.kind == MESSAGE_CLOSE || m_out->is_nothing ||
           broadcast_is_allowed(b, &m_out->delivery, why_out);
}

/* --- the stream --- */

void pump_process(struct outcome *o) {
    struct public_message m;
    struct buf why = {0};
    enum metric metric;
    struct bytes text = o->entry->text;
    bool is_good = read_message(o->broker, &m, text, o->entry->id.term, &why, &metric);
    if (is_good || metric == METRIC_refused_level)
        tracing_address(o, &m.delivery);
    tracing_verdict(o, is_good ? TRACED_ALLOWED : TRACED_REFUSED, buf_bytes(&why));
    if (!is_good)
        refuse(o->broker, text, buf_bytes(&why), metric);
    else if (!m.is_nothing && !broadcast(o, &m.delivery))
        refuse(o->broker, text, BYTES_LIT("too many names"), METRIC_refused_input);
    public_message_deinit(&m);
    buf_deinit(&why);
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

void pump_on_published(struct broker *b, struct bytes text) {
    struct public_message m;
    struct buf why = {0};
    enum metric metric;
    if (!bus_can_send(b->bus))
        return;
    bool is_good = read_message(b, &m, text, clock_wall_ms(), &why, &metric);
    bool is_mine = is_ours(b, m.delivery.names);
    struct taking t = {b, &m.delivery};
    if (!is_good && is_mine)
        refuse(b, text, buf_bytes(&why), metric);
    if (is_good && !m.is_nothing && (m.names.count > 0 || is_mine))
        broadcast_split(&m.delivery, bus_partitions(b->bus), take_share, &t);
    public_message_deinit(&m);
    buf_deinit(&why);
}
