/* inflict.c - how each fault of fault.def begins, and how it ends. */
#include <signal.h>
#include <uv.h>

#include "tests/world/network.h"
#include "tests/world/story/books.h"
#include "tests/world/story/cast.h"
#include "tests/world/story/client.h"
#include "tests/world/story/redis_faults.h"

enum { TURN_LEAST_US = 5, TURN_MOST_US = 50 }; /* as process.h has it */
#define MEMORY_BYTES (UINT64_C(1) << 31) /* more than the quarter of a host that is the default */

static void cut_both(const char *host, enum net_cut cut) {
    net_cut(host, REDIS_HOST, cut);
    net_cut(REDIS_HOST, host, cut);
}

static int64_t jump_ms(const struct fault *f) {
    int64_t ms = (int64_t)(f->chance % 3600000);
    return f->chance >> 63 ? -ms : ms;
}

static int rate_ppm(const struct fault *f) {
    int ppm = (int)(f->chance % 5000);
    return f->chance >> 63 ? -ppm : ppm;
}

static void begin_for_process(const struct fault *f, struct process *p) {
    const char *host = process_host(p);
    switch ((int)f->kind) {
    case FAULT_KILL:
    case FAULT_LOSE:
        cast_hold(p);
        (f->kind == FAULT_KILL ? process_kill : process_lose)(p);
        break;
    case FAULT_KILL_AT_WRITE:
        cast_hold(p);
        process_kill_at_write(p, 1 + (unsigned)(f->chance % 16));
        break;
    case FAULT_STOP: process_stop(p); break;
    case FAULT_STOP_AT_WRITE: process_stop_at_write(p, 1 + (unsigned)(f->chance % 16)); break;
    case FAULT_TERM:
        cast_hold(p);
        if (cast_will_end(p)) /* a second one would cut the end short */
            process_signal(p, SIGTERM);
        break;
    case FAULT_SLOW: process_set_turn_us(p, 1000, 1000 + f->chance % 50000); break;
    case FAULT_JUMP: process_jump_clock(p, jump_ms(f)); break;
    case FAULT_RATE: process_set_rate(p, rate_ppm(f)); break;
    case FAULT_RESET: net_reset_all(host, REDIS_HOST); break;
    case FAULT_CUT_REPLY: net_reset_all_after(REDIS_HOST, host, f->chance % 2000); break;
    case FAULT_NAMES:
        net_fail_names(f->chance % 2 ? UV_EAI_AGAIN : UV_EAI_NONAME);
        net_reset_all(host, REDIS_HOST);
        break;
    case FAULT_MEMORY: process_set_memory(p, MEMORY_BYTES); break;
    case FAULT_STALL: cut_both(host, NET_STALL); break;
    case FAULT_STALL_OUT: net_cut(host, REDIS_HOST, NET_STALL); break;
    case FAULT_STALL_IN: net_cut(REDIS_HOST, host, NET_STALL); break;
    case FAULT_REFUSE:
        net_cut(host, REDIS_HOST, NET_REFUSE);
        net_reset_all(host, REDIS_HOST);
        break;
    case FAULT_NO_ACCEPT:
        net_fail_accepts(gateway_address(f->index), UV_EMFILE, 1 + (unsigned)(f->chance % 20));
        break;
    default: break;
    }
}

static void end_for_process(const struct fault *f, struct process *p) {
    const char *host = process_host(p);
    switch ((int)f->kind) {
    case FAULT_KILL:
    case FAULT_LOSE:
    case FAULT_KILL_AT_WRITE:
    case FAULT_TERM: cast_release(p); break;
    case FAULT_STOP: process_continue(p); break;
    case FAULT_STOP_AT_WRITE:
        process_stop_at_write(p, 0);
        process_continue(p);
        break;
    case FAULT_NAMES: net_fail_names(0); break;
    case FAULT_MEMORY: process_set_memory(p, 0); break;
    case FAULT_SLOW: process_set_turn_us(p, TURN_LEAST_US, TURN_MOST_US); break;
    case FAULT_JUMP: process_jump_clock(p, -jump_ms(f)); break;
    case FAULT_RATE: process_set_rate(p, 0); break;
    case FAULT_STALL:
    case FAULT_STALL_OUT:
    case FAULT_STALL_IN:
    case FAULT_REFUSE: cut_both(host, NET_OPEN); break;
    default: break;
    }
}

static void begin_for_client(const struct fault *f, struct client *c) {
    switch ((int)f->kind) {
    case FAULT_PAUSE: client_pause(c, true); break;
    case FAULT_DROP: client_drop(c); break;
    case FAULT_VANISH: client_vanish(c); break;
    case FAULT_TAKE_OVER:
        if (client_is_settled(c) && c->options.manner != CLIENT_LOCAL)
            client_take_over(c);
        break;
    default: break;
    }
}

static void end_for_client(const struct fault *f, struct client *c) {
    if (f->kind == FAULT_PAUSE)
        client_pause(c, false);
    else if (f->kind == FAULT_VANISH)
        client_return(c);
}

static void on_event(struct event *e);

static void set_end(struct fault *f) {
    event_set(&f->event, f->at_us + f->for_us, on_event);
}

static void begin(struct fault *f) {
    f->has_begun = true;
    sim_log("FAULT", "%s", fault_text(f));
    if (f->whom == WHOM_REDIS)
        redis_fault_begin(f);
    else if (f->whom != WHOM_CLIENT)
        begin_for_process(f, cast_of(f->whom, f->index));
    else if (f->index < client_count)
        begin_for_client(f, &clients[f->index]);
    set_end(f);
}

static void end(struct fault *f) {
    f->has_ended = true;
    f->ended_us = sim_now_us();
    sim_log("FAULT", "%s: over", fault_text(f));
    if (f->whom == WHOM_REDIS)
        redis_fault_end(f);
    else if (f->whom != WHOM_CLIENT)
        end_for_process(f, cast_of(f->whom, f->index));
    else if (f->index < client_count)
        end_for_client(f, &clients[f->index]);
}

static void on_event(struct event *e) {
    struct fault *f = container_of(e, struct fault, event);
    if (f->has_begun)
        end(f);
    else
        begin(f);
}

void plan_start(void) {
    for (unsigned i = 0; i < plan.count; i++)
        event_set(&plan.faults[i].event, plan.faults[i].at_us, on_event);
}
