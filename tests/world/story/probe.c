/* probe.c - see probe.h. */
#include "tests/world/story/probe.h"

#include <stdio.h>
#include <string.h>

#include "tests/world/network.h"
#include "tests/world/story/books.h"
#include "tests/world/story/cast.h"
#include "tests/world/story/ws_wire.h"

/* A process that cannot reach Redis says so within this; one that can, and has not been hit for
 * so long, is ready. */
#define UNREADY_US (12 * SIM_SECOND)
#define READY_US   (20 * SIM_SECOND)
enum { EVERY_MS = 500, PATIENCE_MS = 3000 };

struct probe {
    unsigned at; /* of the cast */
    struct sock *sock;
    struct ws_wire wire;
    size_t sent; /* of the request */
    uint64_t asked_us;
    unsigned life;
    bool is_ready;
    struct event next;
};

static struct probe probes[CAST_MAX];

static void on_next(struct event *e);

static void done(struct probe *p) {
    if (p->sock != NULL)
        sock_close(p->sock);
    p->sock = NULL;
    ws_wire_deinit(&p->wire);
    event_set(&p->next, sim_now_us() + EVERY_MS * SIM_MS, on_next);
}

/* Whether Redis has been out of this process's reach all the time since then. */
static bool is_cut_off_since(const struct process *p, uint64_t since_us) {
    for (unsigned i = 0; i < plan.count; i++) {
        const struct fault *f = &plan.faults[i];
        if (!f->has_begun || f->has_ended || f->at_us > since_us)
            continue;
        if (f->kind == FAULT_REDIS_STOP)
            return true;
        if ((f->kind == FAULT_STALL || f->kind == FAULT_REFUSE) && f->whom != WHOM_CLIENT &&
            f->whom != WHOM_REDIS && cast_of(f->whom, f->index) == p)
            return true;
    }
    return false;
}

/* A cut ends early when another one of the same victim does: only a plan in which that cannot be is
 * judged. */
static unsigned cuts_of(const struct process *p) {
    unsigned count = 0;
    for (unsigned i = 0; i < plan.count; i++) {
        const struct fault *f = &plan.faults[i];
        count +=
            f->kind >= FAULT_STALL && f->kind <= FAULT_REFUSE && cast_of(f->whom, f->index) == p;
        count += f->whom == WHOM_REDIS || f->kind == FAULT_NAMES;
    }
    return count;
}

static void judge(struct probe *p, const struct ws_event *e) {
    const struct process *process = cast_process(p->at);
    bool is_ready = e->code == 200;
    if (is_ready != p->is_ready)
        sim_log(process_name(process), "is %s: %.*s", is_ready ? "ready" : "not ready", (int)e->len,
                e->bytes);
    p->is_ready = is_ready;
    if (!is_ready && plan_is_calm(sim_now_us(), READY_US) && sim_now_us() > READY_US &&
        p->life == process_life(process))
        violate("I8", "%s is not ready, and nothing is wrong: %.*s", process_name(process),
                (int)e->len, e->bytes);
    if (is_ready && p->asked_us > UNREADY_US && cuts_of(process) == 1 &&
        is_cut_off_since(process, p->asked_us - UNREADY_US))
        violate("I8", "%s is ready, and has been without Redis for %llu s", process_name(process),
                (unsigned long long)(UNREADY_US / SIM_SECOND));
}

static void on_data(struct sock *s, const char *bytes, size_t len) {
    struct probe *p = sock_ctx(s);
    ws_wire_take(&p->wire, bytes, len);
    struct ws_event e = ws_wire_next(&p->wire);
    if (e.what == WS_NOTHING)
        return;
    judge(p, &e);
    done(p);
}

static void on_end(struct sock *s, int status) {
    (void)status;
    struct probe *p = sock_ctx(s);
    p->is_ready = false;
    done(p);
}

static void on_drain(struct sock *s) {
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    struct probe *p = sock_ctx(s);
    long taken = sock_write(s, request + p->sent, sizeof(request) - 1 - p->sent);
    p->sent += taken > 0 ? (size_t)taken : 0;
}

static void on_open(struct sock *s, int status) {
    if (status != 0)
        return on_end(s, status);
    on_drain(s);
}

static const struct sock_events probe_events = {
    .on_open = on_open, .on_data = on_data, .on_drain = on_drain, .on_end = on_end};

static void on_next(struct event *e) {
    struct probe *p = container_of(e, struct probe, next);
    struct process *process = cast_process(p->at);
    char address[64];
    if (p->sock != NULL) { /* no answer so far */
        p->is_ready = false;
        return done(p);
    }
    if (!process_is_alive(process)) {
        p->is_ready = false;
        return done(p);
    }
    snprintf(address, sizeof(address), "%s:9090", process_host(process));
    p->asked_us = sim_now_us();
    p->sent = 0;
    p->life = process_life(process);
    event_set(&p->next, sim_now_us() + PATIENCE_MS * SIM_MS, on_next);
    p->sock = sock_connect(NULL, "10.3.0.1", address, &probe_events, p);
}

void probes_start(void) {
    for (unsigned i = 0; i < cast_count(); i++) {
        probes[i] = (struct probe){.at = i};
        event_set(&probes[i].next, sim_now_us() + SIM_SECOND, on_next);
    }
}

bool probes_are_ready(void) {
    for (unsigned i = 0; i < cast_count(); i++) {
        if (!probes[i].is_ready)
            return false;
    }
    return true;
}
