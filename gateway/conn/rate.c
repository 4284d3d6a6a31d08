/* rate.c - see rate.h. */
#include "gateway/conn/rate.h"

enum { BURST_MIN = 10, SECOND_US = 1000000, UNREAD_MAX_US = 60 * SECOND_US };

/* Returns how long it takes until next_us more may be spent. */
static uint64_t spend(struct rate *r, uint64_t now_us, uint64_t us, uint64_t next_us,
                      uint64_t burst_us) {
    if (r->spent_us < now_us)
        r->spent_us = now_us;
    r->spent_us += us;
    if (r->spent_us + next_us <= now_us + burst_us)
        return 0;
    uint64_t over_us = r->spent_us + next_us - now_us - burst_us;
    uint64_t given_us = over_us < r->unread_us ? over_us : r->unread_us;
    r->unread_us -= given_us;
    r->spent_us -= given_us;
    return over_us - given_us;
}

uint64_t rate_take(struct rate *r, uint64_t now_us, uint64_t per_second) {
    uint64_t token_us = SECOND_US / per_second;
    uint64_t burst_us = token_us * (per_second < BURST_MIN ? BURST_MIN : per_second);
    return spend(r, now_us, token_us, token_us, burst_us);
}

uint64_t rate_take_bytes(struct rate *r, uint64_t now_us, uint64_t bytes, uint64_t per_second) {
    return spend(r, now_us, bytes * SECOND_US / per_second, 0, SECOND_US);
}

bool rate_try(struct rate *r, uint64_t now_us, uint64_t per_second, uint64_t burst) {
    uint64_t token_us = SECOND_US / per_second;
    uint64_t spent_us = (r->spent_us < now_us ? now_us : r->spent_us) + token_us;
    if (spent_us > now_us + token_us * burst)
        return false;
    r->spent_us = spent_us;
    return true;
}

void rate_charge(struct rate *r, uint64_t now_us, uint64_t us, uint64_t most_us) {
    uint64_t owed_us = (r->spent_us > now_us ? r->spent_us - now_us : 0) + us;
    r->spent_us = now_us + (owed_us < most_us ? owed_us : most_us);
}

bool rate_is_over(const struct rate *r, uint64_t now_us, uint64_t burst_us) {
    return r->spent_us > now_us + burst_us;
}

void rate_unread(struct rate *r, uint64_t us) {
    if (us > UNREAD_MAX_US)
        us = UNREAD_MAX_US;
    if (r->unread_us < us)
        r->unread_us = us;
}
