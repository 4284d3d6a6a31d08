/*
 * feed.h - the subscriptions of the feed link: what is desired, what Redis has confirmed. Used by
 * bus.c only.
 *
 *               subscribe             confirmed
 *     (none) ────────────▶ SUBSCRIBING ───────▶ ON ──unsubscribe──▶ UNSUBSCRIBING ──confirmed──▶
 * (none)
 *
 * At most one operation is under way per channel; its confirmation compares with what is desired
 * and goes on from there. A lost link forgets all confirmations; a new one subscribes everything
 * desired, 512 channels a command.
 */
#ifndef SIGNALBOX_BUS_REDIS_FEED_H
#define SIGNALBOX_BUS_REDIS_FEED_H

#include <stdbool.h>

#include "common/base/bytes.h"

struct feed;
struct link;

struct feed *feed_new(void);
void feed_free(struct feed *f);

void feed_subscribe(struct feed *f, struct link *link, struct bytes channel);
void feed_unsubscribe(struct feed *f, struct link *link, struct bytes channel);
/* The link is READY and knows no channel / broke. */
void feed_on_ready(struct feed *f, struct link *link);
void feed_on_down(struct feed *f);
/* A confirmation arrived. false: nobody asked for it; the link should be broken. */
bool feed_on_subscribed(struct feed *f, struct link *link, struct bytes channel);
bool feed_on_unsubscribed(struct feed *f, struct link *link, struct bytes channel);

#endif
