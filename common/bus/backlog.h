/*
 * backlog.h - how much waits in the public stream.
 *
 * Everybody who may write to Redis can append to it, and only a broker takes from it, so without
 * one it grows until Redis is full. We refuse to append beyond BACKLOG_MAX (publish_check): the
 * CLI asks for the length when it connects and now and then, daemons every second. What redis-cli
 * appends is not in our hands.
 */
#ifndef SIGNALBOX_BUS_BACKLOG_H
#define SIGNALBOX_BUS_BACKLOG_H

#include <stdint.h>

#include "common/bus/redis/troubles.h"

struct bus;

enum { BACKLOG_MAX = 50000 };

struct backlog {
    struct bus *bus;
    int64_t length; /* as it was told last */
    unsigned sent;  /* since it was asked for */
    struct trouble trouble;
};

void backlog_init(struct backlog *b, struct bus *bus);
void backlog_deinit(struct backlog *b);
/* The commands link must be READY. */
void backlog_ask(struct backlog *b);
/* This process appended one: asks after every 256. */
void backlog_note_sent(struct backlog *b);

#endif
