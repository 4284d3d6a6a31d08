/*
 * message_frames.h - a message of a log as the frame that clients are sent.
 *
 * A message is encoded once for each kind of wire, however many clients there are. The frame made
 * last for plain WebSockets is kept until the end of the turn, so that a message to every Name is
 * encoded once for all of them.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_MESSAGE_FRAMES_H
#define SIGNALBOX_GATEWAY_SESSION_MESSAGE_FRAMES_H

#include "common/bus/log/envelope.h"
#include "gateway/codec/frame.h"
#include "gateway/session/compression.h"
#include "gateway/session/wire.h"

struct client;

struct message_frames {
    struct frame_arena arena;
    struct frame last; /* the plain frame made last, and of which message */
    struct message_id last_id;
    unsigned last_flags;
    uint32_t last_header;
    struct buf text, event; /* scratch */
    struct compression compression;
};

void message_frames_init(struct message_frames *f);
void message_frames_deinit(struct message_frames *f);
/* From now on messages are compressed (--compress-min-bytes) where the wire asks for it. */
void message_frames_compress(struct message_frames *f, size_t min_bytes);
/* At the end of each turn: releases what is kept for other Names. */
void message_frames_forget(struct message_frames *f);

/* The message to this Name as a frame, with one reference for the caller. */
struct frame message_frames_make(struct message_frames *f, const struct message *m,
                                 struct bytes name, enum wire wire);
/* What a wire that has a hello begins with, likewise. */
struct frame message_frames_hello(struct message_frames *f, enum wire wire, const struct hello *h);
/* A text of signalbox.v1 that is no message, likewise. event_type: what it is over SSE. */
struct frame message_frames_text(struct message_frames *f, enum wire wire, const char *event_type,
                                 struct bytes text);

#endif
