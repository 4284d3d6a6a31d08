/*
 * deferred.h - deferred entries of a partition: each waits for an earlier handler of its
 * connection. Meanwhile it lies in the hash K w, so that the cursor of `in` can pass it.
 *
 *     in ── deferred_store, then the commit ──▶ w ── deferred_bring_back ──▶ the end of `in`,
 *                                                                            under a new id
 *
 * An entry that came back is an entry like any other: it is read, run and committed exactly once in
 * the ordinary way. Until then a mark of it stays in w, so that the next owner of the partition
 * knows that the later entries of its lane, which may lie before it in `in`, have to wait for it.
 */
#ifndef SIGNALBOX_BUS_LOG_DEFERRED_H
#define SIGNALBOX_BUS_LOG_DEFERRED_H

#include "common/bus/log/envelope.h"
#include "common/bus/redis/reply.h"

struct bus;

/* A partition that this process owns under this term. */
struct deferred_place {
    struct bus *bus;
    unsigned partition;
    uint64_t term;
};

struct deferred_item {
    struct message_id id;    /* its place in `in`, and in w */
    struct message_id order; /* the id it had when it first came */
    unsigned handled;        /* how many handlers of its event have run */
    struct bytes lane;       /* what it waits for */
    /* deferred_read only: */
    size_t size;   /* what it takes in w */
    bool is_ahead; /* it came back and lies in `in`, ahead of the cursor */
};

/* The reply is NULL when the link broke (the partition is forgotten then), the error FENCED when
 * the partition is another broker's, and any other error when Redis refuses for now. */
void deferred_store(const struct deferred_place *p, const struct deferred_item *items, size_t count,
                    reply_fn *fn, void *ctx);
void deferred_bring_back(const struct deferred_place *p, const struct message_id *ids, size_t count,
                         reply_fn *fn, void *ctx);
/* Entries that came back are committed: removes their marks. */
void deferred_forget(const struct deferred_place *p, const struct message_id *ids, size_t count);
void deferred_list(const struct deferred_place *p, reply_fn *fn, void *ctx);
/* Reads one row of deferred_list's reply, and borrows from it. False: the row is malformed. */
bool deferred_read(const struct redisReply *row, struct deferred_item *item_out);

#endif
