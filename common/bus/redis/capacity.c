/* capacity.c - see capacity.h. */
#include "common/bus/redis/capacity.h"

#include "common/base/clock.h"
#include "common/base/log.h"

size_t capacity_most(const struct capacity *c) {
    size_t most = c->told > 0 ? c->told : SIZE_MAX;
    bool is_learned = c->learned > 0 && clock_ms() - c->learned_ms < CAPACITY_KEEP_MS;
    return is_learned && c->learned < most ? c->learned : most;
}

bool capacity_may_send(const struct capacity *c, size_t bytes, bool is_proven) {
    return bytes < CAPACITY_LARGE || c->suspect == 0 || (is_proven && c->in_flight == 0);
}

void capacity_sent(struct capacity *c, size_t bytes) {
    c->in_flight += bytes >= CAPACITY_LARGE;
}

void capacity_answered(struct capacity *c, size_t bytes) {
    if (bytes < CAPACITY_LARGE)
        return;
    c->in_flight--;
    if (bytes >= c->suspect)
        c->suspect = 0;
}

void capacity_learn(struct capacity *c, size_t bytes) {
    c->suspect = 0;
    if (bytes > capacity_most(c))
        return;
    c->learned = bytes - 1;
    c->learned_ms = clock_ms();
    log_warn("redis", "learned_bound argument_bytes=%zu: Redis does not take one of %zu bytes",
             c->learned, bytes);
}

void capacity_broke(struct capacity *c, size_t bytes, bool is_proof) {
    c->in_flight = 0;
    if (bytes < CAPACITY_LARGE)
        return;
    c->breaks = c->suspect == bytes ? c->breaks + 1 : 1;
    c->suspect = bytes;
    if (is_proof || c->breaks >= CAPACITY_BREAKS)
        capacity_learn(c, bytes);
}
