/*
 * heard_takes.h - whether what the feed brings was published after a slot became ours.
 *
 * A broker that takes a slot may hear only now what was published before, which the slot's previous
 * owner has answered for: feeds lag differently. take_partition.lua publishes the new term, so the
 * feed says where the time of the new owner begins. A heartbeat that was sent after the grant had
 * come says it too, in case that message was missed.
 */
#ifndef SIGNALBOX_BROKER_HEARD_TAKES_H
#define SIGNALBOX_BROKER_HEARD_TAKES_H

#include <stdbool.h>
#include <stdint.h>

struct bus;
struct heard_takes;

/* Listens on the bus until that is closed. */
struct heard_takes *heard_takes_new(struct bus *bus, unsigned slots);
void heard_takes_free(struct heard_takes *h);

/* The slot became ours under this term. */
void heard_takes_taken(struct heard_takes *h, unsigned slot, uint64_t term);
/* on_feed_passed of the bus. */
void heard_takes_passed(struct heard_takes *h, uint64_t beat);
/* Whether all that the feed brings from now on was published after the slot became ours last. */
bool heard_takes_has(const struct heard_takes *h, unsigned slot);

#endif
