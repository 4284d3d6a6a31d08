/* note.c - see note.h. Both do nothing for other senders and for messages without a ref. */
#include "broker/note.h"

#include "broker/broadcast.h"
#include "broker/client_message.h"
#include "broker/outcome.h"

static bool is_wanted(const struct outcome *o, const struct client_message *m) {
    return (o->entry->entry.flags & FLAG_V1) != 0 && m->ref.kind != JSON_KIND_ABSENT;
}

static void begin(struct buf *text, const char *type, const struct client_message *m) {
    buf_printf(text, "{\"type\":\"%s\",\"ref\":", type);
    json_append_compact(text, m->ref);
}

static void finish(struct outcome *o, struct buf *text) {
    const struct entry *e = &o->entry->entry;
    struct recipient sender = {e->name, e->conn};
    buf_append_char(text, '}');
    /* Without room the entry has led to thousands of messages: the note is the least of it. */
    (void)broadcast_message(o, &sender, MESSAGE_NOTE, buf_bytes(text));
    buf_deinit(text);
}

void note_ack(struct outcome *o, const struct client_message *m) {
    struct buf text = {0};
    char id[MESSAGE_ID_TEXT];
    if (!is_wanted(o, m))
        return;
    begin(&text, "ack", m);
    if (message_id_is_none(o->first_id))
        buf_append_str(&text, ",\"id\":null");
    else
        buf_printf(&text, ",\"id\":\"%s\"", message_id_format(o->first_id, id));
    finish(o, &text);
}

void note_error(struct outcome *o, const struct client_message *m, const char *code,
                struct bytes why) {
    struct buf text = {0};
    if (!is_wanted(o, m))
        return;
    begin(&text, "error", m);
    buf_printf(&text, ",\"code\":\"%s\",\"message\":", code);
    json_append_string(&text, why);
    finish(o, &text);
}
