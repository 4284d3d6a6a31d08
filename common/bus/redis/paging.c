/* paging.c - see paging.h. */
#include "common/bus/redis/paging.h"

#include "common/base/clock.h"

enum { ONE_BREAK_MS = 20 /* shorter than the first wait of a link */ };

void paging_init(struct paging *p, unsigned first, unsigned top) {
    *p = (struct paging){.count = first, .most = top, .top = top};
}

static void bound(struct paging *p) {
    p->count = p->count > p->most ? p->most : p->count < 1 ? 1 : p->count;
}

void paging_read(struct paging *p, size_t entries, size_t bytes) {
    p->stuck = 0;
    if (++p->good >= PAGING_GOOD && p->most < p->top) {
        p->good = 0;
        p->most = p->most * 2 < p->top ? p->most * 2 : p->top;
    }
    if (bytes > PAGING_BYTES)
        p->count = (unsigned)(PAGING_BYTES / (bytes / entries + 1));
    else if (entries >= p->count)
        p->count *= 2;
    bound(p);
}

void paging_broke(struct paging *p) {
    uint64_t now = clock_ms();
    if (p->broke_ms != 0 && now - p->broke_ms < ONE_BREAK_MS)
        return;
    p->broke_ms = now;
    p->good = 0;
    p->stuck = p->count == 1 ? p->stuck + 1 : 0;
    p->most = p->count > 1 ? p->count / 2 : 1;
    bound(p);
}

bool paging_is_stuck(const struct paging *p) {
    return p->stuck >= PAGING_STUCK;
}
