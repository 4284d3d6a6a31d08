/* v1.c - see v1.h. */
#include "gateway/conn/v1.h"

#include "common/json/json_text.h"
#include "gateway/conn/identity.h"

static void append_base64(struct buf *out, struct bytes in) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)in.ptr;
    char *at = buf_reserve(out, (in.len + 2) / 3 * 4);
    for (size_t i = 0; i < in.len; i += 3) {
        size_t left = in.len - i;
        uint32_t three = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                         (left > 2 ? p[i + 2] : 0);
        *at++ = digits[three >> 18];
        *at++ = digits[three >> 12 & 63];
        *at++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *at++ = left > 2 ? digits[three & 63] : '=';
    }
    buf_added(out, (in.len + 2) / 3 * 4);
}

static void append_id(struct buf *out, struct message_id id) {
    char text[MESSAGE_ID_TEXT];
    buf_printf(out, "\"%s\"", message_id_format(id, text));
}

void v1_hello(struct buf *out, const struct identity *who, struct message_id position,
              enum v1_recovered recovered) {
    static const char *const texts[] = {"null", "true", "false"};
    buf_append_str(out, "{\"type\":\"hello\",\"clientId\":");
    json_append_string(out, who->client_id);
    buf_append_str(out, ",\"name\":");
    json_append_string(out, who->name);
    buf_append_str(out, ",\"group\":");
    if (who->group.len > 0)
        json_append_string(out, who->group);
    else
        buf_append_str(out, "null");
    buf_append_str(out, ",\"id\":");
    append_id(out, position);
    buf_printf(out, ",\"recovered\":%s}", texts[recovered]);
}

void v1_message(struct buf *out, struct bytes name, struct message_id id, unsigned flags,
                struct bytes data) {
    buf_append_str(out, "{\"type\":\"message\",\"id\":");
    if (message_id_is_none(id))
        buf_append_str(out, "null");
    else
        append_id(out, id);
    buf_append_str(out, ",\"name\":");
    json_append_string(out, name);
    buf_append_str(out, ",\"data\":");
    if (flags & FLAG_BINARY) {
        buf_append_char(out, '"');
        append_base64(out, data);
        buf_append_str(out, "\",\"binary\":true}");
        return;
    }
    if (flags & FLAG_JSON)
        buf_append(out, data);
    else
        json_append_string(out, data);
    buf_append_char(out, '}');
}
