/*
 * ws_codec.h - WebSocket frames (RFC 6455, section 5), the server's side: strict decoder, encoder
 * of whole frames.
 *
 * The decoder works in place on the caller's read buffer: the payload is unmasked where it lies,
 * and a message that came within one read in one frame is a slice of that buffer. Only what is left
 * over at the end of a read (a part of a header, of a message, of a control frame) is kept inside.
 * An idle decoder owns no memory.
 *
 *      0                   1                   2                   3
 *     +-+-+-+-+-------+-+-------------+-------------------------------+---------------+
 *     |F|R|R|R| opcode|M| length 0-125|  16 bit length if 126         | masking key   |
 *     |I|S|S|S|  (4)  |A| or 126, 127 |  64 bit length if 127         | (4 bytes)     | payload
 *     |N|1|2|3|       |K|             |  0 bytes else                 |               |
 *     +-+-+-+-+-------+-+-------------+-------------------------------+---------------+
 *
 *     struct bytes in = what was read;
 *     while ((result = ws_decoder_next(&decoder, &in, &event, &error)) == PARSE_OK)
 *         handle(&event);
 *     if (result == PARSE_BAD)
 *         close with error.close_code
 */
#ifndef SIGNALBOX_CODEC_WS_CODEC_H
#define SIGNALBOX_CODEC_WS_CODEC_H

#include "common/base/buf.h"
#include "common/base/parse.h"
#include "common/base/utf8.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

enum { WS_HEADER_IN_MAX = 14, WS_HEADER_OUT_MAX = 10, WS_CONTROL_MAX = 125, WS_REASON_MAX = 123 };

enum { WS_NO_CODE = 1005 }; /* of a Close without one; never on the wire */

enum ws_event_kind { WS_EVENT_MESSAGE, WS_EVENT_PING, WS_EVENT_PONG, WS_EVENT_CLOSE };

struct ws_event {
    enum ws_event_kind kind;
    enum ws_opcode opcode; /* MESSAGE: WS_TEXT (then the payload is valid UTF-8) or WS_BINARY */
    bool is_compressed;    /* MESSAGE: had RSV1 (allow_rsv1): its text is not checked yet */
    bool has_code;         /* CLOSE: false when its payload was empty */
    int code;              /* CLOSE: as sent, WS_NO_CODE when !has_code */
    struct bytes payload;  /* MESSAGE, PING, PONG: the payload; CLOSE: the reason */
};

struct ws_error {
    int close_code;   /* 1002 protocol, 1007 not UTF-8, 1009 too big */
    const char *text; /* constant, one line */
};

struct ws_decoder {
    /* An extension that uses RSV1 on messages (permessage-deflate) was agreed on. Set by the owner
     * after ws_decoder_init, before the first byte. */
    bool allow_rsv1;

    /* The rest is ws_codec.c's own. */
    bool is_in_payload;
    bool is_in_message; /* a data frame has begun and its message has not ended */
    bool is_compressed;
    bool is_delivered; /* `message` holds what the last event pointed to */
    bool is_closed;    /* a close frame came: what follows is ignored (RFC 6455, 5.5.1) */
    struct utf8 utf8;
    uint8_t header_len;
    unsigned char header[WS_HEADER_IN_MAX];
    unsigned char key[4];
    enum ws_opcode message_opcode;
    enum ws_opcode opcode; /* of the current frame */
    size_t payload_len;
    size_t payload_left;
    size_t max_message_bytes;
    struct buf message; /* what has come of a message that did not come at once */
    struct buf control; /* the same for a control frame, which may come in between */
    struct ws_error error;
};

/* max_message_bytes limits a message's payload over all its frames. A compressed one may be longer
 * on its way (deflate.h): its limit is for what comes out. */
void ws_decoder_init(struct ws_decoder *d, size_t max_message_bytes);
void ws_decoder_deinit(struct ws_decoder *d);

/*
 * Takes bytes from the front of *in_out, whose memory must be writable, up to the next event.
 *
 *   PARSE_OK    *event_out is set. Its payload lives until the next call with this decoder or until
 *               the input is reused.
 *   PARSE_MORE  the input is used up.
 *   PARSE_BAD   *error_out is set; every further call returns the same.
 *
 * Call it until it does not return PARSE_OK: that also releases the memory of the last message.
 * Errors are found as soon as the bytes are there: text is checked as it arrives, sizes with the
 * frame's header. The length that a header claims is never allocated ahead.
 */
enum parse ws_decoder_next(struct ws_decoder *d, struct bytes *in_out, struct ws_event *event_out,
                           struct ws_error *error_out);

/* Whether a frame or a message has begun and not ended, and the memory that holds it. */
static inline bool ws_decoder_is_within(const struct ws_decoder *d) {
    return d->is_in_message || d->is_in_payload || d->header_len > 0;
}
static inline size_t ws_decoder_memory(const struct ws_decoder *d) {
    return d->message.cap + d->control.cap;
}
/* Releases what the last event pointed to, when the next call may be long in coming. */
void ws_decoder_release(struct ws_decoder *d);
/* The payload of the last event, for as long as the caller likes. */
struct buf ws_decoder_take(struct ws_decoder *d, struct bytes payload);

/* May this code stand in a close frame (RFC 6455, 7.4; 1012 to 1014 of the IANA registry too)? */
bool ws_close_code_is_valid(int code);

/* Set in the first byte of a frame, it says that the message is compressed. */
enum { WS_RSV1 = 0x40 };
/* The header of an unmasked frame with FIN; returns its length: 2, 4 or 10. */
size_t ws_frame_header(unsigned char out[WS_HEADER_OUT_MAX], enum ws_opcode opcode,
                       size_t payload_len);

/* How long the unmasked frame at the front of `rest` is, all of which is there. */
size_t ws_frame_len(struct bytes rest);

/* Appends one whole frame. Control frames hold at most WS_CONTROL_MAX bytes (MUST). */
void ws_encode_message(struct buf *out, enum ws_opcode opcode, struct bytes payload);

/* Appends a close frame: an empty one for code 0, else with a valid code (MUST). The reason is cut
 * after the last UTF-8 character that ends within WS_REASON_MAX bytes. */
void ws_encode_close(struct buf *out, int code, struct bytes reason);

#endif
