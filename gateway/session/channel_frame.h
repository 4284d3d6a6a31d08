/*
 * channel_frame.h - what a client says on a WebSocket that many Signal connections share: one JSON
 * object a frame.
 *
 *     {"type":"open","ref":…,"path":…,"resume":…,"token":…,"last":…}
 *     {"type":"close","channel":…} {"type":"close","ref":…} {"type":"token","token":…}
 *     {"type":"ping"}
 *     anything else with "channel": a message, whose other members are its client's own
 *
 * What the socket itself is told has no other keys than these, each once; null counts as absent.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_CHANNEL_FRAME_H
#define SIGNALBOX_GATEWAY_SESSION_CHANNEL_FRAME_H

#include "common/json/json_text.h"

enum { CHANNEL_REF_MAX = 128 };

enum channel_frame_kind {
    CHANNEL_MESSAGE,
    CHANNEL_OPEN,
    CHANNEL_CLOSE,
    CHANNEL_TOKEN,
    CHANNEL_PING
};

/* Slices of the text; those of strings have their quotes. */
struct channel_frame {
    enum channel_frame_kind kind;
    uint64_t channel; /* 0: none is given */
    struct bytes ref; /* a string or a number of at most CHANNEL_REF_MAX bytes, or empty */
    struct json_value path, resume, token, last;
    struct bytes member; /* of a message: the member "channel" and the comma beside it */
};

/* False with one line in error_out; f_out->ref is set if there is one. */
bool channel_frame_read(struct bytes text, struct channel_frame *f_out, struct buf *error_out);
/* Appends a message as its client would have said it alone: without "channel". */
void channel_frame_message(struct bytes text, const struct channel_frame *f, struct buf *out);

#endif
