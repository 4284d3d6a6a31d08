/* publisher.c - see publisher.h. */
#include "tests/world/story/publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"
#include "tests/world/network.h"
#include "tests/world/story/books.h"
#include "tests/world/story/cast.h"
#include "tests/world/story/client.h"
#include "tests/world/story/ws_wire.h"

enum { PUBLISHER_MAX = 16, ANSWER_MAX = 4096 };

struct publisher {
    enum entrance entrance;
    unsigned number, life, gateway;
    uint64_t every_us;
    struct dice dice;
    char host[24], lane[TOKEN_MAX];
    struct sock *sock;
    char answer[ANSWER_MAX]; /* of Redis */
    size_t answer_len;
    struct ws_wire wire; /* an answer over HTTP */
    char *out;
    size_t out_len, out_done;
    bool is_at_it; /* `sent` is not done */
    unsigned sent;
    struct event next, patience;
    int to_say[NAME_COUNT + 1];
    unsigned to_say_count;
};

static struct publisher publishers[PUBLISHER_MAX];
static unsigned publisher_count, gateway_count, broker_count;
static bool is_hushed;

static void begin_message(struct publisher *p);
static void try_it(struct publisher *p);

void publishers_begin(unsigned gateways, unsigned brokers) {
    gateway_count = gateways;
    broker_count = brokers;
    publisher_count = 0;
    is_hushed = false;
}

static bool is_over_redis(const struct publisher *p) {
    return p->entrance <= ENTRANCE_CHANNEL;
}

static bool has_key(const struct publisher *p) {
    return p->entrance == ENTRANCE_KEYED || p->entrance == ENTRANCE_ADMIN;
}

/* ---- the end of a try */

static void hang_up(struct publisher *p) {
    if (p->sock != NULL)
        sock_close(p->sock);
    p->sock = NULL;
    p->answer_len = 0;
    ws_wire_deinit(&p->wire);
}

static void on_next(struct event *e) {
    struct publisher *p = container_of(e, struct publisher, next);
    if (p->is_at_it)
        try_it(p);
    else
        begin_message(p);
}

static void done(struct publisher *p, bool is_accepted) {
    event_cancel(&p->patience);
    p->is_at_it = false;
    if (is_accepted)
        books_accept(p->sent);
    sim_log(p->lane, "m%u %s", p->sent, is_accepted ? "is accepted" : "has no word");
    if (p->to_say_count > 0)
        event_set(&p->next, sim_now_us() + SIM_MS, on_next);
    else if (!is_hushed && p->every_us > 0)
        event_set(&p->next, sim_now_us() + dice_between(&p->dice, 1, 2 * p->every_us), on_next);
}

/* is_known: it was certainly not taken. */
static void failed(struct publisher *p, bool is_known) {
    event_cancel(&p->patience);
    hang_up(p);
    if (!has_key(p) && !is_known)
        return done(p, false);
    event_set(&p->next, sim_now_us() + dice_between(&p->dice, 50 * SIM_MS, 500 * SIM_MS), on_next);
}

static void on_patience(struct event *e) {
    failed(container_of(e, struct publisher, patience), false);
}

/* ---- answers */

/* The first line is all that matters; a bulk string has one more, which is awaited. */
static void take_redis(struct publisher *p, const char *bytes, size_t len) {
    if (p->answer_len + len >= ANSWER_MAX)
        return violate("I8", "%s: a long answer of Redis", p->lane);
    memcpy(p->answer + p->answer_len, bytes, len);
    p->answer_len += len;
    p->answer[p->answer_len] = '\0';
    const char *end = strstr(p->answer, "\r\n");
    if (end == NULL || (p->answer[0] == '$' && strstr(end + 2, "\r\n") == NULL))
        return;
    p->answer_len = 0;
    if (p->answer[0] == '-') {
        sim_log(p->lane, "m%u: %.*s", p->sent, (int)(end - p->answer), p->answer);
        failed(p, true);
    } else {
        done(p, p->entrance != ENTRANCE_CHANNEL);
    }
}

static void take_http(struct publisher *p, const char *bytes, size_t len) {
    ws_wire_take(&p->wire, bytes, len);
    struct ws_event e = ws_wire_next(&p->wire);
    if (e.what == WS_NOTHING)
        return;
    if (e.what != WS_ANSWER || (e.code != 202 && e.code != 503 && e.code != 500))
        return violate("I8", "%s: %d %.*s", p->lane, e.code, (int)e.len, e.bytes);
    if (e.code != 202) {
        sim_log(p->lane, "m%u: %d %.*s", p->sent, e.code, (int)e.len, e.bytes);
        return failed(p, false);
    }
    hang_up(p);
    if (p->entrance == ENTRANCE_HANDLER)
        books.sent[p->sent].by_gateway = p->gateway + 1;
    done(p, p->entrance == ENTRANCE_ADMIN);
}

static void on_data(struct sock *s, const char *bytes, size_t len) {
    struct publisher *p = sock_ctx(s);
    if (!p->is_at_it)
        return;
    if (is_over_redis(p))
        take_redis(p, bytes, len);
    else
        take_http(p, bytes, len);
}

static void on_end(struct sock *s, int status) {
    struct publisher *p = sock_ctx(s);
    (void)status;
    if (p->is_at_it && !event_is_set(&p->next))
        failed(p, false);
    else
        hang_up(p);
}

/* ---- a try */

static void flush(struct publisher *p) {
    while (p->out_done < p->out_len) {
        long taken = sock_write(p->sock, p->out + p->out_done, p->out_len - p->out_done);
        if (taken <= 0)
            return;
        p->out_done += (size_t)taken;
    }
}

static void on_drain(struct sock *s) {
    flush(sock_ctx(s));
}

static void on_open(struct sock *s, int status) {
    struct publisher *p = sock_ctx(s);
    if (status != 0)
        return failed(p, true);
    flush(p);
}

static const struct sock_events publisher_events = {
    .on_open = on_open, .on_data = on_data, .on_drain = on_drain, .on_end = on_end};

static void pack(struct publisher *p) {
    const struct sent *s = &books.sent[p->sent];
    char json[4096], key[48] = "", name[96] = "";
    struct dice filler = dice_new(sim_seed(), 5000 + p->sent);
    char *data = books_text(p->sent, dice_skewed(&filler, 1, 2000));
    if (s->name != NAME_EVERY)
        snprintf(name, sizeof(name), "\"name\":\"%s\",", book_names[s->name]);
    if (s->reach == TO_GROUP)
        snprintf(name + strlen(name), 48, "\"group\":\"%s\",", s->whom);
    if (p->entrance == ENTRANCE_KEYED)
        snprintf(key, sizeof(key), ",\"id\":\"k%u\"", p->sent);
    size_t len = (size_t)snprintf(json, sizeof(json), "{%s\"data\":\"%s\"%s}", name, data, key);
    p->out = realloc(p->out, 8192);
    p->out_done = 0;
    if (p->entrance == ENTRANCE_CHANNEL)
        p->out_len = (size_t)snprintf(
            p->out, 8192, "*3\r\n$7\r\nPUBLISH\r\n$14\r\nsignalbox:send\r\n$%zu\r\n%s\r\n", len,
            json);
    else if (is_over_redis(p))
        p->out_len = (size_t)snprintf(
            p->out, 8192,
            "*5\r\n$4\r\nXADD\r\n$14\r\nsignalbox:send\r\n$1\r\n*\r\n$1\r\nm\r\n$%zu\r\n%s\r\n",
            len, json);
    else if (p->entrance == ENTRANCE_ADMIN)
        p->out_len = (size_t)snprintf(p->out, 8192,
                                      "POST /send HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: "
                                      "Bearer world-token-0123456789\r\n"
                                      "Idempotency-Key: k%u\r\nContent-Type: "
                                      "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                      p->sent, len, json);
    else
        p->out_len = (size_t)snprintf(
            p->out, 8192, "POST /say/%s HTTP/1.1\r\nHost: world\r\nContent-Length: %zu\r\n\r\n%s",
            book_names[s->name], strlen(data), data);
    free(data);
}

static void address_of(struct publisher *p, char out[32]) {
    unsigned at = (unsigned)dice_below(&p->dice, gateway_count + broker_count);
    p->gateway = (unsigned)dice_below(&p->dice, gateway_count);
    if (is_over_redis(p))
        snprintf(out, 32, "%s", REDIS_ADDRESS);
    else if (p->entrance == ENTRANCE_HANDLER)
        snprintf(out, 32, "%s", gateway_address(p->gateway));
    else if (at < gateway_count)
        snprintf(out, 32, "10.0.1.%u:9090", at + 1);
    else
        snprintf(out, 32, "10.0.2.%u:9090", at - gateway_count + 1);
}

static void try_it(struct publisher *p) {
    char to[32];
    event_set(&p->patience, sim_now_us() + 4 * SIM_SECOND, on_patience);
    pack(p);
    if (p->sock != NULL)
        return flush(p);
    address_of(p, to);
    if (!has_key(p)) { /* what was sent before may still be on its way over the old connection */
        snprintf(p->lane, sizeof(p->lane), "p%u.%u", p->number, ++p->life);
        snprintf(books.sent[p->sent].lane, TOKEN_MAX, "%s", p->lane);
    }
    p->sock = sock_connect(NULL, p->host, to, &publisher_events, p);
}

static void begin_message(struct publisher *p) {
    enum reach reach = TO_NAME;
    const char *whom = "";
    int name = (int)dice_below(&p->dice, NAME_COUNT);
    if (p->to_say_count == 0 && books_are_full())
        return;
    if (p->to_say_count > 0) {
        name = p->to_say[--p->to_say_count];
        reach = name == NAME_EVERY ? TO_EVERY : TO_NAME;
    } else if (p->entrance != ENTRANCE_HANDLER && dice_chance(&p->dice, 50000) &&
               !books.is_each_by_name) {
        reach = TO_EVERY, name = NAME_EVERY;
    } else if (p->entrance != ENTRANCE_HANDLER && dice_chance(&p->dice, 50000)) {
        reach = TO_GROUP, whom = dice_chance(&p->dice, 500000) ? "red" : "blue";
    }
    if (p->entrance == ENTRANCE_CHANNEL) /* which keeps no order */
        snprintf(p->lane, sizeof(p->lane), "p%u.%u", p->number, ++p->life);
    p->is_at_it = true;
    p->sent = books_send(reach, name, whom, p->lane);
    books.sent[p->sent].is_published = p->entrance == ENTRANCE_CHANNEL;
    sim_log(p->lane, "sends m%u to %s %s", p->sent, name == NAME_EVERY ? "every" : book_names[name],
            whom);
    try_it(p);
}

void publisher_new(enum entrance entrance, uint64_t every_us) {
    struct publisher *p = &publishers[publisher_count];
    *p = (struct publisher){.entrance = entrance, .every_us = every_us, .number = publisher_count};
    p->dice = dice_new(sim_seed(), 3000 + publisher_count);
    snprintf(p->host, sizeof(p->host), "10.2.0.%u", publisher_count + 1);
    snprintf(p->lane, sizeof(p->lane), "p%u", publisher_count);
    publisher_count++;
    if (every_us > 0)
        event_set(&p->next, sim_now_us() + dice_between(&p->dice, 1, 2 * every_us), on_next);
}

void publishers_hush(void) {
    is_hushed = true;
    for (unsigned i = 0; i < publisher_count; i++) {
        if (!publishers[i].is_at_it)
            event_cancel(&publishers[i].next);
    }
}

bool publishers_are_idle(void) {
    for (unsigned i = 0; i < publisher_count; i++) {
        if (publishers[i].is_at_it || publishers[i].to_say_count > 0)
            return false;
    }
    return true;
}

void publishers_say_all(void) {
    struct publisher *p = &publishers[publisher_count - 1];
    for (int name = NAME_EVERY; name < NAME_COUNT; name++)
        p->to_say[p->to_say_count++] = name;
    event_set(&p->next, sim_now_us() + SIM_MS, on_next);
}
