/*
 * way.h - one direction of a connection: bytes that were accepted from the writer, those of them
 * that are under way in pieces, and those that have arrived and wait for the reader. Used by
 * network.c only.
 *
 *     read ──── arrived ──── written          offsets since the connection began
 *       │ receive │ send      │
 *       │ buffer  │ buffer    │
 */
#ifndef SIGNALBOX_WORLD_WAY_H
#define SIGNALBOX_WORLD_WAY_H

#include "tests/world/network.h"

struct piece {
    enum { PIECE_DATA, PIECE_END, PIECE_RESET } kind;
    uint64_t at_us;
    uint64_t end; /* up to this offset */
};

struct way {
    void *ctx;
    const struct net_manner *manner;
    void (*on_change)(struct way *w); /* something arrived, or there is room for the writer */
    bool (*is_cut)(struct way *w);    /* nothing arrives now; way_go_on when it does again */
    char *bytes;                      /* from read on */
    size_t bytes_room;
    uint64_t read, arrived, written;
    uint64_t reset_at; /* it breaks when this offset arrives; UINT64_MAX: it does not */
    uint64_t last_us;  /* nothing arrives before what was sent before it */
    struct piece *pieces;
    unsigned first, count, pieces_room;
    struct event arrival, unchoke;
    bool is_finished;           /* the writer has said that no more comes */
    bool has_ended, has_broken; /* that, or a reset, has arrived */
    bool is_full;               /* the receive buffer was full; a read goes on */
    bool was_short; /* the writer was not given all room; on_change when there is more */
    bool is_choked; /* it takes nothing for a moment */
};

void way_init(struct way *w, const struct net_manner *manner, void (*on_change)(struct way *w),
              bool (*is_cut)(struct way *w));
void way_deinit(struct way *w);
/* How many bytes were accepted; 0: there is no room now. */
size_t way_write(struct way *w, const void *bytes, size_t len);
bool way_is_writable(const struct way *w);
/* How many arrived bytes were read; 0: none are there. */
size_t way_read(struct way *w, void *out, size_t room);
static inline size_t way_readable(const struct way *w) {
    return (size_t)(w->arrived - w->read);
}
/* The end of the stream, or a reset, goes the same way. A reset may overtake. */
void way_finish(struct way *w);
void way_break(struct way *w, uint64_t at_us);
/* After a cut. */
void way_go_on(struct way *w);

#endif
