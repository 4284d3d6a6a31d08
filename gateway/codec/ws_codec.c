/* ws_codec.c - see ws_codec.h. Read ws_decoder_next first: a header, then a data or control
 * payload, again and again. */
#include "gateway/codec/ws_codec.h"

#include <string.h>

#include "common/base/close_reason.h"
#include "gateway/codec/deflate.h"

enum { FIN = 0x80, RSV2_RSV3 = 0x30, OPCODE = 0x0F, MASKED = 0x80, LENGTH = 0x7F };

void ws_decoder_init(struct ws_decoder *d, size_t max_message_bytes) {
    *d = (struct ws_decoder){.max_message_bytes = max_message_bytes};
}

void ws_decoder_deinit(struct ws_decoder *d) {
    buf_deinit(&d->message);
    buf_deinit(&d->control);
}

static enum parse fail(struct ws_decoder *d, enum close_reason reason, const char *text) {
    d->error = (struct ws_error){close_reason_code(reason), text};
    return PARSE_BAD;
}

/* ---- the frame header, judged byte by byte */

static bool is_control(enum ws_opcode opcode) {
    return opcode >= WS_CLOSE;
}

static enum parse check_first_byte(struct ws_decoder *d, unsigned char first) {
    int opcode = first & OPCODE;
    if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
        return fail(d, CLOSE_PROTOCOL, "reserved opcode");
    d->opcode = (enum ws_opcode)opcode;
    if ((first & RSV2_RSV3) != 0)
        return fail(d, CLOSE_PROTOCOL, "reserved bit set");
    if ((first & WS_RSV1) != 0 &&
        (!d->allow_rsv1 || opcode == WS_CONTINUATION || opcode >= WS_CLOSE))
        return fail(d, CLOSE_PROTOCOL, "RSV1 set where no extension allows it");
    if (is_control(d->opcode))
        return (first & FIN) != 0 ? PARSE_OK : fail(d, CLOSE_PROTOCOL, "fragmented control frame");
    if (d->opcode == WS_CONTINUATION && !d->is_in_message)
        return fail(d, CLOSE_PROTOCOL, "continuation without a beginning");
    if (d->opcode != WS_CONTINUATION && d->is_in_message)
        return fail(d, CLOSE_PROTOCOL, "new message within a message");
    return PARSE_OK;
}

static enum parse check_second_byte(struct ws_decoder *d, unsigned char second) {
    int length = second & LENGTH;
    if ((second & MASKED) == 0)
        return fail(d, CLOSE_PROTOCOL, "frame without mask");
    if (is_control(d->opcode) && length > WS_CONTROL_MAX)
        return fail(d, CLOSE_PROTOCOL, "control frame over 125 bytes");
    if (d->opcode == WS_CLOSE && length == 1)
        return fail(d, CLOSE_PROTOCOL, "close frame with half a code");
    return PARSE_OK;
}

static int length_bytes(const struct ws_decoder *d) {
    int length = d->header[1] & LENGTH;
    return length == 127 ? 8 : length == 126 ? 2 : 0;
}

static bool is_first(const struct ws_decoder *d) {
    return d->opcode == WS_TEXT || d->opcode == WS_BINARY;
}

/* Of the message that the frame belongs to. */
static bool is_compressed(const struct ws_decoder *d) {
    return is_first(d) ? (d->header[0] & WS_RSV1) != 0 : d->is_compressed;
}

static bool is_within_limit(const struct ws_decoder *d, uint64_t length) {
    size_t most = d->max_message_bytes;
    if (is_compressed(d))
        most = inflate_payload_max(most);
    return d->message.len <= most && length <= most - d->message.len;
}

/* The length must be in its shortest form (RFC 6455, 5.2), and the message within its limit. */
static enum parse check_length(struct ws_decoder *d) {
    int count = length_bytes(d);
    uint64_t length = 0;
    for (int i = 0; i < count; i++)
        length = length << 8 | d->header[2 + i];
    if (count == 0)
        length = d->header[1] & LENGTH;
    if (count == 8 && length >> 63 != 0)
        return fail(d, CLOSE_PROTOCOL, "length over 63 bits");
    if ((count == 2 && length < 126) || (count == 8 && length <= UINT16_MAX))
        return fail(d, CLOSE_PROTOCOL, "length not in its shortest form");
    if (!is_control(d->opcode) && !is_within_limit(d, length))
        return fail(d, CLOSE_TOO_BIG, "message over its limit");
    d->payload_len = d->payload_left = (size_t)length;
    return PARSE_OK;
}

/* The checks due once `header_len` bytes of the header are there. */
static enum parse check_header(struct ws_decoder *d) {
    if (d->header_len == 1)
        return check_first_byte(d, d->header[0]);
    if (d->header_len == 2) {
        enum parse second = check_second_byte(d, d->header[1]);
        return second == PARSE_OK && length_bytes(d) == 0 ? check_length(d) : second;
    }
    return d->header_len == 2 + length_bytes(d) ? check_length(d) : PARSE_OK;
}

static void begin_payload(struct ws_decoder *d) {
    memcpy(d->key, d->header + d->header_len - sizeof(d->key), sizeof(d->key));
    d->is_in_payload = true;
    if (!is_first(d))
        return;
    d->is_in_message = true;
    d->is_compressed = is_compressed(d);
    d->message_opcode = d->opcode;
    utf8_init(&d->utf8);
}

static enum parse take_header(struct ws_decoder *d, struct bytes *in) {
    while (in->len > 0) {
        d->header[d->header_len++] = (unsigned char)*in->ptr++;
        in->len--;
        enum parse checked = check_header(d);
        if (checked != PARSE_OK)
            return checked;
        if (d->header_len >= 2 && d->header_len == 2 + length_bytes(d) + (int)sizeof(d->key)) {
            begin_payload(d);
            return PARSE_OK;
        }
    }
    return PARSE_MORE;
}

/* Xors p, which lies at this offset of the payload, with the key. */
static void unmask(char *p, size_t len, const unsigned char key[4], size_t offset) {
    unsigned char turned[8];
    uint64_t key_word, word;
    for (size_t i = 0; i < sizeof(turned); i++)
        turned[i] = key[(offset + i) & 3];
    memcpy(&key_word, turned, sizeof(key_word));
    size_t i = 0;
    for (; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, p + i, sizeof(word));
        word ^= key_word;
        memcpy(p + i, &word, sizeof(word));
    }
    for (; i < len; i++)
        p[i] = (char)(p[i] ^ (char)turned[i & 7]);
}

/* The part of this frame's payload that has arrived, unmasked. */
static struct bytes take_payload(struct ws_decoder *d, struct bytes *in) {
    struct bytes part = bytes_head(*in, d->payload_left);
    *in = bytes_from(*in, part.len);
    unmask((char *)part.ptr, part.len, d->key, d->payload_len - d->payload_left);
    d->payload_left -= part.len;
    return part;
}

static void end_frame(struct ws_decoder *d) {
    d->is_in_payload = false;
    d->header_len = 0;
}

/* Everything so far: `part` itself if nothing came before it, else `kept` with `part` added. */
static struct bytes join(struct buf *kept, struct bytes part) {
    if (kept->len == 0)
        return part;
    buf_append(kept, part);
    return buf_bytes(kept);
}

static enum parse take_data(struct ws_decoder *d, struct bytes *in, struct ws_event *event_out) {
    struct bytes part = take_payload(d, in);
    bool is_text = d->message_opcode == WS_TEXT && !d->is_compressed;
    bool is_last = (d->header[0] & FIN) != 0 && d->payload_left == 0;
    if (is_text && !utf8_feed(&d->utf8, part))
        return fail(d, CLOSE_BAD_UTF8, "text is not UTF-8");
    if (is_text && is_last && !utf8_is_complete(&d->utf8))
        return fail(d, CLOSE_BAD_UTF8, "text ends within a character");
    if (d->payload_left == 0)
        end_frame(d);
    if (!is_last) {
        buf_append(&d->message, part);
        return PARSE_MORE;
    }
    d->is_in_message = false;
    d->is_delivered = true;
    *event_out = (struct ws_event){.kind = WS_EVENT_MESSAGE,
                                   .opcode = d->message_opcode,
                                   .is_compressed = d->is_compressed,
                                   .payload = join(&d->message, part)};
    return PARSE_OK;
}

static enum parse read_close(struct ws_decoder *d, struct bytes payload,
                             struct ws_event *event_out) {
    *event_out = (struct ws_event){.kind = WS_EVENT_CLOSE,
                                   .opcode = WS_CLOSE,
                                   .has_code = payload.len >= 2,
                                   .code = WS_NO_CODE,
                                   .payload = bytes_from(payload, 2)};
    if (event_out->has_code) {
        event_out->code = (unsigned char)payload.ptr[0] << 8 | (unsigned char)payload.ptr[1];
        if (!ws_close_code_is_valid(event_out->code))
            return fail(d, CLOSE_PROTOCOL, "close code not allowed");
        if (!utf8_is_valid(event_out->payload))
            return fail(d, CLOSE_BAD_UTF8, "close reason is not UTF-8");
    }
    d->is_closed = true;
    return PARSE_OK;
}

static enum parse take_control(struct ws_decoder *d, struct bytes *in, struct ws_event *event_out) {
    struct bytes part = take_payload(d, in);
    if (d->payload_left > 0) {
        buf_append(&d->control, part);
        return PARSE_MORE;
    }
    end_frame(d);
    d->is_delivered = true;
    struct bytes payload = join(&d->control, part);
    if (d->opcode == WS_CLOSE)
        return read_close(d, payload, event_out);
    *event_out = (struct ws_event){.kind = d->opcode == WS_PING ? WS_EVENT_PING : WS_EVENT_PONG,
                                   .opcode = d->opcode,
                                   .payload = payload};
    return PARSE_OK;
}

/* A message that is still coming stays. */
void ws_decoder_release(struct ws_decoder *d) {
    if (!d->is_delivered)
        return;
    d->is_delivered = false;
    buf_release(&d->control);
    if (!d->is_in_message)
        buf_release(&d->message);
}

struct buf ws_decoder_take(struct ws_decoder *d, struct bytes payload) {
    struct buf taken = {0};
    MUST(d->is_delivered);
    if (payload.len > 0 && payload.ptr == d->message.ptr) {
        taken = d->message;
        buf_init(&d->message);
    } else {
        buf_append(&taken, payload);
    }
    return taken;
}

enum parse ws_decoder_next(struct ws_decoder *d, struct bytes *in_out, struct ws_event *event_out,
                           struct ws_error *error_out) {
    ws_decoder_release(d);
    enum parse result = d->error.text == NULL ? PARSE_MORE : PARSE_BAD;
    while (result == PARSE_MORE && !d->is_closed) {
        if (!d->is_in_payload && (result = take_header(d, in_out)) != PARSE_OK)
            break;
        result = is_control(d->opcode) ? take_control(d, in_out, event_out)
                                       : take_data(d, in_out, event_out);
        if (bytes_is_empty(*in_out))
            break;
    }
    if (d->is_closed && result == PARSE_MORE)
        *in_out = bytes_from(*in_out, in_out->len);
    if (result == PARSE_BAD)
        *error_out = d->error;
    return result;
}

bool ws_close_code_is_valid(int code) {
    return close_code_is_valid(code);
}

size_t ws_frame_header(unsigned char out[WS_HEADER_OUT_MAX], enum ws_opcode opcode,
                       size_t payload_len) {
    out[0] = (unsigned char)(FIN | opcode);
    if (payload_len < 126) {
        out[1] = (unsigned char)payload_len;
        return 2;
    }
    size_t count = payload_len <= UINT16_MAX ? 2 : 8;
    out[1] = count == 2 ? 126 : 127;
    for (size_t i = 0; i < count; i++)
        out[2 + i] = (unsigned char)((uint64_t)payload_len >> 8 * (count - 1 - i));
    return 2 + count;
}

size_t ws_frame_len(struct bytes rest) {
    const unsigned char *p = (const unsigned char *)rest.ptr;
    uint64_t len = p[1] & LENGTH, header = 2;
    unsigned width = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (width > 0)
        len = 0;
    for (unsigned i = 0; i < width; i++)
        len = len << 8 | p[2 + i];
    return (size_t)(header + width + len);
}

void ws_encode_message(struct buf *out, enum ws_opcode opcode, struct bytes payload) {
    unsigned char header[WS_HEADER_OUT_MAX];
    MUST(!is_control(opcode) || payload.len <= WS_CONTROL_MAX);
    buf_append(out, bytes_of(header, ws_frame_header(header, opcode, payload.len)));
    buf_append(out, payload);
}

void ws_encode_close(struct buf *out, int code, struct bytes reason) {
    if (code == 0) {
        ws_encode_message(out, WS_CLOSE, BYTES_NONE);
        return;
    }
    MUST(ws_close_code_is_valid(code));
    struct bytes cut = utf8_head(reason, WS_REASON_MAX);
    char payload[WS_CONTROL_MAX] = {(char)(code >> 8), (char)(code & 0xFF)};
    if (cut.len > 0)
        memcpy(payload + 2, cut.ptr, cut.len);
    ws_encode_message(out, WS_CLOSE, bytes_of(payload, 2 + cut.len));
}
