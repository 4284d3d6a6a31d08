/*
 * log_reader.h - reads the two logs of a Name (its own and the partition's for every Name) from
 * Redis, merged by id.
 *
 * Pages of 256 entries, both logs in one round trip. A page that came back full may hide entries
 * smaller than the other page's last ones, so only ids up to the smallest last id of the full pages
 * are given out before the next round.
 */
#ifndef SIGNALBOX_BUS_LOG_READER_H
#define SIGNALBOX_BUS_LOG_READER_H

#include "common/bus/envelope.h"

struct bus;
struct log_reader;

enum which_log { LOG_OWN, LOG_EVERY, LOG_COUNT };

struct log_reader_events {
    /* The next entry in id order. Borrowed until return. May cancel. */
    void (*on_entry)(void *ctx, enum which_log log, const struct message *m);
    /* 0, or -ENOTCONN when Redis went away in the middle. The reader is gone after this. */
    void (*on_done)(void *ctx, int status);
};

/* Reads after[log] < id <= until (MESSAGE_ID_NONE: to the end). Never calls back inside. */
struct log_reader *log_reader_start(struct bus *bus, struct bytes name,
                                    const struct message_id after[LOG_COUNT],
                                    struct message_id until, const struct log_reader_events *events,
                                    void *ctx);
/* No more callbacks; NULL is legal. */
void log_reader_cancel(struct log_reader *r);

#endif
