/* doubt.c - see doubt.h. */
#include "common/bus/log/doubt.h"

#include <string.h>

bool doubt_is_behind(const struct message_id at[LOG_COUNT],
                     const struct message_id last[LOG_COUNT]) {
    for (int i = 0; i < LOG_COUNT; i++)
        if (last[i].seq != 0 && message_id_compare(last[i], at[i]) > 0)
            return true;
    return false;
}

void doubt_open(struct doubts *all, struct doubt *d, const struct message_id last[LOG_COUNT],
                uint64_t beat) {
    if (d->is_open)
        return;
    memcpy(d->last, last, sizeof(d->last));
    d->beat = beat;
    d->is_open = true;
    TAILQ_INSERT_TAIL(all, d, link);
}

static void close_it(struct doubts *all, struct doubt *d) {
    TAILQ_REMOVE(all, d, link);
    d->is_open = false;
}

void doubt_forget(struct doubts *all, struct doubt *d) {
    if (d->is_open)
        close_it(all, d);
    d->is_certain = false;
}

struct doubt *doubts_end(struct doubts *all, uint64_t beat) {
    struct doubt *d = TAILQ_FIRST(all);
    if (d == NULL || d->beat > beat)
        return NULL;
    close_it(all, d);
    return d;
}

bool doubt_settle(struct doubt *d, struct message_id at[LOG_COUNT]) {
    bool is_lost = d->is_certain && doubt_is_behind(at, d->last);
    for (int i = 0; i < LOG_COUNT && is_lost; i++)
        if (message_id_compare(d->last[i], at[i]) > 0)
            at[i] = d->last[i];
    d->is_certain = false;
    return is_lost;
}
