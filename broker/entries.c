/* entries.c - what becomes of an entry of a partition, by its kind: one flat switch. */
#include "broker/broadcast.h"
#include "broker/broker.h"
#include "broker/client_message.h"
#include "broker/dead_letter.h"
#include "broker/events.h"
#include "broker/inbox.h"
#include "broker/lanes.h"
#include "broker/outcome.h"
#include "broker/schedule.h"
#include "broker/tracing.h"
#include "common/base/log.h"
#include "common/base/metrics.h"

static struct delivery delivery_of(const struct entry *e) {
    return (struct delivery){.kind = e->kind == ENTRY_CLOSE ? MESSAGE_CLOSE : MESSAGE_DATA,
                             .ts_ms = e->ts_ms,
                             .names = e->names,
                             .groups = e->groups,
                             .clients = e->clients,
                             .from = e->client_id,
                             .flags = e->flags & (FLAG_BINARY | FLAG_JSON | FLAG_RECEIPT),
                             .data = e->body,
                             .code = e->code};
}

static bool is_allowed(struct outcome *o, const struct delivery *d) {
    struct buf why = {0};
    bool is_checked = (o->entry->entry.flags & FLAG_CHECKED) != 0;
    tracing_address(o, d);
    bool is_fine =
        is_checked || d->kind == MESSAGE_CLOSE || broadcast_is_allowed(o->broker, d, &why);
    if (!is_fine) {
        metrics_add(METRIC_refused_level, 1);
        log_warn("entries", "refused entry=%s why=%s", o->entry->id_text,
                 LOG_TEXT(buf_bytes(&why)));
    }
    tracing_verdict(o, is_fine ? TRACED_ALLOWED : TRACED_REFUSED, buf_bytes(&why));
    buf_deinit(&why);
    return is_fine;
}

/* SEND and CLOSE: to one connection, as the share of this partition, or fresh from whoever sent it.
 */
static void process_send(struct outcome *o) {
    const struct entry *e = &o->entry->entry;
    struct delivery d = delivery_of(e);
    struct recipient to = {e->name, e->conn};
    bool is_done = true;
    struct buf why = {0};
    if (!broadcast_fits(o->broker, &d, &why)) {
        buf_append_char(&why, '\0');
        dead_letter(o->broker, o->slot, o->entry, why.ptr);
        buf_deinit(&why);
        return;
    }
    if (e->conn.len > 0)
        is_done = broadcast_to_one(o, &to, &d);
    else if (!is_allowed(o, &d))
        return;
    else if ((e->flags & FLAG_EVERY) != 0)
        is_done = broadcast_share(o, &d);
    else
        is_done = broadcast(o, &d);
    if (!is_done)
        dead_letter(o->broker, o->slot, o->entry, "too many names");
}

static void process_bye(struct outcome *o) {
    const struct entry *e = &o->entry->entry;
    struct recipient to = {e->name, e->conn};
    if (lanes_take_turn(o) == LANE_ASIDE)
        return;
    MUST(broadcast_message(o, &to, MESSAGE_BYE, BYTES_NONE));
}

static void process(struct outcome *o) {
    switch (o->entry->entry.kind) {
    case ENTRY_CLIENT: client_message_process(o); return;
    case ENTRY_SEND:
    case ENTRY_CLOSE: process_send(o); return;
    case ENTRY_BYE: process_bye(o); return;
    case ENTRY_TICK: schedule_process(o); return;
    case ENTRY_CONNECT:
    case ENTRY_DISCONNECT: events_process(o); return;
    }
    dead_letter(o->broker, o->slot, o->entry, "unknown kind");
}

void inbox_process_entry(struct outcome *o) {
    if (o->entry->is_bad) {
        dead_letter(o->broker, o->slot, o->entry,
                    o->entry->unread_bytes > 0 ? "larger than a message may be"
                                               : "cannot be decoded");
        return;
    }
    process(o);
    if (o->entry->is_back)
        lanes_after(o);
}
