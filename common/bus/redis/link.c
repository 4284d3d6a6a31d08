/*
 * link.c - the life of a link and its traffic, see link.h; getting there is link_connect.c and
 * link_login.c.
 *
 *     link_send ─▶ out ─▶ on_turn: one stream_write a loop turn ─▶ Redis
 *     link_on_bytes ─▶ hiredis' reader, 16 KiB at a time ─▶ on_reply ─▶ the oldest waiter, or
 * on_push
 *
 * Time is counted in ticks, and a tick counts for two at most: time in which this process did not
 * run (stopped, swapped out) is no silence of Redis'. Read first: on_tick, on_reply, link_fail.
 */
#include "common/bus/redis/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/random.h"
#include "common/bus/redis/link_internal.h"

enum {
    TICK_MS = 250,
    PING_MS = 1000,
    BACKOFF_FIRST_MS = 50,
    BACKOFF_LAST_MS = 2000,
    BACKOFF_CUT_MS = 250, /* the last wait for a connection that was READY and just ended */
    CUTS_MAX = 16,        /* so often in a row; then it is no accident */
    PROVEN_MS = 2000,
    WARN_MS = 5000,
    FEED_MAX = 16 * 1024, /* more makes hiredis' reader quadratic */
    ADOPT_MIN = 64 * 1024,
    OUT_KEEP_MAX = 256 * 1024
};

/* How long Redis may be silent while something is to come from it. */
static const unsigned patience_ms[] = {
    [LINK_RESOLVE] = 5000, [LINK_CONNECT] = 2000, [LINK_ASK] = 2000,
    [LINK_AUTH] = 2000,    [LINK_ROLE] = 2000,    [LINK_LOAD] = 2000};
static const unsigned deadline_ms[] = {
    [LINK_COMMANDS] = 2000, [LINK_FEED] = 3000, [LINK_BLOCKING] = 4000};

/* To recognise the answers to our own PINGs on a feed. */
static const struct bytes ping_mark = {"signalbox-link", 14};

/* ---- states ---- */

#define TO(state) (1u << LINK_##state)
static const unsigned may_follow[] = {[LINK_IDLE] = TO(RESOLVE) | TO(CLOSED),
                                      [LINK_RESOLVE] = TO(CONNECT) | TO(BACKOFF) | TO(CLOSED),
                                      [LINK_CONNECT] =
                                          TO(ASK) | TO(AUTH) | TO(BACKOFF) | TO(CLOSED),
                                      [LINK_ASK] = TO(RESOLVE) | TO(BACKOFF) | TO(CLOSED),
                                      [LINK_AUTH] = TO(ROLE) | TO(BACKOFF) | TO(CLOSED),
                                      [LINK_ROLE] = TO(LOAD) | TO(BACKOFF) | TO(CLOSED),
                                      [LINK_LOAD] = TO(READY) | TO(BACKOFF) | TO(CLOSED),
                                      [LINK_READY] = TO(BACKOFF) | TO(CLOSED),
                                      [LINK_BACKOFF] = TO(RESOLVE) | TO(CLOSED),
                                      [LINK_CLOSED] = 0};
#undef TO

void link_set_state(struct link *l, enum link_state to) {
    MUST(may_follow[l->state] & (1u << to));
    l->state = to;
    l->silent_ms = 0;
}

bool link_is_ready(const struct link *l) {
    return l->state == LINK_READY && l->break_why[0] == '\0';
}

const char *link_run_id(const struct link *l) {
    return l->state == LINK_READY ? l->server.run_id : "";
}

const char *link_server(const struct link *l) {
    return l->state == LINK_READY ? l->server.identity : "";
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

static struct waiter pop_waiter(struct link *l) {
    struct waiter w = l->waiters[l->waiters_at];
    l->waiters_at = (l->waiters_at + 1) % l->waiters_cap;
    l->waiters_len--;
    return w;
}

/* ---- sending ---- */

/* Bytes that leave are a sign of life only while the command we wait for is among them. */
static void note_sent(struct link *l, size_t len) {
    if (l->state != LINK_READY || (l->waiters_len > 0 && l->sent < l->waiters[l->waiters_at].end))
        l->silent_ms = 0;
    l->sent += len;
    l->out_at += len;
}

static void flush(struct link *l) {
    while (l->out_at < l->out.len) {
        size_t len = l->out.len - l->out_at;
        uv_buf_t buf =
            uv_buf_init(l->out.ptr + l->out_at, (unsigned)(len < INT32_MAX ? len : INT32_MAX));
        ssize_t n = stream_write(&l->stream, &buf, 1);
        if (n < 0) {
            link_fail(l, "write: %s", stream_error_text(&l->stream, (int)n));
            return;
        }
        note_sent(l, (size_t)n);
        if ((size_t)n < buf.len)
            return; /* link_on_writable goes on */
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
        link_fail(l, "%s", l->break_why);
    else if (!stream_is_blocked(&l->stream))
        flush(l);
}

/*
 * An idle handle, but one that is active for one turn only: it runs before the loop sleeps wherever
 * the command was queued, even in another prepare handle, after which the loop would not look
 * again.
 */
static void wake(struct link *l) {
    uv_idle_start(&l->turn, on_turn);
}

void link_on_writable(struct link *l) {
    flush(l);
}

void link_queue(struct link *l, struct command *c) {
    struct buf text = command_finish(c);
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
    link_queue(l, c);
    if (l->kind != LINK_FEED)
        push_waiter(l, largest, fn, ctx);
}

size_t link_largest(const struct link *l) {
    return capacity_most(&l->capacity);
}

bool link_takes_now(const struct link *l, size_t bytes) {
    return capacity_may_send(&l->capacity, bytes, l->is_proven);
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
        link_fail(l, "%.*s", BYTES_FMT(bytes_head(reply_bytes(reply), 150)));
        return;
    }
    l->has_succeeded = l->has_succeeded || !reply_is_error(reply, NULL);
    if (l->kind == LINK_FEED) {
        if (!is_own_pong(reply))
            l->events->on_push(l->ctx, reply);
        return;
    }
    if (l->waiters_len == 0) {
        link_fail(l, "an answer came to no question");
        return;
    }
    struct waiter w = pop_waiter(l);
    capacity_answered(&l->capacity, w.largest);
    if (w.fn != NULL)
        w.fn(w.ctx, reply);
}

static void on_reply(struct link *l, struct redisReply *reply) {
    if (reply_is_error(reply, NULL))
        metrics_add(METRIC_redis_errors, 1);
    if (l->state == LINK_READY)
        on_ready_reply(l, reply);
    else
        link_login_reply(l, reply);
}

/* False once a callback has closed or broken the link. */
static bool is_reading(const struct link *l) {
    return stream_is_open(&l->stream) && l->break_why[0] == '\0';
}

static void read_replies(struct link *l) {
    while (is_reading(l)) {
        void *reply = NULL;
        if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
            link_fail(l, "protocol: %s", l->reader->errstr);
            return;
        }
        if (reply == NULL)
            return;
        on_reply(l, reply);
        freeReplyObject(reply);
    }
}

void link_on_bytes(struct link *l, struct bytes in) {
    l->silent_ms = 0;
    while (in.len > 0 && is_reading(l)) {
        struct bytes piece = bytes_head(in, FEED_MAX);
        in = bytes_from(in, piece.len);
        MUST(redisReaderFeed(l->reader, piece.ptr, piece.len) == REDIS_OK);
        read_replies(l);
    }
}

/* ---- time ---- */

static void ping(struct link *l) {
    struct command c = command_begin("PING");
    command_bytes(&c, ping_mark);
    l->since_ping_ms = 0;
    link_send(l, &c, NULL, NULL);
}

/* READY is no proof: what Redis refuses, it refuses right after it. */
static void note_proof(struct link *l, unsigned passed_ms) {
    if (l->is_proven)
        return;
    l->ready_ms += passed_ms;
    l->is_proven = l->ready_ms >= PROVEN_MS && l->has_succeeded;
    if (!l->is_proven)
        return;
    if (l->is_warned)
        log_info("redis", "link_restored link=%s attempts=%u", l->name, l->failures);
    l->failures = 0;
    l->is_warned = false;
    l->warned[0] = '\0';
}

static void tick_ready(struct link *l, unsigned passed_ms) {
    bool is_waiting = l->kind == LINK_FEED || l->waiters_len > 0;
    note_proof(l, passed_ms);
    l->since_ping_ms += passed_ms;
    if (is_waiting && l->silent_ms >= deadline_ms[l->kind] + TICK_MS)
        link_fail(l, "no answer for %u ms", l->silent_ms);
    else if (l->kind == LINK_FEED && l->since_ping_ms >= PING_MS)
        ping(l);
    else if (l->kind == LINK_COMMANDS && !is_waiting && l->silent_ms >= PING_MS)
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
    else if (l->silent_ms < patience_ms[l->state])
        return;
    else if (l->state == LINK_CONNECT)
        link_connect_timeout(l);
    else
        link_fail(l, "%s: no answer for %u ms", l->state == LINK_RESOLVE ? "look up" : "login",
                  l->silent_ms);
}

void link_start_ticking(struct link *l) {
    l->ticked_ms = uv_now(l->loop);
    uv_timer_start(&l->timer, on_tick, TICK_MS, TICK_MS);
}

static void on_wait_over(uv_timer_t *timer) {
    link_begin(container_of(timer, struct link, timer));
}

/* Doubles from failure to failure until a connection proves useful; 30 % off either way, so that a
 * fleet does not come at once. A connection that did work and was merely cut is made anew sooner.
 * The next sentinel is asked without a wait. */
static unsigned next_wait_ms(struct link *l, bool was_cut) {
    if (l->sentinels_left > 0) {
        l->sentinels_left--;
        return 0;
    }
    l->sentinels_left = l->url->master[0] != '\0' ? l->url->host_count - 1 : 0;
    bool is_accident = was_cut && l->failures < CUTS_MAX;
    unsigned ms = BACKOFF_FIRST_MS, last = is_accident ? BACKOFF_CUT_MS : BACKOFF_LAST_MS;
    for (unsigned i = 0; i < l->failures && ms < last; i++)
        ms *= 2;
    ms = ms < last ? ms : last;
    l->failures++;
    return ms * 7 / 10 + (unsigned)random_below(ms * 6 / 10 + 1);
}

/* ---- the end of a connection, and its beginning ---- */

/* Numbers change from attempt to attempt, and are no news. */
static bool is_same_trouble(const char *a, const char *b) {
    static const char digits[] = "0123456789";
    while (*a != '\0' && *b != '\0') {
        a += strspn(a, digits);
        b += strspn(b, digits);
        size_t len = strcspn(a, digits);
        if (len != strcspn(b, digits) || memcmp(a, b, len) != 0)
            return false;
        a += len;
        b += len;
    }
    return *a == *b;
}

/* A state, not an event: one line until the link is proven again or fails for another reason. */
static void log_failure(struct link *l) {
    uint64_t now = uv_now(l->loop);
    bool is_known =
        l->is_warned && (is_same_trouble(l->trouble, l->warned) || now - l->warned_ms < WARN_MS);
    if (is_known) {
        log_debug("redis", "link_failed link=%s why=%s", l->name, LOG_TEXT(bytes_str(l->trouble)));
        return;
    }
    l->warned_ms = now;
    l->is_warned = true;
    snprintf(l->warned, sizeof(l->warned), "%s", l->trouble);
    log_warn("redis", "link_failed link=%s why=%s", l->name, LOG_TEXT(bytes_str(l->trouble)));
}

/* It may quote Redis, and goes into logs and answers of HTTP. */
static void make_printable(char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void link_drop_connection(struct link *l) {
    if (l->has_stream)
        stream_abort(&l->stream);
    uv_idle_stop(&l->turn);
    buf_release(&l->out);
    if (l->reader != NULL)
        redisReaderFree(l->reader);
    l->reader = NULL;
    l->break_why[0] = '\0';
}

/* Callbacks may close the link: then it is CLOSED, and nobody is told any more. */
static void tell_down(struct link *l) {
    while (l->waiters_len > 0 && l->state != LINK_CLOSED) {
        struct waiter w = pop_waiter(l);
        if (w.fn != NULL)
            w.fn(w.ctx, NULL);
    }
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

void link_fail(struct link *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(l->trouble, sizeof(l->trouble), format, args);
    va_end(args);
    make_printable(l->trouble);
    blame(l);
    bool was_ready = l->state == LINK_READY, was_cut = was_ready && !l->was_refused;
    link_set_state(l, LINK_BACKOFF);
    link_drop_connection(l);
    if (l->url->master[0] != '\0')
        l->sentinel = (l->sentinel + 1) % l->url->host_count;
    uv_timer_start(&l->timer, on_wait_over, next_wait_ms(l, was_cut), 0);
    log_failure(l);
    if (was_ready)
        tell_down(l);
}

void link_connected(struct link *l) {
    l->reader = redisReaderCreate();
    MUST(l->reader != NULL);
    l->out_at = 0;
    l->queued = l->sent = 0;
    l->login_replies = 0;
    link_login(l);
}

void link_became_ready(struct link *l) {
    link_set_state(l, LINK_READY);
    l->trouble[0] = '\0';
    l->is_proven = l->has_succeeded = l->was_refused = false;
    l->ready_ms = l->since_ping_ms = 0;
    if (l->was_ready)
        metrics_add(METRIC_redis_reconnects, 1);
    log_debug("redis", "link_made link=%s", l->name);
    l->was_ready = true;
    l->events->on_ready(l->ctx);
}

/* ---- life ---- */

struct link *link_new(uv_loop_t *loop, const struct redis_url *url, enum link_kind kind,
                      const char *name, const struct link_events *events, void *ctx) {
    struct link *l = mem_zalloc(sizeof(*l));
    l->loop = loop;
    l->url = url;
    l->kind = kind;
    l->name = mem_strdup(name);
    l->events = events;
    l->ctx = ctx;
    l->sentinels_left = url->master[0] != '\0' ? url->host_count - 1 : 0;
    snprintf(l->trouble, sizeof(l->trouble), "not connected yet");
    MUST(uv_timer_init(loop, &l->timer) == 0 && uv_idle_init(loop, &l->turn) == 0);
    l->handles = 2;
    link_begin(l);
    return l;
}

static void free_if_last(struct link *l) {
    if (l->handles > 0 || l->has_stream)
        return;
    link_connect_deinit(l);
    free(l->waiters);
    free(l->name);
    free(l);
}

void link_on_stream_closed(struct link *l) {
    free_if_last(l);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct link *l = container_of((uv_timer_t *)handle, struct link, timer);
    l->handles--;
    free_if_last(l);
}

static void on_turn_closed(uv_handle_t *handle) {
    struct link *l = container_of((uv_idle_t *)handle, struct link, turn);
    l->handles--;
    free_if_last(l);
}

static void answer_nothing(struct link *l) {
    while (l->waiters_len > 0) {
        struct waiter w = pop_waiter(l);
        if (w.fn != NULL)
            w.fn(w.ctx, NULL);
    }
}

void link_hang_up(struct link *l) {
    if (l == NULL || l->state == LINK_CLOSED)
        return;
    link_close(l);
    answer_nothing(l);
}

void link_close(struct link *l) {
    if (l == NULL || l->state == LINK_CLOSED)
        return;
    link_set_state(l, LINK_CLOSED);
    link_drop_connection(l);
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
    uv_close((uv_handle_t *)&l->turn, on_turn_closed);
}
