/* handshakes.c - see handshakes.h. */
#include "common/net/handshakes.h"

#include "common/base/metrics.h"
#include "common/base/must.h"

static void move(struct handshake *h, struct handshake_list *to, bool is_first) {
    struct handshakes *all = h->all;
    TAILQ_REMOVE(h->list, h, link);
    all->called_count -= h->list == &all->called;
    all->called_count += to == &all->called;
    h->list = to;
    if (is_first)
        TAILQ_INSERT_HEAD(to, h, link);
    else
        TAILQ_INSERT_TAIL(to, h, link);
}

/* What is called is readable, so the poll that follows does not sleep. If that poll has not come to
 * it all the same, it is called no longer: it must not keep others waiting. */
static void on_turn(uv_prepare_t *handle) {
    struct handshakes *all = container_of(handle, struct handshakes, turn);
    all->worked_ns = 0;
    while (!TAILQ_EMPTY(&all->called))
        handshake_worked(TAILQ_FIRST(&all->called), 0);
    while (all->called_count < HANDSHAKES_CALLED && !TAILQ_EMPTY(&all->waiting)) {
        struct handshake *h = TAILQ_FIRST(&all->waiting);
        move(h, &all->called, false);
        h->go_on(h);
    }
}

void handshakes_init(struct handshakes *all, uv_loop_t *loop) {
    *all = (struct handshakes){.loop = loop};
    TAILQ_INIT(&all->silent);
    TAILQ_INIT(&all->waiting);
    TAILQ_INIT(&all->called);
    MUST(uv_prepare_init(loop, &all->turn) == 0);
    MUST(uv_prepare_start(&all->turn, on_turn) == 0);
    uv_unref((uv_handle_t *)&all->turn);
}

void handshakes_deinit(struct handshakes *all) {
    MUST(all->count == 0);
    uv_close((uv_handle_t *)&all->turn, NULL);
}

bool handshakes_have_room(struct handshakes *all) {
    struct handshake *h = TAILQ_FIRST(&all->silent);
    if (all->count < HANDSHAKES_MAX)
        return true;
    if (h == NULL || uv_now(all->loop) - h->spoke_ms < HANDSHAKES_SILENT_MS)
        return false;
    metrics_add(METRIC_tls_given_up, 1);
    h->give_up(h);
    MUST(h->all == NULL);
    return true;
}

/* ---- one */

void handshake_begin(struct handshake *h, struct handshakes *all) {
    h->all = all;
    h->list = &all->silent;
    h->spoke_ms = uv_now(all->loop);
    TAILQ_INSERT_TAIL(h->list, h, link);
    all->count++;
    metrics_set(METRIC_tls_under_way, (int64_t)all->count);
}

void handshake_end(struct handshake *h) {
    struct handshakes *all = h->all;
    if (all == NULL)
        return;
    TAILQ_REMOVE(h->list, h, link);
    all->called_count -= h->list == &all->called;
    all->count--;
    h->all = NULL;
    metrics_set(METRIC_tls_under_way, (int64_t)all->count);
}

bool handshake_may_go_on(struct handshake *h) {
    struct handshakes *all = h->all;
    bool is_called = h->list == &all->called;
    bool is_first = is_called || (TAILQ_EMPTY(&all->waiting) && TAILQ_EMPTY(&all->called));
    if (is_first && all->worked_ns < HANDSHAKES_SHARE_US * 1000ULL)
        return true;
    if (h->list != &all->waiting)
        move(h, &all->waiting, is_called);
    return false;
}

void handshake_worked(struct handshake *h, uint64_t ns) {
    struct handshakes *all = h->all;
    all->worked_ns += ns;
    h->spoke_ms = uv_now(all->loop);
    move(h, &all->silent, false);
}
