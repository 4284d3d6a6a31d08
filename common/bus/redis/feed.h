/*
 * feed.h - what Redis publishes, brought to whoever subscribed to it: the subscriptions of a
 * process and the link that carries them.
 *
 *                  feed_subscribe              confirmed
 *          (none) ───────────────▶ SUBSCRIBING ─────────▶ ON
 *             ▲                                           │ feed_unsubscribe
 *             └───── confirmed ───── UNSUBSCRIBING ◀──────┘
 *
 * A push is handed to the one listener of its channel. At most one operation is under way for each
 * channel; its confirmation compares with what is desired by now and goes on from there. A link
 * that broke forgets all confirmations; the next one subscribes to everything desired, 512 channels
 * in a command.
 */
#ifndef SIGNALBOX_BUS_REDIS_FEED_H
#define SIGNALBOX_BUS_REDIS_FEED_H

#include <uv.h>

#include "common/base/bytes.h"

struct feed;
struct link;
struct redis_url;

struct feed_events {
    /* The link is READY, the subscriptions are on their way / it broke and all are gone. */
    void (*on_ready)(void *ctx);
    void (*on_down)(void *ctx, const char *why);
};

/* The listener of one channel. on_subscribed and on_refused may be NULL. */
struct channel_events {
    /* What is published from now on arrives. Again whenever the link was made anew. */
    void (*on_subscribed)(void *ctx);
    /* Borrowed until return. */
    void (*on_message)(void *ctx, struct bytes payload);
    /* Redis refuses the subscription: its error. Where this is NULL the link is made anew. */
    void (*on_refused)(void *ctx, struct bytes error);
};

/* events and ctx are borrowed for life. */
struct feed *feed_new(const struct feed_events *events, void *ctx);
/* Makes the link. Channels may be subscribed to before. */
void feed_open(struct feed *f, uv_loop_t *loop, const struct redis_url *url);
/* Nothing is called any more. Legal when it was never opened. */
void feed_close(struct feed *f);
/* After feed_close. */
void feed_free(struct feed *f);
/* NULL before feed_open. */
struct link *feed_link(const struct feed *f);

/* The bytes of the channel are copied, events and ctx are borrowed until feed_unsubscribe. A second
 * call replaces the listener. */
void feed_subscribe(struct feed *f, struct bytes channel, const struct channel_events *events,
                    void *ctx);
/* The listener hears nothing more. */
void feed_unsubscribe(struct feed *f, struct bytes channel);

#endif
