/* message_json.c - see message_json.h. */
#include "common/admin/message_json.h"

#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/bus/log/retained.h"
#include "common/json/json_check.h"
#include "common/json/json_text.h"
#include "common/send/delivery.h"

static void append_member(struct buf *out, const char *before, struct bytes text) {
    if (text.len == 0)
        return;
    buf_append_str(out, before);
    json_append_string(out, text);
}

static void append_list(struct buf *out, const char *member, struct bytes_list list) {
    if (list.count == 0)
        return;
    buf_printf(out, ",\"%s\":", member);
    json_append_strings(out, list);
}

static void append_hex(struct buf *out, struct bytes data) {
    buf_append_char(out, '"');
    for (size_t i = 0; i < data.len; i++)
        buf_printf(out, "%02x", (unsigned char)data.ptr[i]);
    buf_append_char(out, '"');
}

/* Whoever wrote it to Redis may have called JSON what is none. */
static void append_data(struct buf *out, const struct message *m) {
    bool is_text = utf8_is_valid(m->data);
    buf_append_str(out, is_text ? ",\"data\":" : ",\"dataHex\":");
    if (!is_text)
        append_hex(out, m->data);
    else if ((m->flags & FLAG_JSON) != 0 && json_check(m->data, NULL))
        buf_append(out, m->data);
    else
        json_append_string(out, m->data);
}

void message_json_append(struct buf *out, struct bytes name, const struct message *m) {
    char time[32], id[MESSAGE_ID_TEXT];
    struct bytes reason;
    clock_format_utc(m->ts_ms, time);
    buf_printf(out, "{\"time\":\"%s\",\"id\":\"%s\",\"name\":", time, message_id_format(m->id, id));
    json_append_string(out, name);
    append_list(out, "group", m->to_groups);
    append_list(out, "clientId", m->to_clients);
    append_member(out, ",\"connection\":", m->to_conn);
    append_member(out, ",\"from\":", sender_of(m->flags, m->from));
    if (m->flags & FLAG_BINARY)
        buf_append_str(out, ",\"binary\":true");
    if (m->flags & FLAG_UNCOMPRESSED)
        buf_append_str(out, ",\"compress\":false");
    if (m->kind == MESSAGE_CLOSE) {
        buf_printf(out, ",\"close\":%d,\"reason\":", delivery_read_close(m, &reason));
        json_append_string(out, reason);
    } else {
        append_data(out, m);
    }
    buf_append_char(out, '}');
}

void message_json_append_page(struct buf *out, struct bytes name,
                              const struct retained_page *page) {
    char id[MESSAGE_ID_TEXT];
    buf_append_str(out, "{\"messages\":[");
    for (size_t i = 0; i < page->count; i++) {
        const struct message *m = &page->messages[i];
        if (i > 0)
            buf_append_char(out, ',');
        message_json_append(out, m->is_to_every ? BYTES_LIT("*") : name, m);
    }
    if (message_id_is_none(page->next))
        buf_append_str(out, "],\"before\":null}");
    else
        buf_printf(out, "],\"before\":\"%s\"}", message_id_format(page->next, id));
}
