/*
 * link.c - see link.h: the life of a link and its traffic. The connector reaches Redis, the login
 * makes the connection ready; both report here.
 *
 *     link_send ─▶ out ─▶ on_turn: one stream_write a loop turn ─▶ Redis
 *     Redis ─▶ reply_reader ─▶ on_reply ─▶ the oldest waiter, or on_push
 *
 * Time is counted in ticks, and a tick counts for two at most: time in which this process did not
 * run (stopped, swapped out) is no silence of Redis'. Read first: on_tick, on_reply, fail.
 */
#include "common/bus/redis/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/redis/attempts.h"
#include "common/bus/redis/capacity.h"
#include "common/bus/redis/connector.h"
#include "common/bus/redis/login.h"
#include "common/bus/redis/reply_reader.h"

enum {
    TICK_MS = 250,
    PING_MS = 1000,
    LOGIN_MS = 2000, /* since the last reply */
    ADOPT_MIN = 64 * 1024,
    OUT_KEEP_MAX = 256 * 1024
};

/* How long Redis may be silent while an answer is to come. */
static const unsigned deadline_ms[] = {
    [LINK_COMMANDS] = 2000, [LINK_TOOL] = 2000, [LINK_FEED] = 3000, [LINK_BLOCKING] = 4000};

/* To recognise the answers to our own PINGs on a feed. */
static const struct bytes ping_mark = {"signalbox-link", 14};

enum link_state {
    LINK_IDLE,
    LINK_CONNECT, /* the connector works */
    LINK_LOGIN,
    LINK_READY,
    LINK_BACKOFF,
    LINK_CLOSED
};

/* A command that waits for its reply. */
struct waiter {
    reply_fn *fn; /* NULL: nobody cares */
    void *ctx;
    uint64_t end;   /* how many bytes had been queued with it: it is sent when so many are */
    size_t largest; /* bytes of its largest argument */
};

struct link {
    uv_loop_t *loop;
    const struct redis_url *url;
    enum link_kind kind;
    char *name;
    const struct link_events *events;
    void *ctx;
    enum link_state state;
    char trouble[256];

    struct connector connector; /* to a sentinel, to Redis, to Redis again */
    struct login login;
    uv_timer_t timer; /* BACKOFF: the wait; else a tick */
    uv_idle_t turn;   /* runs once after something was queued, before the loop sleeps */
    unsigned handles; /* of the two above, those libuv still holds */
    struct reply_reader *reader;

    bool is_at_sentinel;     /* it is asked for the master, to which the next connection goes */
    unsigned sentinel;       /* asked in this attempt */
    unsigned sentinels_left; /* to ask before the next wait */

    struct buf out; /* not yet taken by the stream from out_at on */
    size_t out_at;
    uint64_t queued, sent;  /* bytes on this connection */
    struct waiter *waiters; /* a ring */
    size_t waiters_cap, waiters_at, waiters_len;

    struct capacity capacity;
    struct attempts attempts;

    uint64_t ticked_ms;
    unsigned silent_ms, since_ping_ms; /* counted in ticks */
    char break_why[200];               /* set by link_break, done on the next turn */
    bool was_refused;                  /* it ends because of what Redis answered */
    bool was_ready;
};

/* ---- states ---- */

#define TO(state) (1u << LINK_##state)
static const unsigned may_follow[] = {[LINK_IDLE] = TO(CONNECT) | TO(CLOSED),
                                      [LINK_CONNECT] = TO(LOGIN) | TO(BACKOFF) | TO(CLOSED),
                                      [LINK_LOGIN] =
                                          TO(CONNECT) | TO(READY) | TO(BACKOFF) | TO(CLOSED),
                                      [LINK_READY] = TO(BACKOFF) | TO(CLOSED),
                                      [LINK_BACKOFF] = TO(CONNECT) | TO(CLOSED),
                                      [LINK_CLOSED] = 0};
#undef TO

static void set_state(struct link *l, enum link_state to) {
    MUST(may_follow[l->state] & (1u << to));
    l->state = to;
    l->silent_ms = 0;
}

bool link_is_ready(const struct link *l) {
    return l->state == LINK_READY && l->break_why[0] == '\0';
}

const char *link_server(const struct link *l) {
    return l->state == LINK_READY ? l->login.server.identity : "";
}

const char *link_trouble(const struct link *l) {
    return l->trouble;
}

/* ---- waiters ---- */

static void push_waiter(struct link *l, size_t largest, reply_fn *fn, void *ctx) {
    if (l->waiters_len == l->waiters_cap) {
        size_t cap = l->waiters_cap > 0 ? 2 * l->waiters_cap : 16;
        struct waiter *ring = mem_alloc(cap * sizeof(*ring));
        for (size_t i = 0; i < l->waiters_len; i++)
            ring[i] = l->waiters[(l->waiters_at + i) % l->waiters_cap];
        free(l->waiters);
        l->waiters = ring;
        l->waiters_cap = cap;
        l->waiters_at = 0;
    }
    size_t at = (l->waiters_at + l->waiters_len++) % l->waiters_cap;
    l->waiters[at] = (struct waiter){.fn = fn, .ctx = ctx, .end = l->queued, .largest = largest};
    capacity_sent(&l->capacity, largest);
}

/* The oldest. reply: NULL for none. */
static void answer_waiter(struct link *l, struct redisReply *reply) {
    struct waiter w = l->waiters[l->waiters_at];
    l->waiters_at = (l->waiters_at + 1) % l->waiters_cap;
    l->waiters_len--;
    if (reply != NULL)
        capacity_answered(&l->capacity, w.largest);
    if (w.fn != NULL)
        w.fn(w.ctx, reply);
}

/* ---- the end of a connection ---- */

static void begin(uv_timer_t *timer);

/* The next sentinel is asked without a wait, until all of them were. */
static unsigned next_wait_ms(struct link *l, bool was_cut) {
    bool has_sentinels = l->url->master[0] != '\0';
    if (has_sentinels)
        l->sentinel = (l->sentinel + 1) % l->url->host_count;
    if (l->sentinels_left > 0) {
        l->sentinels_left--;
        return 0;
    }
    l->sentinels_left = has_sentinels ? l->url->host_count - 1 : 0;
    return attempts_failed(&l->attempts, was_cut);
}

static void drop_connection(struct link *l) {
    connector_abort(&l->connector);
    uv_idle_stop(&l->turn);
    buf_release(&l->out);
    reply_reader_free(l->reader);
    l->reader = NULL;
    l->break_why[0] = '\0';
}

/* Callbacks may close the link: then it is CLOSED, and nothing more is reported. */
static void report_down(struct link *l) {
    while (l->waiters_len > 0 && l->state != LINK_CLOSED)
        answer_waiter(l, NULL);
    if (l->state != LINK_CLOSED)
        l->events->on_down(l->ctx, l->trouble);
}

/* Redis answers in order: the first large argument without an answer is the one to suspect, unless
 * Redis said that it has another reason. */
static void blame(struct link *l) {
    size_t bytes = 0;
    bool is_proof = strstr(l->trouble, "bulk length") != NULL;
    for (size_t i = 0; i < l->waiters_len && bytes < CAPACITY_LARGE; i++)
        bytes = l->waiters[(l->waiters_at + i) % l->waiters_cap].largest;
    capacity_broke(&l->capacity, l->was_refused && !is_proof ? 0 : bytes, is_proof);
}

/* The connection is no good: reports it, waits, begins anew. From the loop only. */
static PRINTF_LIKE(2, 3) void fail(struct link *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(l->trouble, sizeof(l->trouble), format, args);
    va_end(args);
    for (char *c = l->trouble; *c != '\0'; c++) /* it may quote Redis, and goes into HTTP */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    blame(l);
    bool was_ready = l->state == LINK_READY, was_cut = was_ready && !l->was_refused;
    set_state(l, LINK_BACKOFF);
    drop_connection(l);
    uv_timer_start(&l->timer, begin, next_wait_ms(l, was_cut), 0);
    attempts_log(&l->attempts, l->name, l->trouble);
    if (was_ready)
        report_down(l);
}

/* ---- sending ---- */

static void flush(struct link *l) {
    while (l->out_at < l->out.len) {
        size_t len = l->out.len - l->out_at;
        uv_buf_t buf =
            uv_buf_init(l->out.ptr + l->out_at, (unsigned)(len < INT32_MAX ? len : INT32_MAX));
        ssize_t n = stream_write(&l->connector.stream, &buf, 1);
        if (n < 0) {
            fail(l, "write: %s", stream_error_text(&l->connector.stream, (int)n));
            return;
        }
        /* Bytes that leave are a sign of life only while the command we wait for is among them. */
        if (n > 0 && (l->state != LINK_READY ||
                      (l->waiters_len > 0 && l->sent < l->waiters[l->waiters_at].end)))
            l->silent_ms = 0;
        l->sent += (size_t)n;
        l->out_at += (size_t)n;
        if ((size_t)n < buf.len)
            return; /* on_writable goes on */
    }
    l->out_at = 0;
    if (l->out.cap > OUT_KEEP_MAX)
        buf_release(&l->out);
    else
        buf_clear(&l->out);
}

static void on_turn(uv_idle_t *idle) {
    struct link *l = container_of(idle, struct link, turn);
    uv_idle_stop(idle);
    if (l->break_why[0] != '\0')
        fail(l, "%s", l->break_why);
    else
        flush(l); /* also when the stream is blocked: it has to know that there is more */
}

/* An idle handle that is active for one turn: it runs before the loop sleeps wherever the command
 * was queued, even in a prepare handle, after which the loop would not look again. */
static void wake(struct link *l) {
    uv_idle_start(&l->turn, on_turn);
}

static void queue_take(struct link *l, struct buf text) {
    l->queued += text.len;
    if (l->out.len == 0 && text.len >= ADOPT_MIN) {
        buf_deinit(&l->out);
        l->out = text;
    } else {
        if (l->out_at > l->out.len / 2)
            buf_consume(&l->out, l->out_at), l->out_at = 0;
        buf_append(&l->out, buf_bytes(&text));
        buf_deinit(&text);
    }
    wake(l);
}

void link_send(struct link *l, struct command *c, reply_fn *fn, void *ctx) {
    MUST(l->state == LINK_READY);
    MUST(l->kind != LINK_FEED || fn == NULL);
    MUST(l->kind != LINK_BLOCKING || l->waiters_len == 0);
    if (l->kind != LINK_FEED && l->waiters_len == 0)
        l->silent_ms = 0;
    size_t largest = c->largest;
    queue_take(l, command_finish(c));
    if (l->kind != LINK_FEED)
        push_waiter(l, largest, fn, ctx);
}

size_t link_largest(const struct link *l) {
    return capacity_most(&l->capacity);
}

bool link_takes_now(const struct link *l, size_t bytes) {
    return capacity_may_send(&l->capacity, bytes, l->attempts.is_proven);
}

void link_set_largest(struct link *l, size_t bytes) {
    l->capacity.told = bytes;
}

size_t link_backlog(const struct link *l) {
    return l->out.len - l->out_at;
}

void link_break(struct link *l, const char *why) {
    if (!link_is_ready(l))
        return;
    snprintf(l->break_why, sizeof(l->break_why), "%s", why[0] != '\0' ? why : "given up");
    l->was_refused = true;
    wake(l);
}

void link_refused(struct link *l, const char *command, const struct redisReply *error) {
    char why[sizeof(l->break_why)];
    snprintf(why, sizeof(why), "%s: %.*s", command, BYTES_FMT(bytes_head(reply_bytes(error), 150)));
    link_break(l, why);
}

/* ---- receiving ---- */

/* These say that this is not, or no longer, the Redis we want. */
static bool is_fatal(const struct redisReply *reply) {
    static const char *const words[] = {"READONLY ",   "UNBLOCKED ",   "LOADING ",
                                        "MASTERDOWN ", "CLUSTERDOWN ", "MOVED ",
                                        "NOSCRIPT ",   "NOAUTH ",      "ERR Protocol error"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (reply_is_error(reply, words[i]))
            return true;
    return false;
}

/* Before the first subscription the mark itself, after it ["pong", the mark]. A Redis that cannot
 * save answers PING with MISCONF, and nothing else that a feed sends: the connection is alive. */
static bool is_own_pong(const struct redisReply *reply) {
    return reply_is_error(reply, "MISCONF ") || bytes_equal(reply_bytes(reply), ping_mark) ||
           (bytes_equal_str(reply_bytes(reply_at(reply, 0)), "pong") &&
            bytes_equal(reply_bytes(reply_at(reply, 1)), ping_mark));
}

static void on_ready_reply(struct link *l, struct redisReply *reply) {
    if (is_fatal(reply)) {
        l->was_refused = true;
        fail(l, "%.*s", BYTES_FMT(bytes_head(reply_bytes(reply), 150)));
        return;
    }
    l->attempts.has_succeeded = l->attempts.has_succeeded || !reply_is_error(reply, NULL);
    if (l->kind == LINK_FEED) {
        if (!is_own_pong(reply))
            l->events->on_push(l->ctx, reply);
    } else if (l->waiters_len == 0) {
        fail(l, "an answer came to no question");
    } else {
        answer_waiter(l, reply);
    }
}

/* ---- the login ---- */

static void become_ready(struct link *l) {
    set_state(l, LINK_READY);
    l->trouble[0] = '\0';
    attempts_began(&l->attempts);
    l->was_refused = false;
    l->since_ping_ms = 0;
    if (l->was_ready)
        metrics_add(METRIC_redis_reconnects, 1);
    log_debug("redis", "link_made link=%s", l->name);
    l->was_ready = true;
    l->events->on_ready(l->ctx);
}

static void on_login(struct link *l, enum login_result result) {
    if (l->login.out.len > 0) {
        queue_take(l, l->login.out);
        l->login.out = (struct buf){0};
    }
    switch (result) {
    case LOGIN_MORE: return;
    case LOGIN_DONE: become_ready(l); return;
    case LOGIN_FAILED: fail(l, "%s", l->login.why); return;
    case LOGIN_MASTER:
        drop_connection(l);
        l->is_at_sentinel = false;
        set_state(l, LINK_CONNECT);
        connector_start(&l->connector, &l->login.master);
        return;
    }
}

static void on_reply(struct link *l, struct redisReply *reply) {
    if (reply_is_error(reply, NULL))
        metrics_add(METRIC_redis_errors, 1);
    if (l->state == LINK_READY)
        on_ready_reply(l, reply);
    else
        on_login(l, login_reply(&l->login, reply));
}

/* False once a callback has closed or broken the link. */
static bool is_reading(const struct link *l) {
    return stream_is_open(&l->connector.stream) && l->break_why[0] == '\0';
}

static void read_replies(struct link *l) {
    while (is_reading(l)) {
        struct redisReply *reply;
        const char *why;
        enum parse result = reply_reader_next(l->reader, &reply, &why);
        if (result == PARSE_BAD)
            fail(l, "protocol: %s", why);
        if (result != PARSE_OK)
            return;
        on_reply(l, reply);
        reply_free(reply);
    }
}

/* ---- what the connector says ---- */

static struct link *owner_of(struct connector *c) {
    return container_of(c, struct link, connector);
}

static void on_open(struct connector *c) {
    struct link *l = owner_of(c);
    set_state(l, LINK_LOGIN);
    l->reader = reply_reader_new();
    l->out_at = 0;
    l->queued = l->sent = 0;
    on_login(l, login_begin(&l->login, l->is_at_sentinel));
}

static void on_failed(struct connector *c, const char *why) {
    fail(owner_of(c), "%s", why);
}

static void on_bytes(struct connector *c, struct bytes in) {
    struct link *l = owner_of(c);
    l->silent_ms = 0;
    while (in.len > 0 && is_reading(l)) {
        struct bytes piece = bytes_head(in, REPLY_FEED_MAX);
        in = bytes_from(in, piece.len);
        reply_reader_feed(l->reader, piece);
        read_replies(l);
    }
}

static void on_writable(struct connector *c) {
    flush(owner_of(c));
}

/* ---- time ---- */

static void ping(struct link *l) {
    struct command c = command_begin("PING");
    command_bytes(&c, ping_mark);
    l->since_ping_ms = 0;
    link_send(l, &c, NULL, NULL);
}

static void tick_ready(struct link *l, unsigned passed_ms) {
    bool is_waiting = l->kind == LINK_FEED || l->waiters_len > 0;
    attempts_lasted(&l->attempts, passed_ms, l->name);
    l->since_ping_ms += passed_ms;
    if (is_waiting && l->silent_ms >= deadline_ms[l->kind] + TICK_MS)
        fail(l, "no answer for %u ms", l->silent_ms);
    else if ((l->kind == LINK_FEED && l->since_ping_ms >= PING_MS) ||
             (l->kind != LINK_BLOCKING && !is_waiting && l->silent_ms >= PING_MS))
        ping(l);
}

static void on_tick(uv_timer_t *timer) {
    struct link *l = container_of(timer, struct link, timer);
    uint64_t passed = uv_now(l->loop) - l->ticked_ms;
    unsigned counted = passed < (uint64_t)2 * TICK_MS ? (unsigned)passed : 2 * TICK_MS;
    l->ticked_ms = uv_now(l->loop);
    l->silent_ms += counted;
    if (l->state == LINK_READY)
        tick_ready(l, counted);
    else if (l->state == LINK_CONNECT)
        connector_tick(&l->connector, counted);
    else if (l->silent_ms >= LOGIN_MS)
        fail(l, "login: no answer for %u ms", l->silent_ms);
}

/* ---- life ---- */

static void begin(uv_timer_t *timer) {
    struct link *l = container_of(timer, struct link, timer);
    const struct redis_host *host = l->url->path[0] == '\0' ? &l->url->hosts[0] : NULL;
    l->is_at_sentinel = l->url->master[0] != '\0';
    l->ticked_ms = uv_now(l->loop);
    uv_timer_start(&l->timer, on_tick, TICK_MS, TICK_MS);
    set_state(l, LINK_CONNECT);
    connector_start(&l->connector, l->is_at_sentinel ? &l->url->hosts[l->sentinel] : host);
}

static void free_if_last(struct link *l) {
    if (l->handles > 0 || !connector_is_closed(&l->connector))
        return;
    connector_deinit(&l->connector);
    buf_deinit(&l->login.out);
    free(l->waiters);
    free(l->name);
    free(l);
}

static void on_closed(struct connector *c) {
    free_if_last(owner_of(c));
}

struct link *link_new(uv_loop_t *loop, const struct redis_url *url, enum link_kind kind,
                      const char *name, const struct link_events *events, void *ctx) {
    static const struct connector_events connector_events = {on_open, on_failed, on_bytes,
                                                             on_writable, on_closed};
    struct link *l = mem_zalloc(sizeof(*l));
    *l = (struct link){.loop = loop,
                       .url = url,
                       .kind = kind,
                       .name = mem_strdup(name),
                       .events = events,
                       .ctx = ctx,
                       .trouble = "not connected yet",
                       .login = {.url = url, .loads_scripts = kind == LINK_COMMANDS},
                       .handles = 2,
                       .sentinels_left = url->master[0] != '\0' ? url->host_count - 1 : 0};
    MUST(uv_timer_init(loop, &l->timer) == 0 && uv_idle_init(loop, &l->turn) == 0);
    connector_init(&l->connector, loop, url, l->name, &connector_events);
    begin(&l->timer);
    return l;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct link *l = handle->type == UV_TIMER
                         ? container_of((uv_timer_t *)handle, struct link, timer)
                         : container_of((uv_idle_t *)handle, struct link, turn);
    l->handles--;
    free_if_last(l);
}

void link_hang_up(struct link *l) {
    if (l == NULL || l->state == LINK_CLOSED)
        return;
    link_close(l);
    while (l->waiters_len > 0)
        answer_waiter(l, NULL);
}

void link_close(struct link *l) {
    if (l == NULL || l->state == LINK_CLOSED)
        return;
    set_state(l, LINK_CLOSED);
    drop_connection(l);
    connector_close(&l->connector);
    uv_close((uv_handle_t *)&l->timer, on_handle_closed);
    uv_close((uv_handle_t *)&l->turn, on_handle_closed);
}
