/* entries.c - see entries.h. Read process: one flat switch. */
#include "broker/entries.h"

#include "broker/entry/broadcast.h"
#include "broker/entry/dead_letter.h"
#include "broker/entry/level_check.h"
#include "broker/entry/tracing.h"
#include "broker/handlers/client_entry.h"
#include "broker/handlers/connection_events.h"
#include "broker/schedules.h"
#include "common/base/log.h"

static bool is_allowed(struct processing *p, const struct delivery *d) {
    struct buf why = {0};
    bool is_checked = (p->entry->entry.flags & FLAG_CHECKED) != 0;
    tracing_address(p, d);
    bool is_fine = is_checked || level_check(p->parts, d, &why);
    if (is_fine) {
        tracing_verdict(p, TRACED_ALLOWED, BYTES_NONE);
    } else {
        level_check_refused(p, buf_bytes(&why));
        log_warn("entries", "refused entry=%s why=%s", p->entry->id_text,
                 LOG_TEXT(buf_bytes(&why)));
    }
    buf_deinit(&why);
    return is_fine;
}

/* An entry may have come from anywhere. */
static bool is_possible(const struct processing *p, const struct delivery *d, struct buf *why) {
    return (d->kind != MESSAGE_GROUPS || delivery_check_groups(d, why)) &&
           delivery_fits(d, p->parts->bus, why);
}

/* SEND, GROUPS and CLOSE: to one connection, as the share of this partition, or fresh from its
 * sender. */
static void process_send(struct processing *p) {
    const struct entry *e = &p->entry->entry;
    struct delivery d = delivery_of_entry(e);
    struct recipient to = {e->name, e->conn};
    bool is_done = true;
    struct buf why = {0};
    if (!is_possible(p, &d, &why)) {
        buf_append_char(&why, '\0');
        dead_letter(p, why.ptr);
        buf_deinit(&why);
        return;
    }
    if (e->conn.len > 0 && d.kind != MESSAGE_GROUPS)
        is_done = broadcast_to_one(p, &to, &d);
    else if (!is_allowed(p, &d))
        return;
    else if ((e->flags & FLAG_EVERY) != 0)
        is_done = broadcast_share(p, &d);
    else
        is_done = broadcast(p, &d);
    if (!is_done)
        dead_letter(p, "too many names");
}

static void process(struct processing *p) {
    switch (p->entry->entry.kind) {
    case ENTRY_CLIENT: client_entry_process(p); return;
    case ENTRY_SEND:
    case ENTRY_GROUPS:
    case ENTRY_CLOSE: process_send(p); return;
    case ENTRY_BYE:
        if (conn_queues_take_turn(p) != CONN_QUEUE_DEFERRED)
            MUST(broadcast_reply(p, MESSAGE_BYE, BYTES_NONE));
        return;
    case ENTRY_TICK: schedules_process(p); return;
    case ENTRY_CONNECT:
    case ENTRY_DISCONNECT: connection_events_process(p); return;
    }
    dead_letter(p, "unknown kind");
}

void entries_process(struct processing *p) {
    if (p->entry->is_bad) {
        dead_letter(p, p->entry->unread_bytes > 0 ? "larger than a message may be"
                                                  : "cannot be decoded");
        return;
    }
    process(p);
    if (p->entry->is_back)
        conn_queues_after(p);
}
