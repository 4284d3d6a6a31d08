/*
 * way.h - whether the way through Redis works, asked with each heartbeat: does Redis take writes
 * (probe_write.lua), and has each partition an owner. Raises TROUBLE_writes and TROUBLE_unowned.
 * Used by bus.c only.
 */
#ifndef SIGNALBOX_BUS_WAY_H
#define SIGNALBOX_BUS_WAY_H

struct bus;
struct way;

struct way *way_new(struct bus *bus);
/* Once the link answers no more. */
void way_free(struct way *w);
/* The commands link can be used. Does nothing while the last question is open. */
void way_ask(struct way *w);

#endif
