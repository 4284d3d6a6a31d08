/* post.c - see post.h. Read post_take, go_on, on_outcome. */
#include "gateway/routes/post.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/app/registrations/registrations.h"
#include "common/base/close_reason.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/random.h"
#include "common/base/settings.h"
#include "common/base/table.h"
#include "common/base/utf8.h"
#include "common/bus/bus.h"
#include "common/bus/log/answers.h"
#include "common/bus/log/publish.h"
#include "common/bus/log/watch.h"
#include "common/bus/partition.h"
#include "common/http/http_string.h"
#include "gateway/conn/peers.h"
#include "gateway/conn/rate.h"
#include "gateway/conn/request.h"
#include "gateway/routes/reference.h"
#include "gateway/routes/request_session.h"
#include "gateway/routes/upgrade.h"
#include "gateway/session/client.h"

#define ONCE_HEADER "Idempotency-Key"

enum { TICK_MS = 500, IDLE_MS = 2000 /* then every rate has recovered */ };

struct post {
    TAILQ_ENTRY(post) link;
    struct poster *poster;
    struct request *request;
    char *once;        /* what its Idempotency-Key means, or NULL */
    uint64_t number;   /* of its outcome; 0: it was not handed on yet */
    UT_hash_handle hh; /* by number, once it was */
    uint64_t began_ms;
};

/* A connection, here or elsewhere, whose messages come by POST to this gateway. */
struct poster {
    struct posts *owner;
    UT_hash_handle hh;
    struct client *client;   /* joins no Name and has no registration: that is elsewhere */
    TAILQ_HEAD(, post) list; /* the first one is under way, unless it is held */
    size_t count;
    unsigned held; /* enum hold */
    struct rate rate, byte_rate;
    uint64_t free_ms; /* until then its rate is used up */
    uint64_t used_ms; /* when it was last used */
};

struct posts {
    uv_loop_t *loop;
    struct bus *bus;
    const struct client_host *host;
    struct poster *table;   /* by connection value */
    struct post *handed_on; /* by number */
    uint64_t wait_ms, last_number;
    char token[17]; /* outcomes are reported under it */
    uv_timer_t tick;
};

/* ---- answers */

static void leave(struct post *post) {
    struct posts *all = post->poster->owner;
    if (post->number != 0)
        HASH_DEL(all->handed_on, post);
    TAILQ_REMOVE(&post->poster->list, post, link);
    post->poster->count--;
    request_worked(post->request);
    free(post->once);
    free(post);
}

static void refuse_request(struct request *r, int status, const char *why) {
    metrics_add(METRIC_posts_refused, 1);
    request_refuse(r, status, why);
}

static void refuse(struct post *post, int status, const char *why) {
    refuse_request(post->request, status, why);
    leave(post);
}

static void confirm(struct post *post, struct message_id id) {
    char id_text[MESSAGE_ID_TEXT];
    struct buf body = {0};
    if (message_id_is_none(id))
        buf_append_str(&body, "{\"id\":null}\n");
    else
        buf_printf(&body, "{\"id\":\"%s\"}\n", message_id_format(id, id_text));
    request_reply(post->request, 202, BYTES_LIT("application/json"), buf_bytes(&body));
    buf_deinit(&body);
    leave(post);
}

/* ---- one after the other */

static bool is_binary(const struct request *r) {
    struct bytes type = http_head_find(&r->head, "Content-Type");
    return bytes_equal_nocase(bytes_trim(bytes_split(&type, ';')),
                              BYTES_LIT("application/octet-stream"));
}

static void hand_on(struct post *post) {
    struct poster *poster = post->poster;
    struct posts *all = poster->owner;
    struct request *r = post->request;
    struct buf session = {0}, reply = {0};
    post->number = ++all->last_number;
    HASH_ADD_KEYPTR(hh, all->handed_on, &post->number, sizeof(post->number), post);
    request_session_encode(&session, r, bytes_str(r->signal->data));
    buf_printf(&reply, "%s:%llu", all->token, (unsigned long long)post->number);
    struct said said = {
        .is_binary = is_binary(r),
        .body = r->body,
        .session = buf_bytes(&session),
        .reply = buf_bytes(&reply),
        .once = post->once != NULL ? bytes_str(post->once) : BYTES_NONE,
    };
    metrics_add(METRIC_posted_messages, 1);
    poster->client->host->events->on_message(poster->client->host->ctx, poster->client, &said);
    buf_deinit(&session);
    buf_deinit(&reply);
}

/* A post may be answered within hand_on. */
static void go_on(struct poster *poster) {
    struct post *first;
    while (poster->held == 0 && (first = TAILQ_FIRST(&poster->list)) != NULL && first->number == 0)
        hand_on(first);
}

static void on_tick(uv_timer_t *timer);

/* In a turn of its own. */
static void go_on_soon(struct poster *poster) {
    MUST(uv_timer_start(&poster->owner->tick, on_tick, 0, TICK_MS) == 0);
}

/* ---- what a transport is to the uplink */

/* The message that is under way is refused. One that waited for room has left the queue by then. */
static void on_close(void *carrier, const struct transport_end *end) {
    struct poster *poster = carrier;
    struct post *first = TAILQ_FIRST(&poster->list);
    bool is_too_big = end->code == close_reason_code(CLOSE_TOO_BIG);
    if (first != NULL && first->number != 0)
        refuse(first, is_too_big ? 413 : 503,
               close_reason_text(is_too_big ? CLOSE_TOO_BIG : CLOSE_UNAVAILABLE));
    if (poster->client->blocked == NULL)
        poster->held &= ~(unsigned)HOLD_ROOM;
    go_on_soon(poster);
}

static void on_hold(void *carrier, enum hold why) {
    struct poster *poster = carrier;
    poster->held |= (unsigned)why;
}

static void on_release(void *carrier, enum hold why) {
    struct poster *poster = carrier;
    poster->held &= ~(unsigned)why;
    go_on_soon(poster);
}

static const struct transport transport = {
    .close = on_close, .hold = on_hold, .release = on_release};

/* ---- who posts */

static struct poster *poster_of(struct posts *p, const struct request *r) {
    const struct signal_reference *s = r->signal;
    struct bytes value = bytes_str(s->value);
    struct poster *poster;
    struct conn_value v;
    HASH_FIND(hh, p->table, value.ptr, value.len, poster);
    if (poster != NULL)
        return poster;
    MUST(conn_value_parse(value, &v));
    struct identity who = {.name = bytes_str(s->name),
                           .group = v.group,
                           .client_id = bytes_str(s->client_id),
                           .value = value,
                           .number = v.number,
                           .connected_ms = v.connected_ms};
    poster = mem_zalloc(sizeof(*poster));
    poster->owner = p;
    poster->client = client_new(p->host, &who, WIRE_SSE);
    poster->client->transport = &transport;
    poster->client->carrier = poster;
    poster->client->partition = partition_of(who.name, bus_partitions(p->bus));
    TAILQ_INIT(&poster->list);
    HASH_ADD_KEYPTR(hh, p->table, poster->client->who.value.ptr, poster->client->who.value.len,
                    poster);
    if (!uv_is_active((uv_handle_t *)&p->tick))
        go_on_soon(poster);
    return poster;
}

static void forget(struct poster *poster) {
    struct client *client = poster->client;
    HASH_DEL(poster->owner->table, poster);
    client->host->events->on_left(client->host->ctx, client);
    client_unref(client);
    free(poster);
}

/* Spends of its rates; what is over them is waited for by the next. */
static void spend(struct poster *poster, const struct request *r, uint64_t now_ms) {
    const struct settings *s = poster->client->host->settings;
    bool is_local = ip_is_local(r->remote);
    uint64_t wait_us = 0, wait_bytes_us = 0;
    if (s->max_messages_per_second > 0 &&
        !peers_is_spared(s, &s->max_messages_per_second, is_local))
        wait_us = rate_take(&poster->rate, now_ms * 1000, (uint64_t)s->max_messages_per_second);
    if (s->max_message_bytes_per_second > 0 &&
        !peers_is_spared(s, &s->max_message_bytes_per_second, is_local))
        wait_bytes_us = rate_take_bytes(&poster->byte_rate, now_ms * 1000, r->body.len,
                                        (uint64_t)s->max_message_bytes_per_second);
    if (wait_us < wait_bytes_us)
        wait_us = wait_bytes_us;
    poster->free_ms = now_ms + (wait_us + 999) / 1000;
}

/* ---- taking one */

bool post_is(const struct request *r) {
    return bytes_equal_str(r->head.method, "POST") && reference_is_given(r);
}

/* Without an id of its own, a route makes connections whose id is random: it must not speak for
 * one to which another route gave a name, as that of a user. */
static bool is_id_of_route(const struct request *r, const struct upgrade_options *o) {
    struct bytes theirs = bytes_str(r->signal->client_id);
    struct buf id = {0};
    if (o->client_id.len == 0)
        return random_is_uuid(signing_raw(theirs));
    bool is_it = bytes_equal(o->client_id, theirs) ||
                 (upgrade_decide_id(r, o, &id).text == NULL && bytes_equal(buf_bytes(&id), theirs));
    buf_deinit(&id);
    return is_it;
}

/* Whether what the route would convert to is the connection of the headers, as far as it says. Of
 * its groups the first counts, as it was then: they may have changed. */
static bool is_of_route(const struct request *r, const struct upgrade_options *o) {
    struct upgrade_groups groups;
    struct conn_value v;
    return o->scope == SCOPE_GLOBAL && upgrade_groups(o, &groups) == NULL &&
           conn_value_parse(bytes_str(r->signal->value), &v) &&
           (o->name.len == 0 || bytes_equal_str(o->name, r->signal->name)) &&
           (groups.count == 0 || bytes_equal(groups.items[0], v.group)) && is_id_of_route(r, o);
}

/* What the Idempotency-Key means, if there is one. NULL, or what is wrong with it. */
static const char *read_once(const struct http_head *head, struct buf *out) {
    size_t count = http_head_count(head, ONCE_HEADER);
    if (count == 0)
        return NULL;
    if (count > 1)
        return ONCE_HEADER ": is given twice";
    if (!http_string_read(http_head_find(head, ONCE_HEADER), out))
        return ONCE_HEADER ": " HTTP_STRING_FAULT;
    if (!answer_id_is_valid(buf_bytes(out)) || !utf8_is_valid(buf_bytes(out)))
        return ONCE_HEADER ": " ANSWER_ID_RULE;
    return NULL;
}

/* Whether somebody waits here for the answer to the same. What comes again after its client has
 * gone waits for its turn, and gets the answer of the first time. */
static bool is_under_way(const struct poster *poster, struct bytes once) {
    const struct post *post;
    if (once.len == 0)
        return false;
    TAILQ_FOREACH (post, &poster->list, link)
        if (post->request->conn != NULL && post->once != NULL && bytes_equal_str(once, post->once))
            return true;
    return false;
}

/* The status of a refusal, or 0. */
static int judge(const struct posts *p, const struct request *r, const struct upgrade_options *o,
                 struct buf *once_out, const char **why_out) {
    if (r->signal->value == NULL || !is_of_route(r, o)) {
        *why_out = "this route is not the one of that signal connection: post to the same URL, as "
                   "the same user";
        return 403;
    }
    if (r->body.len > (size_t)p->host->settings->max_message_bytes) {
        *why_out = close_reason_text(CLOSE_TOO_BIG);
        return 413;
    }
    if (!is_binary(r) && !utf8_is_valid(r->body)) {
        *why_out = close_reason_text(CLOSE_BAD_UTF8);
        return 400;
    }
    *why_out = read_once(&r->head, once_out);
    return *why_out != NULL ? 400 : 0;
}

/* Likewise, of what may pass. */
static int judge_now(const struct poster *poster, struct bytes once, uint64_t now_ms,
                     const char **why_out) {
    if (now_ms < poster->free_ms)
        *why_out = close_reason_text(CLOSE_RATE);
    else if (poster->count == POSTS_WAITING_MAX)
        *why_out = "too many messages of this connection wait for their answers";
    else
        *why_out = NULL;
    if (*why_out != NULL)
        return 429;
    if (!is_under_way(poster, once))
        return 0;
    *why_out = "the message with this Idempotency-Key is still being handled";
    return 409;
}

static void take(struct poster *poster, struct request *r, struct buf *once) {
    uint64_t now_ms = uv_now(poster->owner->loop);
    spend(poster, r, now_ms);
    struct post *post = mem_zalloc(sizeof(*post));
    *post = (struct post){.poster = poster, .request = r, .began_ms = now_ms};
    if (once->len > 0)
        post->once = bytes_dup(buf_bytes(once));
    request_set_state(r, REQUEST_CLAIMED);
    request_work(r);
    TAILQ_INSERT_TAIL(&poster->list, post, link);
    poster->count++;
    go_on(poster);
}

void post_take(struct posts *p, struct request *r, const struct upgrade_options *o) {
    struct buf once = {0};
    struct poster *poster = NULL;
    const char *why;
    int status = judge(p, r, o, &once, &why);
    if (status == 0) {
        poster = poster_of(p, r);
        client_set_groups(poster->client, texts_list(&r->signal->groups));
        poster->used_ms = uv_now(p->loop);
        status = judge_now(poster, buf_bytes(&once), poster->used_ms, &why);
    }
    if (status == 0)
        take(poster, r, &once);
    else
        refuse_request(r, status, why);
    buf_deinit(&once);
}

/* ---- outcomes */

static void on_outcome(void *ctx, struct bytes payload) {
    struct posts *p = ctx;
    struct outcome o;
    struct post *post = NULL;
    if (outcome_parse(payload, &o))
        HASH_FIND(hh, p->handed_on, &o.number, sizeof(o.number), post);
    if (post == NULL)
        return;
    struct poster *poster = post->poster;
    if (o.status == 202) {
        confirm(post, o.id);
    } else {
        char *text = bytes_dup(o.text);
        refuse(post, o.status, text);
        free(text);
    }
    go_on(poster);
}

/* ---- time */

/* No outcome has come. */
static void give_up(struct post *post) {
    struct client *client = post->poster->client;
    if (post->number == 0 || client->host->events->take_back(client->host->ctx, client)) {
        post->poster->held &= ~(unsigned)HOLD_ROOM;
        refuse(post, 503, close_reason_text(CLOSE_UNAVAILABLE));
    } else if (!LIST_EMPTY(&client->passages)) {
        refuse(post, 504, "Redis has not confirmed the message, which may still be handled");
    } else {
        confirm(post, MESSAGE_ID_NONE);
    }
}

static void look_at(struct poster *poster, uint64_t now_ms) {
    struct post *first;
    while ((first = TAILQ_FIRST(&poster->list)) != NULL &&
           now_ms - first->began_ms >= poster->owner->wait_ms)
        give_up(first);
    go_on(poster);
    if (poster->count == 0 && now_ms - poster->used_ms >= IDLE_MS && now_ms >= poster->free_ms)
        forget(poster);
}

static void on_tick(uv_timer_t *timer) {
    struct posts *p = container_of(timer, struct posts, tick);
    struct poster *poster, *next;
    HASH_ITER (hh, p->table, poster, next)
        look_at(poster, uv_now(p->loop));
    if (p->table == NULL)
        uv_timer_stop(timer);
}

/* ---- begin and end */

struct posts *posts_new(uv_loop_t *loop, struct bus *bus, const struct client_host *host,
                        uint64_t wait_ms) {
    static const struct channel_events events = {.on_message = on_outcome};
    struct posts *p = mem_zalloc(sizeof(*p));
    *p = (struct posts){.loop = loop, .bus = bus, .host = host, .wait_ms = wait_ms};
    random_id(p->token);
    MUST(uv_timer_init(loop, &p->tick) == 0);
    watch_receipts(bus, p->token, &events, p);
    return p;
}

static void on_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct posts, tick));
}

void posts_free(struct posts *p) {
    struct poster *poster, *next;
    HASH_ITER (hh, p->table, poster, next) {
        while (!TAILQ_EMPTY(&poster->list))
            leave(TAILQ_FIRST(&poster->list));
        forget(poster);
    }
    watch_receipts_end(p->bus, p->token);
    uv_close((uv_handle_t *)&p->tick, on_closed);
}
