/* holding.c - see holding.h. */
#include "common/bus/log/holding.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"

void holding_init(struct holding *h) {
    *h = (struct holding){.bytes = 0};
    STAILQ_INIT(&h->list);
}

struct held *holding_take(struct holding *h) {
    struct held *one = STAILQ_FIRST(&h->list);
    if (one == NULL)
        return NULL;
    STAILQ_REMOVE_HEAD(&h->list, link);
    h->bytes -= one->len;
    return one;
}

static void drop(struct holding *h) {
    struct held *one;
    while ((one = holding_take(h)) != NULL)
        free(one);
}

void holding_clear(struct holding *h) {
    drop(h);
    h->has_overflowed = false;
}

void holding_add(struct holding *h, enum which_log log, struct bytes blob) {
    if (h->has_overflowed || h->bytes + blob.len > HOLDING_MAX_BYTES) {
        drop(h);
        h->has_overflowed = true;
        return;
    }
    struct held *one = mem_alloc(sizeof(*one) + blob.len);
    *one = (struct held){.log = log, .len = blob.len};
    memcpy(one->blob, blob.ptr, blob.len);
    STAILQ_INSERT_TAIL(&h->list, one, link);
    h->bytes += blob.len;
}
