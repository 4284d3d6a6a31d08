/*
 * deferred.h - entries of a partition that are set aside: each waits for an earlier handler of its
 * connection and lies in the hash K w meanwhile, so that the cursor of `in` can pass it.
 *
 *     in ─ deferred_store, then the commit ─▶ w ─ deferred_bring_back ─▶ in: at its end, with a
 * new id
 *
 * An entry that came back is an entry like any other: it is read, run and committed exactly once in
 * the ordinary way. Until then a mark of it stays in w, so that the next owner of the partition
 * waits for it where it would run what is later in its lane, but earlier in `in`.
 */
#ifndef SIGNALBOX_BUS_LOG_DEFERRED_H
#define SIGNALBOX_BUS_LOG_DEFERRED_H

#include "common/bus/log/envelope.h"
#include "common/bus/redis/reply.h"

struct bus;

/* A partition under a term of ours. */
struct deferred_place {
    struct bus *bus;
    unsigned partition;
    uint64_t term;
};

struct deferred_item {
    struct message_id id;    /* its place in `in`, and in w */
    struct message_id order; /* the id it had when it first came */
    unsigned handled;        /* so many handlers of its event have run */
    struct bytes lane;       /* what it waits for */
    /* deferred_read only: */
    size_t size;   /* what it takes in w */
    bool is_ahead; /* it came back and lies in `in`, ahead of the cursor */
};

/* All with a reply: it is NULL when the link broke (the partition is forgotten then), the error
 * FENCED when the partition is another's, any other error when Redis refuses for now. */
void deferred_store(const struct deferred_place *p, const struct deferred_item *items, size_t count,
                    reply_fn *fn, void *ctx);
void deferred_bring_back(const struct deferred_place *p, const struct message_id *ids, size_t count,
                         reply_fn *fn, void *ctx);
/* Those that came back are committed: their marks go. */
void deferred_forget(const struct deferred_place *p, const struct message_id *ids, size_t count);
void deferred_list(const struct deferred_place *p, reply_fn *fn, void *ctx);
/* One row of what deferred_list brought; it borrows from the row. False: it is none. */
bool deferred_read(const struct redisReply *row, struct deferred_item *item_out);

#endif
