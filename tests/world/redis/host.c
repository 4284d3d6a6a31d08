/* host.c - see host.h. */
#include "tests/world/redis/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/must.h"
#include "tests/world/network.h"
#include "tests/world/process.h"

enum {
    STOPPED_POLL_US = 1000,
    PACE_LEAST_US = 2,
    PACE_MOST_US = 40,
    SUBSCRIBER_BOUND = 32 * 1024 * 1024
};

struct redis_client {
    struct redis_host *host;
    struct sock *sock;
    struct redis_session *session;
    struct buf out;
    bool is_queued;  /* it sent something: among `ready` */
    bool is_dirty;   /* something is to be done for it: among `dirty` */
    bool is_full;    /* its sock takes nothing until on_drain */
    bool is_closing; /* as soon as out is empty */
    TAILQ_ENTRY(redis_client) link, ready, dirty;
};

TAILQ_HEAD(redis_clients, redis_client);

struct redis_host {
    struct process *process;
    struct redis_model *model;
    struct sock *listener;
    struct redis_clients clients, ready, dirty;
    struct event turn, timer, loaded;
    struct data *marked;
    uint64_t marked_us;
    unsigned mark_after; /* commands; 0: it is not to be marked */
    struct dice dice;
    unsigned queued;
    uint64_t busy_until_us;
    uint64_t least_us, most_us;
    size_t subscriber_bound;
    uint64_t commands;
    bool is_deaf, is_mute;
    char address[64], name[80];
};

static void on_turn(struct event *e);

/* ---- clients ---- */

static void wake(struct redis_host *h) {
    uint64_t now = sim_now_us();
    if (!event_is_set(&h->turn))
        event_set(&h->turn, h->busy_until_us > now ? h->busy_until_us : now, on_turn);
}

static void queue(struct redis_client *c) {
    if (!c->is_queued) {
        TAILQ_INSERT_TAIL(&c->host->ready, c, ready);
        c->host->queued++;
    }
    c->is_queued = true;
    wake(c->host);
}

static void unqueue(struct redis_client *c) {
    if (c->is_queued) {
        TAILQ_REMOVE(&c->host->ready, c, ready);
        c->host->queued--;
    }
    c->is_queued = false;
}

/* It has output, or is to be closed. */
static void mark_dirty(struct redis_client *c) {
    if (!c->is_dirty)
        TAILQ_INSERT_TAIL(&c->host->dirty, c, dirty);
    c->is_dirty = true;
    wake(c->host);
}

static void mark_clean(struct redis_client *c) {
    if (c->is_dirty)
        TAILQ_REMOVE(&c->host->dirty, c, dirty);
    c->is_dirty = false;
}

/* The sock is gone, or will be closed by its owner. */
static void forget(struct redis_client *c) {
    struct redis_host *h = c->host;
    unqueue(c);
    mark_clean(c);
    TAILQ_REMOVE(&h->clients, c, link);
    redis_session_free(c->session);
    buf_deinit(&c->out);
    free(c);
}

static void drop(struct redis_client *c) {
    struct sock *s = c->sock;
    forget(c);
    sock_close(s);
}

static bool is_held(const struct redis_client *c) {
    return c->host->is_deaf && redis_session_subscriptions(c->session) > 0;
}

static void flush(struct redis_client *c) {
    bool is_subscriber = redis_session_subscriptions(c->session) > 0;
    while (c->out.len > 0 && !c->is_full && !is_held(c)) {
        size_t had = c->out.len;
        long n = sock_write(c->sock, c->out.ptr, had);
        c->is_full = n < (long)had;
        buf_consume(&c->out, n > 0 ? (size_t)n : 0);
    }
    if (is_subscriber && c->out.len > c->host->subscriber_bound) {
        sim_log("redis", "%s reads too slowly: cut off", sock_peer_address(c->sock));
        drop(c);
    } else if (c->is_closing && c->out.len == 0) {
        drop(c);
    }
}

static void flush_all(struct redis_host *h) {
    struct redis_client *c;
    while ((c = TAILQ_FIRST(&h->dirty)) != NULL) {
        mark_clean(c);
        flush(c);
    }
}

/* ---- what the model says ---- */

static void on_output(void *ctx, struct bytes out) {
    struct redis_client *c = ctx;
    if (c->host->is_mute && bytes_starts_with(out, BYTES_LIT("*3\r\n$7\r\nmessage\r\n")))
        return;
    buf_append(&c->out, out);
    mark_dirty(c);
}

static void on_close(void *ctx) {
    struct redis_client *c = ctx;
    c->is_closing = true;
    mark_dirty(c);
}

static void on_unblocked(void *ctx) {
    queue(ctx);
}

static const struct redis_events model_events = {on_output, on_close, on_unblocked};

/* ---- what the network says ---- */

static void on_data(struct sock *s, const char *bytes, size_t len) {
    struct redis_client *c = sock_ctx(s);
    redis_session_feed(c->session, bytes_of(bytes, len));
    queue(c);
}

static void on_drain(struct sock *s) {
    struct redis_client *c = sock_ctx(s);
    c->is_full = false;
    mark_dirty(c);
}

static void on_end(struct sock *s, int status) {
    (void)status;
    forget(sock_ctx(s));
    sock_close(s);
}

static void set_time(struct redis_host *h) {
    redis_model_set_time(h->model, (int64_t)process_wall_us(h->process),
                         process_clock_us(h->process));
}

static void on_accept(struct sock *listener, struct sock *fresh) {
    static const struct sock_events events = {
        .on_data = on_data, .on_drain = on_drain, .on_end = on_end};
    struct redis_host *h = sock_ctx(listener);
    struct redis_client *c = mem_zalloc(sizeof(*c));
    *c = (struct redis_client){.host = h, .sock = fresh};
    c->session = redis_session_new(h->model, sock_peer_address(fresh), &model_events, c);
    TAILQ_INSERT_TAIL(&h->clients, c, link);
    sock_set_events(fresh, &events, c);
}

/* ---- its turns ---- */

static struct redis_client *choose(struct redis_host *h) {
    uint64_t at = dice_below(&h->dice, h->queued);
    struct redis_client *c;
    for (c = TAILQ_FIRST(&h->ready); at > 0; at--)
        c = TAILQ_NEXT(c, ready);
    return c;
}

/* Mostly all that it sent, as Redis does with what one read brought; now and then a part. */
static void serve(struct redis_host *h, struct redis_client *c) {
    unsigned most = dice_below(&h->dice, 4) == 0 ? 1 : 64, n = 0;
    while (n < most && !c->is_closing && redis_session_step(c->session)) {
        h->busy_until_us += dice_skewed(&h->dice, h->least_us, h->most_us);
        n++;
        if (h->mark_after > 0 && --h->mark_after == 0)
            redis_host_mark(h);
    }
    h->commands += n;
    if (n < most)
        unqueue(c);
}

static void on_timer(struct event *e);

static void set_timer(struct redis_host *h) {
    uint64_t due = redis_model_due(h->model), clock = process_clock_us(h->process);
    if (due == UINT64_MAX)
        event_cancel(&h->timer);
    else
        event_set(&h->timer, sim_now_us() + (due > clock ? due - clock : 0), on_timer);
}

static void on_timer(struct event *e) {
    struct redis_host *h = container_of(e, struct redis_host, timer);
    if (!process_is_alive(h->process))
        return;
    if (process_is_stopped(h->process)) {
        event_set(e, sim_now_us() + STOPPED_POLL_US, on_timer);
        return;
    }
    set_time(h);
    set_timer(h);
}

static void on_turn(struct event *e) {
    struct redis_host *h = container_of(e, struct redis_host, turn);
    if (!process_is_alive(h->process))
        return;
    if (process_is_stopped(h->process)) {
        event_set(e, sim_now_us() + STOPPED_POLL_US, on_turn);
        return;
    }
    flush_all(h);
    set_time(h);
    h->busy_until_us = sim_now_us() + 1;
    if (h->queued > 0)
        serve(h, choose(h));
    if (h->queued > 0 || !TAILQ_EMPTY(&h->dirty))
        wake(h);
    set_timer(h);
}

/* ---- life ---- */

static void on_process_end(struct process *p, void *ctx) {
    struct redis_host *h = ctx;
    (void)p;
    while (!TAILQ_EMPTY(&h->clients))
        forget(TAILQ_FIRST(&h->clients));
    h->listener = NULL;
    event_cancel(&h->turn);
    event_cancel(&h->timer);
    event_cancel(&h->loaded);
    h->busy_until_us = 0;
}

static void listen_again(struct redis_host *h) {
    static const struct sock_events events = {.on_accept = on_accept};
    process_start(h->process);
    set_time(h);
    h->listener = sock_listen(h->process, h->address, &events, h);
    MUST(h->listener != NULL);
}

struct redis_host *redis_host_new(const char *ip) {
    struct redis_host *h = mem_zalloc(sizeof(*h));
    TAILQ_INIT(&h->clients);
    TAILQ_INIT(&h->ready);
    TAILQ_INIT(&h->dirty);
    snprintf(h->address, sizeof(h->address), "%s:%d", ip, REDIS_PORT);
    h->dice = dice_new(sim_seed(), 0x7265646973);
    h->model = redis_model_new(dice_roll(&h->dice));
    h->process = process_new("redis", ip, NULL, NULL);
    process_on_end(h->process, on_process_end, h);
    redis_host_set_pace(h, 0, 0);
    redis_host_set_subscriber_bound(h, 0);
    listen_again(h);
    return h;
}

struct redis_model *redis_host_model(const struct redis_host *h) {
    return h->model;
}

struct process *redis_host_process(const struct redis_host *h) {
    return h->process;
}

uint64_t redis_host_wall_us(const struct redis_host *h) {
    return process_wall_us(h->process);
}

uint64_t redis_host_commands(const struct redis_host *h) {
    return h->commands;
}

/* ---- it dies and comes back ---- */

static void forget_mark(struct redis_host *h) {
    if (h->marked != NULL)
        redis_model_drop_data(h->marked);
    h->marked = NULL;
    h->mark_after = 0;
}

void redis_host_mark(struct redis_host *h) {
    forget_mark(h);
    h->marked = redis_model_copy_data(h->model);
    h->marked_us = sim_now_us();
}

void redis_host_mark_after(struct redis_host *h, unsigned commands) {
    forget_mark(h);
    h->mark_after = commands;
}

uint64_t redis_host_marked_us(const struct redis_host *h) {
    return h->marked != NULL ? h->marked_us : sim_now_us();
}

/* NULL: none, or nothing was ever marked. */
static struct data *take_data(struct redis_host *h, enum redis_return which) {
    struct data *data = which == REDIS_WITH_MARKED ? h->marked : NULL;
    if (which == REDIS_WITH_ALL || (which == REDIS_WITH_MARKED && data == NULL))
        return redis_model_copy_data(h->model);
    if (which == REDIS_WITH_MARKED)
        h->marked = NULL;
    return data;
}

void redis_host_crash(struct redis_host *h) {
    process_kill(h->process);
}

static void on_loaded(struct event *e) {
    struct redis_host *h = container_of(e, struct redis_host, loaded);
    redis_model_refuse(h->model, REDIS_FINE);
}

void redis_host_start(struct redis_host *h, enum redis_return which, uint64_t loading_us) {
    if (process_is_alive(h->process))
        return;
    redis_model_restart(h->model, take_data(h, which));
    forget_mark(h);
    listen_again(h);
    redis_model_refuse(h->model, loading_us > 0 ? REDIS_LOADING : REDIS_FINE);
    if (loading_us > 0)
        event_set(&h->loaded, sim_now_us() + loading_us, on_loaded);
}

void redis_host_demote(struct redis_host *h) {
    if (process_is_alive(h->process))
        redis_model_demote(h->model);
}

void redis_host_promote(struct redis_host *h, enum redis_return which) {
    if (!process_is_alive(h->process))
        return;
    struct data *data = take_data(h, which);
    set_time(h);
    redis_model_set_data(h->model, data);
    redis_model_promote(h->model);
    forget_mark(h);
}

/* ---- it refuses, or is slow ---- */

void redis_host_refuse(struct redis_host *h, enum redis_refusal refusal) {
    event_cancel(&h->loaded);
    redis_model_refuse(h->model, refusal);
}

void redis_host_fill(struct redis_host *h, size_t left) {
    redis_model_set_maxmemory(h->model, redis_model_memory(h->model) + left);
}

void redis_host_empty(struct redis_host *h) {
    redis_model_set_maxmemory(h->model, 0);
}

void redis_host_set_pace(struct redis_host *h, uint64_t least_us, uint64_t most_us) {
    h->least_us = most_us > 0 ? least_us : PACE_LEAST_US;
    h->most_us = most_us > 0 ? most_us : PACE_MOST_US;
}

/* ---- its connections ---- */

unsigned redis_host_kill_subscribers(struct redis_host *h) {
    struct redis_client *c, *next;
    unsigned n = 0;
    for (c = TAILQ_FIRST(&h->clients); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        if (redis_session_subscriptions(c->session) == 0)
            continue;
        drop(c);
        n++;
    }
    return n;
}

void redis_host_deafen(struct redis_host *h, bool is_deaf) {
    struct redis_client *c;
    h->is_deaf = is_deaf;
    TAILQ_FOREACH (c, &h->clients, link)
        mark_dirty(c);
}

void redis_host_mute(struct redis_host *h, bool is_mute) {
    h->is_mute = is_mute;
}

void redis_host_set_subscriber_bound(struct redis_host *h, size_t bytes) {
    h->subscriber_bound = bytes > 0 ? bytes : SUBSCRIBER_BOUND;
}

unsigned redis_host_kill_all(struct redis_host *h) {
    unsigned n = 0;
    for (; !TAILQ_EMPTY(&h->clients); n++)
        drop(TAILQ_FIRST(&h->clients));
    return n;
}
