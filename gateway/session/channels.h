/*
 * channels.h - many Signal connections on one WebSocket, which is none itself: each is a channel
 * (channel.h) with a small number, and every frame of it says the number (channel_frame.h).
 *
 *     conn ── ws ──▶ channels ──▶ channel 1 ── client
 *                       │     └─▶ channel 2 ── client
 *                       └─ channels_host: opens (routes/multiplex.c)
 *
 * To ws.c this is the one client that it carries. The queue, the pace and the pings are the
 * socket's. A script, which does not see pings, is told at least once in --ping-ms, or 15 s, that
 * the server lives: by the positions that have moved on of channels that heard nothing, or a pong.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_CHANNELS_H
#define SIGNALBOX_GATEWAY_SESSION_CHANNELS_H

#include "common/base/buf.h"

struct channel_frame;
struct channels;
struct client;
struct conn;
struct settings;

/* What is above. */
struct channels_host {
    /* A channel is asked for. */
    void (*on_open)(void *ctx, const struct channel_frame *f);
    /* From now on this is the token of opens that have none. */
    void (*on_token)(void *ctx, const struct channel_frame *f);
    /* Forgets an open that is under way. False: there is none with this ref. */
    bool (*on_cancel)(void *ctx, struct bytes ref);
    /* A turn that channels_wake asked for; returns in how many ms the next one, or negative. */
    int (*on_turn)(void *ctx);
    /* The socket ends: no channel may be added any more. May be called again. */
    void (*on_leaving)(void *ctx);
    /* It goes now. */
    void (*on_gone)(void *ctx);
};

struct channels_options {
    const struct settings *settings;
    const struct channels_host *host;
    void *ctx;
    struct buf *rest; /* what was read after the handshake; taken */
};

/* The 101 was queued: the connection changes over to WebSocket. */
struct channels *channels_open(struct conn *c, const struct channels_options *options);

/* Carries the client on a new channel; its hello bears the ref. */
void channels_carry(struct channels *s, struct client *client, struct bytes ref);
size_t channels_count(const struct channels *s);
/* Calls on_turn in so many ms, in a later turn even for 0. */
void channels_wake(struct channels *s, unsigned in_ms);

/* Queues a text of the socket itself; ref: empty, or what is put in front. */
void channels_say(struct channels *s, struct bytes ref, struct bytes text);
/* {"type":"error",…}. channel: 0, ref: empty, retry_ms: 0 for none. */
struct channels_error {
    uint64_t channel;
    struct bytes ref;
    const char *code;
    int status;
    struct bytes message;
    unsigned retry_ms;
};
void channels_refuse(struct channels *s, const struct channels_error *e);

#endif
