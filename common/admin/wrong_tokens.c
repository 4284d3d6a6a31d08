/* wrong_tokens.c - see wrong_tokens.h. */
#include "common/admin/wrong_tokens.h"

enum { NETWORK_BITS = 64 };

static struct ip network_of(struct ip address) {
    return ip_network_of(address, ip_is_v4(address) ? IP_BITS : NETWORK_BITS).base;
}

static size_t find(const struct wrong_tokens *w, struct ip network) {
    size_t i = 0;
    while (i < WRONG_TOKENS_ADDRESSES_MAX &&
           (w->rows[i].paid_ms == 0 || !ip_is_equal(w->rows[i].network, network)))
        i++;
    return i;
}

bool wrong_tokens_may_try(const struct wrong_tokens *w, struct ip address, uint64_t now_ms) {
    size_t at = find(w, network_of(address));
    return at == WRONG_TOKENS_ADDRESSES_MAX ||
           w->rows[at].paid_ms <= now_ms + (WRONG_TOKENS_MAX - 1) * WRONG_TOKENS_MS;
}

void wrong_tokens_count(struct wrong_tokens *w, struct ip address, uint64_t now_ms) {
    size_t at = find(w, network_of(address));
    if (at == WRONG_TOKENS_ADDRESSES_MAX) {
        at = 0;
        for (size_t i = 1; i < WRONG_TOKENS_ADDRESSES_MAX; i++)
            if (w->rows[i].paid_ms < w->rows[at].paid_ms)
                at = i;
        w->rows[at].network = network_of(address);
        w->rows[at].paid_ms = now_ms;
    }
    struct wrong_tokens_row *row = &w->rows[at];
    row->paid_ms = (row->paid_ms > now_ms ? row->paid_ms : now_ms) + WRONG_TOKENS_MS;
}
