/*
 * tail_events.h - for tail --events: connects and disconnects, read where the brokers read them.
 *
 * They are in the `in` streams, among all that clients send, until a broker has processed them.
 * Reading beside the brokers is best effort; it takes one link for each partition.
 */
#ifndef SIGNALBOX_TOOLS_TAIL_EVENTS_H
#define SIGNALBOX_TOOLS_TAIL_EVENTS_H

struct buf;
struct tail_events;
struct tool;

/* Follows the Name that is the tool's argument, or all. on_line takes over the buffer's content. */
struct tail_events *tail_events_start(struct tool *t, void (*on_line)(void *ctx, struct buf *line),
                                      void *ctx);
/* NULL is legal. */
void tail_events_close(struct tail_events *e);

#endif
