/*
 * aside.h - entries of a partition that are set aside: each waits for an earlier handler of its
 * connection and lies in the hash K w meanwhile, so that the cursor of `in` can pass it.
 *
 *     in ─ aside_store, then the commit ─▶ w ─ aside_bring_back ─▶ in: at its end, with a new id
 *
 * An entry that came back is an entry like any other: it is read, run and committed exactly once in
 * the ordinary way. Until then a mark of it stays in w, so that the next owner of the partition
 * waits for it where it would run what is later in its lane, but earlier in `in`.
 */
#ifndef SIGNALBOX_BUS_ASIDE_H
#define SIGNALBOX_BUS_ASIDE_H

#include "common/bus/envelope.h"
#include "common/bus/link.h"

struct bus;

/* A partition under a term of ours. */
struct aside_place {
    struct bus *bus;
    struct bytes own_key;
    unsigned partition;
    uint64_t term;
};

struct aside_item {
    struct message_id id;    /* its place in `in`, and in w */
    struct message_id order; /* the id it had when it first came */
    unsigned handled;        /* so many handlers of its event have run */
    struct bytes lane;       /* what it waits for */
    /* aside_read only: */
    size_t size;   /* what it takes in w */
    bool is_ahead; /* it came back and lies in `in`, ahead of the cursor */
};

/* All with a reply: it is NULL when the link broke (the partition is forgotten then), the error
 * FENCED when the partition is another's, any other error when Redis refuses for now. */
void aside_store(const struct aside_place *p, const struct aside_item *items, size_t count,
                 link_reply_fn *fn, void *ctx);
void aside_bring_back(const struct aside_place *p, const struct message_id *ids, size_t count,
                      link_reply_fn *fn, void *ctx);
/* Those that came back are committed: their marks go. */
void aside_forget(const struct aside_place *p, const struct message_id *ids, size_t count);
void aside_list(const struct aside_place *p, link_reply_fn *fn, void *ctx);
/* One row of what aside_list brought; it borrows from the row. False: it is none. */
bool aside_read(const struct redisReply *row, struct aside_item *item_out);

#endif
