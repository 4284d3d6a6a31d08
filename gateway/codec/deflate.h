/*
 * deflate.h - what permessage-deflate (RFC 7692) makes of the payload of a message, in both
 * directions. No message depends on another: both sides renounce context takeover, so a connection
 * owns no window, and what was compressed once serves everybody who agreed on the same window.
 *
 * One of each is enough for a process: a deflater does one message at a call, an inflater one
 * message in as many steps as its owner likes.
 */
#ifndef SIGNALBOX_CODEC_DEFLATE_H
#define SIGNALBOX_CODEC_DEFLATE_H

#include "common/base/buf.h"
#include "gateway/codec/ws_codec.h"

/* ---- out */

enum {
    DEFLATE_WINDOW_MIN = 9, /* as a power of two; zlib has none of 8 */
    DEFLATE_WINDOW_MAX = 15,
    DEFLATE_WINDOWS = DEFLATE_WINDOW_MAX - DEFLATE_WINDOW_MIN + 1,
    DEFLATE_THOROUGH_MAX = 16 * 1024, /* more bytes are compressed less thoroughly, but quicker, */
    DEFLATE_BYTES_MAX = 256 * 1024,   /* and more than this not at all, for the loop has to go on */
    DEFLATE_STORED_MAX = UINT16_MAX   /* bytes of one stored block */
};

struct deflater {
    struct z_stream_s *engines[DEFLATE_WINDOWS]; /* made when first needed */
};

void deflater_init(struct deflater *d);
void deflater_deinit(struct deflater *d);

/* Appends what stands for `message`, of at most DEFLATE_BYTES_MAX bytes (MUST), in the payload of a
 * frame with WS_RSV1. It is never empty, and has no final block. */
void deflate_message(struct deflater *d, int window_bits, struct bytes message, struct buf *out);
/* Appends what stands for before + message + after, where `body` is what deflate_message made of
 * the message. What is around it, at most DEFLATE_STORED_MAX bytes each and not empty (MUST), is
 * stored as it is, so that one body serves many frames. */
void deflate_surround(struct bytes before, struct bytes body, struct bytes after, struct buf *out);

/* ---- in */

/* A message that inflates to nothing may have so many bytes, and 16 more for each that comes out: a
 * sender that flushes after every byte needs 7. */
enum { INFLATE_IDLE_MAX = 64 * 1024, INFLATE_RATIO_MAX = 16 };
/* So much work is done in a millisecond at most (inflater_step). */
enum { INFLATE_STEP = 256 * 1024 };

struct inflate_what {
    struct bytes payload; /* of the message, over all its frames */
    bool is_text;         /* then what comes out must be UTF-8 */
    size_t max_bytes;     /* of what comes out */
};

struct inflater {
    struct z_stream_s *engine; /* made with the first message */
    struct inflate_what what;
    struct utf8 utf8;
    struct bytes rest; /* of the payload, or of the four bytes that its sender left out */
    bool is_at_tail;
    bool may_hold;  /* zlib has had no room for all that it could give */
    bool has_ended; /* the last thing read was a final block */
    size_t given;
    size_t idle; /* bytes of the payload that were taken, and what costs as much */
};

/* Zeroed is fine: an inflater without a message. */
void inflater_deinit(struct inflater *i);
/* Begins a message. Its payload must stay until the end of it. */
void inflater_begin(struct inflater *i, const struct inflate_what *what);
/*
 * Goes on for about so much work: a byte of output counts one, a byte of the payload 16.
 *
 *   PARSE_OK    the message is complete: all of it was appended to `out`, call by call
 *   PARSE_MORE  there is more to do
 *   PARSE_BAD   *error_out is set
 */
enum parse inflater_step(struct inflater *i, size_t work, struct buf *out,
                         struct ws_error *error_out);

/* The longest payload that can stand for max_bytes, as far as a sender makes sense: what cannot be
 * compressed becomes a little longer. */
static inline size_t inflate_payload_max(size_t max_bytes) {
    return max_bytes + max_bytes / 8 + 64;
}

#endif
