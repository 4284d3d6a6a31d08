/* liveness.c - see liveness.h. */
#include "common/bus/cluster/liveness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"
#include "common/base/table.h"

struct beating {
    struct liveness_one one;
    UT_hash_handle hh;
};

struct liveness {
    struct beating *all;
    uint64_t looked_ms; /* the last look; 0: none */
    uint64_t since_ms;
};

struct liveness *liveness_new(void) {
    return mem_zalloc(sizeof(struct liveness));
}

void liveness_free(struct liveness *p) {
    struct beating *b, *next;
    if (p == NULL)
        return;
    HASH_ITER (hh, p->all, b, next) {
        HASH_DEL(p->all, b);
        free(b);
    }
    free(p);
}

/* No silence before this moment counts. */
static void begin_anew(struct liveness *p, uint64_t from_ms) {
    for (struct beating *b = p->all; b != NULL; b = b->hh.next)
        if (b->one.moved_ms < from_ms)
            b->one.moved_ms = from_ms;
    if (p->since_ms < from_ms)
        p->since_ms = from_ms;
}

void liveness_restart(struct liveness *p, uint64_t now_ms) {
    begin_anew(p, now_ms);
    p->looked_ms = now_ms;
}

void liveness_begin(struct liveness *p, uint64_t now_ms, uint64_t accepted_since_ms) {
    bool is_interrupted = p->looked_ms == 0 || now_ms - p->looked_ms > HEARTBEAT_GAP_MS;
    begin_anew(p, is_interrupted || accepted_since_ms == 0 ? now_ms : accepted_since_ms);
    p->looked_ms = now_ms;
    for (struct beating *b = p->all; b != NULL; b = b->hh.next)
        b->one.is_listed = false;
}

static struct beating *find(const struct liveness *p, struct bytes id) {
    struct beating *b;
    HASH_FIND(hh, p->all, id.ptr, id.len, b);
    return b;
}

static struct beating *add(struct liveness *p, struct bytes id) {
    struct beating *b = mem_zalloc(sizeof(*b));
    snprintf(b->one.id, sizeof(b->one.id), "%.*s", BYTES_FMT(id));
    b->one.moved_ms = p->looked_ms;
    HASH_ADD_KEYPTR(hh, p->all, b->one.id, strlen(b->one.id), b);
    return b;
}

void liveness_see(struct liveness *p, struct bytes id, struct bytes counter) {
    if (id.len >= LIVENESS_ID_MAX || counter.len >= HEARTBEAT_VALUE_MAX ||
        bytes_find(id, '\0') >= 0 || bytes_find(counter, '\0') >= 0)
        return; /* not written by one of us */
    struct beating *b = find(p, id);
    bool is_new = b == NULL;
    if (is_new && HASH_COUNT(p->all) >= LIVENESS_MAX)
        return;
    if (is_new)
        b = add(p, id);
    b->one.is_listed = true;
    if (bytes_equal_str(counter, b->one.counter))
        return;
    snprintf(b->one.counter, sizeof(b->one.counter), "%.*s", BYTES_FMT(counter));
    b->one.moved_ms = p->looked_ms;
    b->one.has_moved = !is_new;
    b->one.is_unfit = bytes_ends_with(counter, BYTES_LIT(HEARTBEAT_UNFIT));
}

void liveness_end(struct liveness *p, void (*on_gone)(void *ctx, const char *id), void *ctx) {
    struct beating *b, *next;
    HASH_ITER (hh, p->all, b, next) {
        if (b->one.is_listed)
            continue;
        HASH_DEL(p->all, b);
        if (on_gone != NULL)
            on_gone(ctx, b->one.id);
        free(b);
    }
}

void liveness_leave(struct liveness *p, struct bytes id) {
    struct beating *b = find(p, id);
    if (b != NULL)
        b->one.has_left = true;
}

bool liveness_lists(const struct liveness *p, struct bytes id) {
    const struct beating *b = find(p, id);
    return b != NULL && b->one.is_listed;
}

bool liveness_has_moved(const struct liveness *p, struct bytes id) {
    const struct beating *b = find(p, id);
    return b != NULL && b->one.has_moved;
}

uint64_t liveness_since(const struct liveness *p) {
    return p->since_ms;
}

void liveness_each(const struct liveness *p, liveness_fn *fn, void *ctx) {
    for (const struct beating *b = p->all; b != NULL; b = b->hh.next)
        fn(ctx, &b->one);
}
