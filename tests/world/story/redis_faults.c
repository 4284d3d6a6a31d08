/*
 * redis_faults.c - the faults of Redis (fault.def), which inflict.c calls. Several of them may be
 * under way; what ends one of a sort ends them all, and a plan makes few.
 */
#include "tests/world/story/redis_faults.h"

#include "tests/world/redis/host.h"
#include "tests/world/story/books.h"
#include "tests/world/story/cast.h"

static int64_t jump_ms(const struct fault *f) {
    int64_t ms = (int64_t)(f->chance % 600000);
    return f->chance >> 63 ? -ms : ms;
}

void redis_fault_begin(const struct fault *f) {
    struct redis_host *h = cast_redis();
    struct process *p = redis_host_process(h);
    switch ((int)f->kind) {
    case FAULT_REDIS_STOP: process_stop(p); break;
    case FAULT_REDIS_RESTART:
    case FAULT_REDIS_EMPTY: redis_host_crash(h); break;
    case FAULT_REDIS_FORGET:
    case FAULT_REDIS_FAILOVER: redis_host_mark_after(h, 1 + f->chance % 16); break;
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

/* Where Redis' clock is or was wrong, ids of the data that are given up come again: what has one of
 * them is taken for a repetition (docs/delivery.md). */
static void lose_tail(struct redis_host *h) {
    books_lose(redis_host_marked_us(h), plan_has(FAULT_REDIS_CLOCK) ? SIM_NEVER / 2 : sim_now_us());
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
        break;
    case FAULT_REDIS_EMPTY:
        redis_host_start(h, REDIS_EMPTY, loading_us);
        books_lose(0, sim_now_us());
        break;
    case FAULT_REDIS_FAILOVER:
        lose_tail(h);
        redis_host_demote(h);
        redis_host_promote(h, REDIS_WITH_MARKED);
        break;
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
