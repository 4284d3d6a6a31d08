/*
 * tail_events.h - for tail --events: connects and disconnects, read where the brokers read them.
 *
 * They stand in the `in` streams, between everything that clients send, until a broker has
 * processed them: a look from the side, best effort, on one link for each partition.
 */
#ifndef SIGNALBOX_TOOLS_TAIL_EVENTS_H
#define SIGNALBOX_TOOLS_TAIL_EVENTS_H

struct buf;
struct tail_events;
struct tool;

/* on_line takes the buffer's content over. Of the Name that is the tool's argument, or of all. */
struct tail_events *tail_events_start(struct tool *t, void (*on_line)(void *ctx, struct buf *line),
                                      void *ctx);
/* NULL is legal. */
void tail_events_close(struct tail_events *e);

#endif
