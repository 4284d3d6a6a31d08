/*
 * log_reader.h - reads the two logs of a Name (its own and the partition's for every Name) from
 * Redis, merged by id.
 *
 * Pages of at most 256 entries (paging.h), both logs in one round trip. A log of which Redis does
 * not answer a single entry counts as one whose history has expired. A page that came back full may
 * hide entries smaller than the other page's last ones, so only ids up to the smallest last id of
 * the full pages are given out before the next round. Backwards all of this is mirrored.
 */
#ifndef SIGNALBOX_BUS_LOG_LOG_READER_H
#define SIGNALBOX_BUS_LOG_LOG_READER_H

#include "common/bus/log/envelope.h"
#include "common/bus/log/lineage.h"

struct bus;
struct log_reader;

enum which_log { LOG_OWN, LOG_EVERY, LOG_COUNT };

/* The state of the logs when a page was read, from the same transaction. */
struct log_view {
    struct lineage lineage;
    struct message_id last[LOG_COUNT]; /* l:<name>, l*: no message of the log has a later id; 0-0:
                                          unknown. With seq 0: the log has no message */
    /* What came to the Name's own log up to here is not known; 0-0: everything is. From s:<name>;
     * while Redis does not know that the Name was joined, from what is kept nevertheless. */
    struct message_id since;
    /* The first entry of the page of each log, and its predecessor. */
    bool has_first[LOG_COUNT];
    struct message_id first[LOG_COUNT], first_prev[LOG_COUNT];
    /* With an end to the reading: the first entry beyond it, and its predecessor. */
    bool has_next[LOG_COUNT];
    struct message_id next_prev[LOG_COUNT];
};

struct log_reader_events {
    /* Before the first entry: as it was with the first page. May cancel. May be NULL. */
    void (*on_begin)(void *ctx, const struct log_view *view);
    /* The next entry in id order, or against it. Borrowed until return. May cancel. */
    void (*on_entry)(void *ctx, enum which_log log, const struct message *m);
    /* 0, or -ENOTCONN when Redis went away in the middle. view: as it was with the last page. The
     * reader is gone after this. */
    void (*on_done)(void *ctx, int status, const struct log_view *view);
};

/* from[log] < id <= until (MESSAGE_ID_NONE: to the end). Backwards, which has no `until`: the ids
 * below from[log] (MESSAGE_ID_NONE: from the end), and of the view only the lineage counts. */
struct log_range {
    struct bytes name;
    struct message_id from[LOG_COUNT], until;
    bool is_backwards;
    bool has_kept;       /* what the Name keeps beyond its history counts as its own, too */
    unsigned first_page; /* entries of the first page at most, 4 times as many of each further one;
                            0: as many as paging.h says */
};

/* Never calls back inside. bus_can_send must hold. */
struct log_reader *log_reader_start(struct bus *bus, const struct log_range *range,
                                    const struct log_reader_events *events, void *ctx);
/* No more callbacks; NULL is legal. */
void log_reader_cancel(struct log_reader *r);

#endif
