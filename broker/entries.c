/* entries.c - what becomes of an entry of a partition, by its kind: one flat switch. */
#include "broker/entry/broadcast.h"
#include "broker/broker.h"
#include "broker/handlers/client_message.h"
#include "broker/entry/dead_letter.h"
#include "broker/handlers/connection_events.h"
#include "broker/inbox.h"
#include "broker/entry/conn_queues.h"
#include "broker/entry/processing.h"
#include "broker/schedules.h"
#include "broker/entry/tracing.h"
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

static bool is_allowed(struct processing *p, const struct delivery *d) {
    struct buf why = {0};
    bool is_checked = (p->entry->entry.flags & FLAG_CHECKED) != 0;
    tracing_address(p, d);
    bool is_fine =
        is_checked || d->kind == MESSAGE_CLOSE || broadcast_is_allowed(p->broker, d, &why);
    if (!is_fine) {
        metrics_add(METRIC_refused_level, 1);
        log_warn("entries", "refused entry=%s why=%s", p->entry->id_text,
                 LOG_TEXT(buf_bytes(&why)));
    }
    tracing_verdict(p, is_fine ? TRACED_ALLOWED : TRACED_REFUSED, buf_bytes(&why));
    buf_deinit(&why);
    return is_fine;
}

/* SEND and CLOSE: to one connection, as the share of this partition, or fresh from whoever sent it.
 */
static void process_send(struct processing *p) {
    const struct entry *e = &p->entry->entry;
    struct delivery d = delivery_of(e);
    struct recipient to = {e->name, e->conn};
    bool is_done = true;
    struct buf why = {0};
    if (!broadcast_fits(p->broker, &d, &why)) {
        buf_append_char(&why, '\0');
        dead_letter(p->broker, p->slot, p->entry, why.ptr);
        buf_deinit(&why);
        return;
    }
    if (e->conn.len > 0)
        is_done = broadcast_to_one(p, &to, &d);
    else if (!is_allowed(p, &d))
        return;
    else if ((e->flags & FLAG_EVERY) != 0)
        is_done = broadcast_share(p, &d);
    else
        is_done = broadcast(p, &d);
    if (!is_done)
        dead_letter(p->broker, p->slot, p->entry, "too many names");
}

static void process_bye(struct processing *p) {
    const struct entry *e = &p->entry->entry;
    struct recipient to = {e->name, e->conn};
    if (conn_queues_take_turn(p) == CONN_QUEUE_DEFERRED)
        return;
    MUST(broadcast_message(p, &to, MESSAGE_BYE, BYTES_NONE));
}

static void process(struct processing *p) {
    switch (p->entry->entry.kind) {
    case ENTRY_CLIENT: client_message_process(p); return;
    case ENTRY_SEND:
    case ENTRY_CLOSE: process_send(p); return;
    case ENTRY_BYE: process_bye(p); return;
    case ENTRY_TICK: schedules_process(p); return;
    case ENTRY_CONNECT:
    case ENTRY_DISCONNECT: connection_events_process(p); return;
    }
    dead_letter(p->broker, p->slot, p->entry, "unknown kind");
}

void inbox_process_entry(struct processing *p) {
    if (p->entry->is_bad) {
        dead_letter(p->broker, p->slot, p->entry,
                    p->entry->unread_bytes > 0 ? "larger than a message may be"
                                               : "cannot be decoded");
        return;
    }
    process(p);
    if (p->entry->is_back)
        conn_queues_after(p);
}
