/*
 * paging.h - how many entries one read may ask for.
 *
 * It follows the size of the entries. Redis closes the connection of a client whose answer is over
 * client-output-buffer-limit (normal), without a word, and the same read would break it again for
 * ever: after a connection that broke during a read, half as many are asked for, down to one. The
 * bound grows again after PAGING_GOOD reads that were answered.
 */
#ifndef SIGNALBOX_BUS_REDIS_PAGING_H
#define SIGNALBOX_BUS_REDIS_PAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAGING_BYTES = 1024 * 1024,
    PAGING_GOOD = 64,
    PAGING_STUCK = 3,
    PAGING_TOP = 256 /* for a log */
};

struct paging {
    unsigned count, most, top; /* asked for next; at most for now; at most ever */
    unsigned good;             /* reads answered since `most` changed */
    unsigned stuck;            /* connections in a row that broke while one entry was asked for */
    uint64_t broke_ms;
};

void paging_init(struct paging *p, unsigned first, unsigned top);
/* A read was answered by so many entries; 0 bytes where the size does not matter. */
void paging_read(struct paging *p, size_t entries, size_t bytes);
/* The connection broke during a read. Several reads of one connection count once. */
void paging_broke(struct paging *p);
/* Not even one entry can be read. */
bool paging_is_stuck(const struct paging *p);

#endif
