/* wire.c - see wire.h. */
#include "gateway/session/wire.h"

#include <inttypes.h>

#include "common/base/base64.h"
#include "common/base/settings.h"
#include "common/bus/log/answers.h"
#include "common/json/json_text.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/codec/ws_codec.h"
#include "gateway/conn/v1.h"
#include "gateway/session/client.h"

static struct frame ws_frame(struct frame_arena *arena, bool is_binary, unsigned char reserved,
                             struct bytes payload) {
    unsigned char header[WS_HEADER_OUT_MAX];
    size_t len = ws_frame_header(header, is_binary ? WS_BINARY : WS_TEXT, payload.len);
    header[0] |= reserved;
    return frame_make(arena, bytes_of(header, len), payload);
}

struct frame wire_frame(struct frame_arena *arena, bool is_binary, struct bytes payload) {
    return ws_frame(arena, is_binary, 0, payload);
}

struct frame wire_compressed_frame(struct frame_arena *arena, bool is_binary,
                                   struct bytes payload) {
    return ws_frame(arena, is_binary, WS_RSV1, payload);
}

struct frame wire_channel_frame(struct frame_arena *arena, struct bytes text) {
    return frame_make(arena, BYTES_NONE, bytes_from(text, 1));
}

struct frame wire_event(enum wire wire, struct frame_arena *arena, struct buf *event) {
    char header[SSE_CHUNK_HEADER_MAX];
    size_t len = 0;
    if (wire_is_chunked(wire)) {
        len = sse_chunk_header(header, event->len);
        buf_append_str(event, "\r\n");
    }
    return frame_make(arena, bytes_of(header, len), buf_bytes(event));
}

static void append_id(struct buf *out, struct message_id id) {
    char text[MESSAGE_ID_TEXT];
    buf_printf(out, "\"%s\"", message_id_format(id, text));
}

void wire_limits(struct buf *out, const struct settings *s) {
    buf_printf(out, "\"maxMessageBytes\":%" PRId64 ",\"pingMs\":%u,\"historySeconds\":%" PRId64,
               s->max_message_bytes, v1_ping_ms(s), s->history_seconds);
    buf_printf(out, ",\"idSeconds\":%d,\"idCount\":%d", ANSWERS_SECONDS, ANSWERS_KEPT);
}

/* "group" is the first of the groups, for clients that know of one only. */
static void append_groups(struct buf *out, struct bytes_list groups) {
    buf_append_str(out, ",\"group\":");
    if (groups.count > 0)
        json_append_string(out, groups.items[0]);
    else
        buf_append_str(out, "null");
    buf_append_str(out, ",\"groups\":");
    json_append_strings(out, groups);
}

void wire_hello(struct buf *out, const struct hello *h) {
    static const char *const texts[] = {"null", "true", "false"};
    buf_append_str(out, "{\"type\":\"hello\",\"clientId\":");
    json_append_string(out, h->who->client_id);
    buf_append_str(out, ",\"name\":");
    json_append_string(out, h->who->name);
    append_groups(out, h->groups);
    buf_append_str(out, ",\"id\":");
    append_id(out, h->position);
    buf_printf(out, ",\"recovered\":%s", texts[h->recovered]);
    if (h->is_replay_ahead)
        buf_append_str(out, ",\"replay\":true");
    if (h->resume.len > 0)
        buf_printf(out, ",\"resume\":\"%.*s\"", BYTES_FMT(h->resume));
    buf_append_str(out, ",\"limits\":{");
    wire_limits(out, h->settings);
    buf_append_char(out, '}');
    if (h->data.len > 0) {
        buf_append_str(out, ",\"data\":");
        buf_append(out, h->data);
    }
    buf_append_char(out, '}');
}

void wire_message_begin(struct buf *out, struct bytes name, struct message_id id) {
    buf_append_str(out, "{\"type\":\"message\",\"id\":");
    if (message_id_is_none(id))
        buf_append_str(out, "null");
    else
        append_id(out, id);
    buf_append_str(out, ",\"name\":");
    json_append_string(out, name);
    buf_append_str(out, ",\"data\":");
}

void wire_message_data(struct buf *out, unsigned flags, struct bytes data) {
    if (flags & FLAG_BINARY) {
        buf_append_char(out, '"');
        base64_append(out, data);
        buf_append_char(out, '"');
    } else if (flags & FLAG_JSON) {
        buf_append(out, data);
    } else {
        json_append_string(out, data);
    }
}

struct bytes wire_message_end(unsigned flags) {
    return (flags & FLAG_BINARY) != 0 ? BYTES_LIT(",\"binary\":true}") : BYTES_LIT("}");
}

void wire_message(struct buf *out, struct bytes name, struct message_id id, unsigned flags,
                  struct bytes data) {
    wire_message_begin(out, name, id);
    wire_message_data(out, flags, data);
    buf_append(out, wire_message_end(flags));
}
