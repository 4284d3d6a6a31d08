/*
 * compression.h - a message of a log as a compressed frame (permessage-deflate).
 *
 * A message is compressed once for each window in use, when the first client with that window needs
 * it; all clients that have the window share what came of it, those of signalbox.v1 too: there it
 * stands between stored texts (deflate_surround), when the data is the same JSON. What was made
 * last is kept until another message comes, so that a message to every Name is compressed once for
 * all of them, although each partition has it under an id of its own.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_COMPRESSION_H
#define SIGNALBOX_GATEWAY_SESSION_COMPRESSION_H

#include "common/bus/log/envelope.h"
#include "gateway/codec/deflate.h"
#include "gateway/codec/frame.h"
#include "gateway/session/wire.h"

enum compressed_state { COMPRESSED_NOT_YET, COMPRESSED_SMALLER, COMPRESSED_NOT_SMALLER };

/* What became of the message with one window. */
struct compressed {
    enum compressed_state as_it_is, in_v1;
    struct frame frame; /* as it is: header and payload */
    uint32_t header;
    struct buf body; /* its data as a JSON value of signalbox.v1, when that is another text */
};

struct compression {
    size_t min_bytes; /* of a message that is compressed, set by the owner; 0: none is */
    struct frame_arena arena;
    struct deflater deflater;
    bool has_message; /* this one: */
    unsigned flags;
    struct buf data;
    struct compressed windows[DEFLATE_WINDOWS];
    struct buf scratch, text;
};

void compression_init(struct compression *c);
void compression_deinit(struct compression *c);
/* At the end of each turn: gives back what is kept of the last message when it is large. */
void compression_trim(struct compression *c);

/* The message to this Name as a frame, with one reference for the caller; FRAME_NONE when it goes
 * out as it is: it is too small or too large, its sender does not want it, it would not get
 * smaller. wire: one that compresses. */
struct frame compression_frame(struct compression *c, const struct message *m, struct bytes name,
                               enum wire wire);

#endif
