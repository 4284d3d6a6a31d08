/* rate.c - see rate.h. */
#include "gateway/rate.h"

enum { BURST_MIN = 10, SECOND_US = 1000000 };

uint64_t rate_take(uint64_t *spent_us, uint64_t now_us, uint64_t per_second) {
    uint64_t token_us = SECOND_US / per_second;
    uint64_t burst_us = token_us * (per_second < BURST_MIN ? BURST_MIN : per_second);
    if (*spent_us < now_us)
        *spent_us = now_us;
    *spent_us += token_us;
    uint64_t next_us = *spent_us + token_us;
    return next_us > now_us + burst_us ? next_us - now_us - burst_us : 0;
}
