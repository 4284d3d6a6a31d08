/*
 * holding.h - messages of the feed that wait until what was before them has been read. Used by
 * follower.c only.
 *
 * HOLDING_MAX_BYTES bounds it: at the bound everything is dropped, and what comes then, too; the
 * owner reads it from the history.
 */
#ifndef SIGNALBOX_BUS_LOG_HOLDING_H
#define SIGNALBOX_BUS_LOG_HOLDING_H

#include <sys/queue.h>

#include "common/base/bytes.h"
#include "common/bus/log/log_reader.h"

enum { HOLDING_MAX_BYTES = 8 * 1024 * 1024 };

struct held {
    STAILQ_ENTRY(held) link;
    enum which_log log;
    size_t len;
    char blob[];
};

struct holding {
    STAILQ_HEAD(, held) list;
    size_t bytes;
    bool has_overflowed;
};

void holding_init(struct holding *h);
/* Drops all; it is as new. */
void holding_clear(struct holding *h);
void holding_add(struct holding *h, enum which_log log, struct bytes blob);
/* The oldest, which becomes the caller's (free()), or NULL. */
struct held *holding_take(struct holding *h);

#endif
