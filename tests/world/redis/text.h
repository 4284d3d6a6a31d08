/*
 * text.h - a string that never changes, counted by whoever holds it. Copies of the data of a server
 * (data.h) share their texts, so that a copy is cheap.
 */
#ifndef SIGNALBOX_WORLD_REDIS_TEXT_H
#define SIGNALBOX_WORLD_REDIS_TEXT_H

#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

struct text {
    unsigned holders;
    size_t len;
    char bytes[];
};

static inline struct text *text_new(struct bytes b) {
    struct text *t = mem_alloc(sizeof(*t) + b.len);
    t->holders = 1;
    t->len = b.len;
    if (b.len > 0)
        memcpy(t->bytes, b.ptr, b.len);
    return t;
}

static inline struct text *text_hold(struct text *t) {
    t->holders++;
    return t;
}

/* NULL is legal. */
static inline void text_drop(struct text *t) {
    if (t != NULL && --t->holders == 0)
        free(t);
}

/* Borrowed for as long as the text is held. */
static inline struct bytes text_bytes(const struct text *t) {
    return bytes_of(t->bytes, t->len);
}

#endif
