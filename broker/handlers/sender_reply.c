/* sender_reply.c - see sender_reply.h. */
#include "broker/handlers/sender_reply.h"

#include <string.h>

#include "broker/entry/broadcast.h"
#include "broker/entry/outcomes.h"
#include "broker/handlers/client_message.h"

static bool is_wanted(const struct processing *p, const struct client_message *m) {
    return (p->entry->entry.flags & FLAG_V1) != 0 && m->ref.kind != JSON_KIND_ABSENT;
}

static void begin(struct buf *text, const char *type, const struct client_message *m) {
    buf_printf(text, "{\"type\":\"%s\",\"ref\":", type);
    json_append_compact(text, m->ref);
}

static void finish(struct processing *p, struct buf *text) {
    buf_append_char(text, '}');
    /* Without room the entry has led to thousands of messages: the reply is the least of it. */
    (void)broadcast_reply(p, MESSAGE_NOTE, buf_bytes(text));
    buf_deinit(text);
}

void sender_reply_ack(struct processing *p, const struct client_message *m) {
    struct buf text = {0};
    char id[MESSAGE_ID_TEXT];
    outcomes_add(p, 202, BYTES_NONE);
    if (!is_wanted(p, m))
        return;
    begin(&text, "ack", m);
    if (message_id_is_none(p->first_id))
        buf_append_str(&text, ",\"id\":null");
    else
        buf_printf(&text, ",\"id\":\"%s\"", message_id_format(p->first_id, id));
    finish(p, &text);
}

void sender_reply_nothing(struct processing *p) {
    outcomes_add(p, 202, BYTES_NONE);
}

static int status_of(const char *code) {
    static const struct {
        const char *code;
        int status;
    } all[] = {{"bad_request", 400}, {"level", 403}, {"no_route", 403},
               {"too_big", 413},     {"busy", 429},  {"handler", 500}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i].code, code) == 0)
            return all[i].status;
    return 500;
}

void sender_reply_error(struct processing *p, const struct client_message *m, const char *code,
                        struct bytes why) {
    struct buf text = {0};
    outcomes_add(p, status_of(code), why);
    if (!is_wanted(p, m))
        return;
    begin(&text, "error", m);
    buf_printf(&text, ",\"code\":\"%s\",\"message\":", code);
    json_append_string(&text, why);
    finish(p, &text);
}
