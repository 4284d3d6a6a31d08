/*
 * redis_faults.c - the faults of Redis (fault.def), which inflict.c calls. Several of them may be
 * under way; what ends one of a sort ends them all, and a plan makes few.
 */
#include "tests/world/story/redis_faults.h"

#include <stdio.h>

#include "common/bus/redis/scripts.h"
#include "tests/world/redis/host.h"
#include "tests/world/redis/model.h"
#include "tests/world/story/books.h"
#include "tests/world/story/cast.h"
#include "tests/world/story/registry_view.h"

static int64_t jump_ms(const struct fault *f) {
    int64_t ms = (int64_t)(f->chance % 600000);
    return f->chance >> 63 ? -ms : ms;
}

/* ---- a fail-over between two commits of one partition
 *
 * The first takes what waits there and is given up with all that follows; the second, from the same
 * owner, is on its way when the data fall back, and meets them. */

static struct {
    enum { CALM, AWAITS_FIRST, HAS_MARK, AWAITS_SECOND } state;
    const struct fault *fault;
    char own[64]; /* the partition's key */
    struct event late;
} narrow;

static void keep(unsigned sent) {
    books.sent[sent].is_kept = true;
}

/* Where Redis' clock is or was wrong, ids of the data that are given up come again: what has one of
 * them is taken for a repetition (docs/delivery.md). */
static void lose_tail(struct redis_host *h) {
    books_lose(redis_host_marked_us(h), plan_has(FAULT_REDIS_CLOCK) ? SIM_NEVER / 2 : sim_now_us());
}

static void fail_over(struct redis_host *h) {
    lose_tail(h);
    redis_host_demote(h);
    redis_host_promote(h, REDIS_WITH_MARKED);
    registry_each_waiting(keep);
}

static void fail_over_now(void) {
    redis_model_ahead(cast_redis_model(), NULL, NULL);
    event_cancel(&narrow.late);
    narrow.state = CALM;
    fail_over(cast_redis());
}

static void on_late(struct event *e) {
    (void)e;
    fail_over_now();
}

static void before_command(void *ctx, const struct bytes *argv, int argc) {
    (void)ctx;
    if (argc < 4 || !bytes_equal_str(argv[0], "EVALSHA") ||
        !bytes_equal_str(argv[1], script_sha(SCRIPT_commit)))
        return;
    if (narrow.state == AWAITS_FIRST) {
        redis_host_mark(cast_redis());
        snprintf(narrow.own, sizeof(narrow.own), "%.*s", BYTES_FMT(argv[3]));
        narrow.state = HAS_MARK;
    } else if (narrow.state == AWAITS_SECOND && bytes_equal_str(argv[3], narrow.own)) {
        fail_over_now();
    }
}

static void begin_fail_over(struct redis_host *h, const struct fault *f) {
    if (narrow.state != CALM || f->chance % 4 == 0) {
        redis_host_mark_after(h, 1 + f->chance % 16);
        return;
    }
    narrow.state = AWAITS_FIRST;
    narrow.fault = f;
    redis_model_ahead(cast_redis_model(), before_command, NULL);
}

static void end_fail_over(struct redis_host *h, const struct fault *f) {
    if (narrow.state == CALM || narrow.fault != f) {
        fail_over(h);
    } else if (narrow.state == HAS_MARK) {
        narrow.state = AWAITS_SECOND;
        event_set(&narrow.late, sim_now_us() + SIM_SECOND, on_late);
    } else {
        fail_over_now(); /* nothing was marked, and nothing is lost */
    }
}

void redis_fault_begin(const struct fault *f) {
    struct redis_host *h = cast_redis();
    struct process *p = redis_host_process(h);
    switch ((int)f->kind) {
    case FAULT_REDIS_STOP: process_stop(p); break;
    case FAULT_REDIS_RESTART:
    case FAULT_REDIS_EMPTY: redis_host_crash(h); break;
    case FAULT_REDIS_FORGET: redis_host_mark_after(h, 1 + f->chance % 16); break;
    case FAULT_REDIS_FAILOVER: begin_fail_over(h, f); break;
    case FAULT_REDIS_CUT: redis_host_kill_all(h); break;
    case FAULT_REDIS_PUBSUB: redis_host_kill_subscribers(h); break;
    case FAULT_REDIS_DEAF: redis_host_deafen(h, true); break;
    case FAULT_REDIS_MUTE: redis_host_mute(h, true); break;
    case FAULT_REDIS_MISCONF: redis_host_refuse(h, REDIS_MISCONF); break;
    case FAULT_REDIS_NOREPLICAS: redis_host_refuse(h, REDIS_NOREPLICAS); break;
    case FAULT_REDIS_OOM: redis_host_fill(h, f->chance % 100000); break;
    case FAULT_REDIS_SLOW: redis_host_set_pace(h, 50, 50 + f->chance % 2000); break;
    case FAULT_REDIS_CLOCK: process_jump_clock(p, jump_ms(f)); break;
    default: break;
    }
}

void redis_fault_end(const struct fault *f) {
    struct redis_host *h = cast_redis();
    struct process *p = redis_host_process(h);
    uint64_t loading_us = f->chance % (2 * SIM_SECOND);
    switch ((int)f->kind) {
    case FAULT_REDIS_STOP: process_continue(p); break;
    case FAULT_REDIS_RESTART: redis_host_start(h, REDIS_WITH_ALL, loading_us); break;
    case FAULT_REDIS_FORGET:
        lose_tail(h);
        redis_host_crash(h);
        redis_host_start(h, REDIS_WITH_MARKED, loading_us);
        registry_each_waiting(keep);
        break;
    case FAULT_REDIS_EMPTY:
        redis_host_start(h, REDIS_EMPTY, loading_us);
        books_lose(0, sim_now_us());
        break;
    case FAULT_REDIS_FAILOVER: end_fail_over(h, f); break;
    case FAULT_REDIS_DEAF: redis_host_deafen(h, false); break;
    case FAULT_REDIS_MUTE: redis_host_mute(h, false); break;
    case FAULT_REDIS_MISCONF:
    case FAULT_REDIS_NOREPLICAS: redis_host_refuse(h, REDIS_FINE); break;
    case FAULT_REDIS_OOM: redis_host_empty(h); break;
    case FAULT_REDIS_SLOW: redis_host_set_pace(h, 0, 0); break;
    case FAULT_REDIS_CLOCK: process_jump_clock(p, -jump_ms(f)); break;
    default: break;
    }
}
