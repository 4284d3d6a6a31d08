/* client.c - see client.h. */
#include "tests/world/story/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/world/network.h"
#include "tests/world/story/plan.h"
#include "tests/world/story/ws_wire.h"

struct line {
    struct client *client; /* whose it is, also when that one uses another by now */
    struct sock *sock;
    struct ws_wire wire;
    struct meeting *meeting;
    char *out;
    size_t out_len, out_room;
    bool has_closed; /* a Close was sent */
    bool must_echo;  /* `last_said` is for itself, and comes before the answer to its Close */
    unsigned last_said;
    uint64_t talked_us; /* when it said something last */
    uint64_t heard_us;
    struct event watch;
    unsigned local_next;
};

struct client clients[CLIENT_MAX];
unsigned client_count;
static unsigned gateway_count;
static bool is_talk_time;

static void line_open(struct client *c);
static void on_next(struct event *e);
static void plan_leave(struct client *c);

void clients_begin(unsigned gateways) {
    gateway_count = gateways;
    client_count = 0;
    is_talk_time = false;
}

void clients_forget(unsigned count) {
    for (unsigned i = count; i < client_count; i++)
        event_cancel(&clients[i].next);
    client_count = count;
}

const char *gateway_address(unsigned gateway) {
    static char text[32];
    snprintf(text, sizeof(text), "10.0.1.%u:8091", gateway + 1);
    return text;
}

/* ---- bytes out */

static void line_flush(struct line *l) {
    while (l->out_len > 0) {
        long taken = sock_write(l->sock, l->out, l->out_len);
        if (taken <= 0)
            return; /* on_drain or on_end follows */
        memmove(l->out, l->out + taken, l->out_len - (size_t)taken);
        l->out_len -= (size_t)taken;
    }
}

static void line_write(struct line *l, const char *bytes, size_t len) {
    if (l->out_len + len > l->out_room) {
        l->out_room = 2 * (l->out_len + len);
        l->out = realloc(l->out, l->out_room);
    }
    memcpy(l->out + l->out_len, bytes, len);
    l->out_len += len;
    line_flush(l);
}

static void line_frame(struct line *l, bool is_final, int opcode, const char *bytes, size_t len) {
    size_t size;
    char *frame = ws_frame(&l->client->dice, is_final, opcode, bytes, len, &size);
    line_write(l, frame, size);
    free(frame);
}

/* In two fragments now and then. */
static void line_message(struct line *l, const char *text) {
    size_t len = strlen(text), half = len / 2;
    if (!dice_chance(&l->client->dice, 100000))
        return line_frame(l, true, WS_OP_TEXT, text, len);
    line_frame(l, false, WS_OP_TEXT, text, half);
    line_frame(l, true, 0, text + half, len - half);
}

/* ---- the end of a connection */

static void come_again(struct client *c) {
    uint64_t most_us = c->options.is_passenger && !c->is_hushed ? 3 * SIM_SECOND : SIM_SECOND;
    if (!c->is_absent)
        event_set(&c->next, sim_now_us() + dice_skewed(&c->dice, 20 * SIM_MS, most_us), on_next);
}

enum farewell { BY_CLOSE, BY_RESET, BY_SILENCE /* the peer's end is already known */ };

static void line_end(struct line *l, int code, bool is_own) {
    struct meeting *m = l->meeting;
    struct client *c = l->client;
    m->ended_us = sim_now_us();
    m->code = code;
    m->is_own_end = is_own;
    sim_log(c->id, "%s ended: %d%s", m->token, code, is_own ? ", its own end" : "");
    if (c->line == l) {
        c->line = NULL;
        event_cancel(&c->talk);
        come_again(c);
    }
    event_cancel(&l->watch);
    ws_wire_deinit(&l->wire);
    free(l->out);
    free(l);
}

/* The client ends it. */
static void line_leave(struct line *l, enum farewell how) {
    struct sock *s = l->sock;
    line_end(l, l->has_closed ? 1000 : 1006, true);
    if (how == BY_RESET)
        sock_reset(s);
    else
        sock_close(s);
}

/* A client that hears nothing asks, and leaves when there is no answer. */
static void on_watch(struct event *e) {
    struct line *l = container_of(e, struct line, watch);
    if (sim_now_us() - l->heard_us > 12 * SIM_SECOND)
        return line_leave(l, BY_RESET);
    if (l->meeting->opened_us != 0 && !l->has_closed)
        line_frame(l, true, WS_OP_PING, "", 0);
    event_set(e, sim_now_us() + 4 * SIM_SECOND, on_watch);
}

/* ---- what a client is told */

static struct message_id id_in(const char *text, const char *key) {
    struct message_id id = MESSAGE_ID_NONE;
    unsigned long long term, seq;
    const char *at = strstr(text, key);
    if (at != NULL && sscanf(at + strlen(key), "%llu-%llu", &term, &seq) == 2)
        id = (struct message_id){term, seq};
    return id;
}

static void on_hello(struct line *l, const char *text) {
    struct meeting *m = l->meeting;
    struct client *c = l->client;
    if (m->has_hello)
        return violate("I1", "%s got a second hello", m->token);
    m->has_hello = true;
    m->hello = id_in(text, "\"id\":\"");
    m->recovered = strstr(text, "\"recovered\":true") != NULL    ? RECOVERED_TRUE
                   : strstr(text, "\"recovered\":false") != NULL ? RECOVERED_FALSE
                                                                 : RECOVERED_NULL;
    if ((m->recovered == RECOVERED_NULL) != message_id_is_none(m->resumed))
        violate("I1", "%s asked %s and was told %s", m->token,
                message_id_is_none(m->resumed) ? "for nothing" : "to resume", text);
    if (m->recovered != RECOVERED_TRUE)
        c->position = m->hello;
    c->has_position = !message_id_is_none(c->position);
    sim_log(c->id, "%s %s", m->token, text);
}

static void on_v1_message(struct line *l, const char *text) {
    struct meeting *m = l->meeting;
    struct message_id id = id_in(text, "\"id\":\"");
    const char *data = strstr(text, "\"data\":\"");
    unsigned sent;
    if (!m->has_hello)
        return violate("I1", "%s got a message before its hello", m->token);
    if (data == NULL || !books_parse(data + 8, strlen(data + 8), &sent))
        return violate("I1", "%s got what nobody sent: %.100s", m->token, text);
    l->client->position = id;
    l->client->has_position = true;
    books_got(m, id, sent);
}

/* It resumes from there, so that a position that is ahead of a message would lose it. */
static void on_position(struct line *l, const char *text) {
    struct message_id id = id_in(text, "\"id\":\"");
    if (!l->meeting->has_hello || message_id_is_none(id))
        return violate("I1", "%s got %s", l->meeting->token, text);
    l->client->position = id;
    l->client->has_position = true;
    sim_log(l->client->id, "%s %s", l->meeting->token, text);
}

static void on_live(struct line *l) {
    struct meeting *m = l->meeting;
    if (m->is_live || !m->has_hello || message_id_is_none(m->resumed))
        return violate("I1", "%s is told that it is live, for nothing", m->token);
    m->is_live = true;
}

static bool is_of_type(const char *text, const char *type) {
    char head[40];
    snprintf(head, sizeof(head), "{\"type\":\"%s\"", type);
    return strncmp(text, head, strlen(head)) == 0;
}

static void on_v1(struct line *l, const char *text) {
    unsigned ref = 0;
    const char *at = strstr(text, "\"ref\":");
    if (at != NULL && (sscanf(at + 6, "%u", &ref) != 1 || ref >= books.sent_count))
        return violate("I1", "%s was told of what nobody sent: %.100s", l->meeting->token, text);
    if (is_of_type(text, "message")) {
        on_v1_message(l, text);
    } else if (is_of_type(text, "hello")) {
        on_hello(l, text);
    } else if (is_of_type(text, "ack") && at != NULL) {
        books_accept(ref);
    } else if (is_of_type(text, "error") && at != NULL) {
        books.sent[ref].is_refused = true;
        sim_log(l->client->id, "%s %s", l->meeting->token, text);
    } else if (is_of_type(text, "position")) {
        on_position(l, text);
    } else if (is_of_type(text, "live")) {
        on_live(l);
    } else if (is_of_type(text, "pong") || is_of_type(text, "closed")) {
        sim_log(l->client->id, "%s %s", l->meeting->token, text);
    } else {
        violate("I1", "%s got a frame of no known type: %.100s", l->meeting->token, text);
    }
}

static void on_local(struct line *l, const char *text) {
    unsigned number;
    if (sscanf(text, "l%u", &number) != 1 || number != l->local_next + 1)
        return violate("I1", "%s got %.20s after l%u of its Local route", l->meeting->token, text,
                       l->local_next);
    l->local_next = number;
}

static void on_message(struct line *l, const char *text, size_t len) {
    unsigned sent;
    if (l->client->options.manner == CLIENT_LOCAL)
        on_local(l, text);
    else if (l->client->options.manner == CLIENT_V1)
        on_v1(l, text);
    else if (l->client->options.manner == CLIENT_LISTENER)
        return;
    else if (!books_parse(text, len, &sent))
        violate("I1", "%s got what nobody sent: %.100s", l->meeting->token, text);
    else
        books_got(l->meeting, MESSAGE_ID_NONE, sent);
}

static bool has_got(const struct meeting *m, unsigned sent) {
    for (size_t i = m->got_count; i-- > 0;) {
        if (m->got[i].sent == sent)
            return true;
    }
    return false;
}

/* False: the line is gone. */
static bool on_ws_close(struct line *l, const struct ws_event *e) {
    struct sock *s = l->sock;
    if (l->client->options.manner == CLIENT_LOCAL && e->code == 1000 && !l->has_closed &&
        l->local_next != 5)
        violate("I1", "%s was ended after %u of five messages", l->meeting->token, l->local_next);
    if (l->has_closed && l->must_echo && plan_is_calm(sim_now_us(), 20 * SIM_SECOND) &&
        !has_got(l->meeting, l->last_said))
        violate("I1", "%s said m%u to itself, and was ended before it got it", l->meeting->token,
                l->last_said);
    if (!l->has_closed)
        line_frame(l, true, WS_OP_CLOSE,
                   e->code == 1005 ? "" : (char[]){(char)(e->code >> 8), (char)e->code},
                   e->code == 1005 ? 0 : 2);
    line_end(l, e->code, l->has_closed);
    sock_close(s);
    return false;
}

/* ---- talking */

static struct client *any_of_name(struct dice *d, int name) {
    for (unsigned tries = 0; tries < 20; tries++) {
        struct client *c = &clients[dice_below(d, client_count)];
        if (c->options.name == name && c->options.group[0] == '\0' &&
            c->options.manner != CLIENT_LOCAL)
            return c;
    }
    return NULL;
}

static void on_talk(struct event *e) {
    struct client *c = container_of(e, struct client, talk);
    struct line *l = c->line;
    char address[96] = "", text[4096];
    enum reach reach = TO_NAME;
    int name = (int)dice_below(&c->dice, NAME_COUNT);
    const char *whom = "";
    bool is_routed = strcmp(c->options.route, "hop") == 0 || strcmp(c->options.route, "wait") == 0;
    unsigned luck = (unsigned)dice_below(&c->dice, 100);
    struct client *other = luck >= 90 && luck < 95 ? any_of_name(&c->dice, name) : NULL;
    if (is_routed) {
        name = (c->options.name + 1) % NAME_COUNT;
    } else if (luck < 5 && !books.is_each_by_name) {
        reach = TO_EVERY, name = NAME_EVERY;
    } else if (other != NULL) {
        reach = TO_CLIENT, whom = other->id;
        snprintf(address, sizeof(address), ",\"path\":\"%s\",\"clientId\":\"%s\"", book_names[name],
                 whom);
    } else if (luck >= 95) {
        reach = TO_GROUP, whom = luck & 1 ? "red" : "blue";
        snprintf(address, sizeof(address), ",\"path\":\"%s\",\"group\":\"%s\"", book_names[name],
                 whom);
    } else {
        snprintf(address, sizeof(address), ",\"path\":\"%s\"", book_names[name]);
    }
    if (books_are_full())
        return;
    unsigned sent = books_send(reach, name, whom, l->meeting->token);
    books.sent[sent].via = l->meeting;
    char *data = books_text(sent, dice_skewed(&c->dice, 1, 2000));
    snprintf(text, sizeof(text), "{\"message\":\"%s\"%s", data, address);
    if (c->options.manner == CLIENT_V1)
        snprintf(text + strlen(text), 32, ",\"ref\":%u", sent);
    strcat(text, "}");
    free(data);
    sim_log(c->id, "%s says m%u to %s %s", l->meeting->token, sent,
            name == NAME_EVERY ? "every" : book_names[name], whom);
    line_message(l, text);
    l->talked_us = sim_now_us();
    event_set(e, sim_now_us() + dice_between(&c->dice, 1, 2 * c->options.talk_us), on_talk);
}

static void start_talking(struct client *c) {
    if (is_talk_time && c->options.talk_us > 0 && !c->is_hushed)
        event_set(&c->talk, sim_now_us() + dice_between(&c->dice, 1, 2 * c->options.talk_us),
                  on_talk);
}

void clients_talk(void) {
    is_talk_time = true;
    for (unsigned i = 0; i < client_count; i++) {
        if (clients[i].line == NULL || clients[i].line->meeting->opened_us == 0)
            continue;
        start_talking(&clients[i]);
        plan_leave(&clients[i]);
    }
}

/* ---- a connection */

static void write_request(struct line *l) {
    struct client *c = l->client;
    char text[1024], resume[64] = "", group[48];
    snprintf(group, sizeof(group), "%s",
             c->options.group[0] != '\0' ? c->options.group : l->meeting->token);
    if (!message_id_is_none(l->meeting->resumed)) {
        char id[MESSAGE_ID_TEXT];
        snprintf(resume, sizeof(resume), "&signalbox-resume=%s",
                 message_id_format(l->meeting->resumed, id));
    }
    char path[192];
    if (c->options.manner == CLIENT_LOCAL)
        snprintf(path, sizeof(path), "/local?client_id=%s", l->meeting->client);
    else
        snprintf(path, sizeof(path), "/%s/%s?client_id=%s&group=%s%s", c->options.route,
                 book_names[c->options.name], l->meeting->client, group, resume);
    int len = snprintf(
        text, sizeof(text),
        "GET %s HTTP/1.1\r\nHost: world\r\nUpgrade: websocket\r\nConnection: "
        "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        "dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
        path, c->options.manner == CLIENT_V1 ? "Sec-WebSocket-Protocol: signalbox.v1\r\n" : "");
    line_write(l, text, (size_t)len);
}

static void on_open(struct sock *s, int status) {
    struct line *l = sock_ctx(s);
    if (status == 0)
        return write_request(l);
    line_end(l, 1006, false);
    sock_close(s);
}

/* False: the line is gone. */
static bool on_answer(struct line *l, const struct ws_event *e) {
    struct client *c = l->client;
    if (e->code != 101) {
        sim_log(c->id, "%s refused: %d %.*s", l->meeting->token, e->code, (int)e->len, e->bytes);
        if (e->code != 503)
            violate("I8", "%s was refused with %d", l->meeting->token, e->code);
        struct sock *s = l->sock;
        line_end(l, 1006, false);
        sock_close(s);
        return false;
    }
    l->meeting->opened_us = sim_now_us();
    sim_log(c->id, "%s is connected to gateway%u", l->meeting->token, l->meeting->gateway + 1);
    if (c->line == l)
        start_talking(c);
    return true;
}

/* False: the line is gone. */
static bool take_event(struct line *l, const struct ws_event *e) {
    switch (e->what) {
    case WS_ANSWER: return on_answer(l, e);
    case WS_TEXT: on_message(l, e->bytes, e->len); return true;
    case WS_PING: line_frame(l, true, WS_OP_PONG, e->bytes, e->len); return true;
    case WS_CLOSE: return on_ws_close(l, e);
    case WS_BINARY:
    case WS_BROKEN:
        violate("I1", "%s: %.*s", l->meeting->token, (int)e->len, e->bytes);
        return true;
    case WS_PONG:
    case WS_NOTHING: break;
    }
    return true;
}

static void on_data(struct sock *s, const char *bytes, size_t len) {
    struct line *l = sock_ctx(s);
    l->heard_us = sim_now_us();
    ws_wire_take(&l->wire, bytes, len);
    for (struct ws_event e; (e = ws_wire_next(&l->wire)).what != WS_NOTHING;) {
        if (!take_event(l, &e) || violation() != NULL)
            return;
    }
}

static void on_drain(struct sock *s) {
    line_flush(sock_ctx(s));
}

static void on_end(struct sock *s, int status) {
    struct line *l = sock_ctx(s);
    (void)status;
    line_end(l, 1006, l->has_closed);
    sock_close(s);
}

static const struct sock_events line_events = {
    .on_open = on_open, .on_data = on_data, .on_drain = on_drain, .on_end = on_end};

static void line_open(struct client *c) {
    struct line *l = calloc(1, sizeof(*l));
    struct meeting *m = l->meeting = books_meet();
    l->client = c;
    c->line = l;
    snprintf(m->token, sizeof(m->token), "%.15s.%u", c->id, ++c->life);
    bool is_grouped = c->options.group[0] != '\0';
    snprintf(m->client, sizeof(m->client), "%s", is_grouped ? m->token : c->id);
    snprintf(m->group, sizeof(m->group), "%s", c->options.group);
    m->who = c->number;
    m->name = c->options.name;
    m->is_v1 = c->options.manner == CLIENT_V1;
    m->is_local = c->options.manner == CLIENT_LOCAL;
    m->is_deaf = c->options.manner == CLIENT_LISTENER;
    m->gateway = (unsigned)dice_below(&c->dice, gateway_count);
    if (m->is_v1 && c->has_position && !is_grouped)
        m->resumed = c->position;
    l->heard_us = sim_now_us();
    event_set(&l->watch, sim_now_us() + 4 * SIM_SECOND, on_watch);
    l->sock = sock_connect(NULL, c->host, gateway_address(m->gateway), &line_events, l);
}

/* ---- coming and going */

/* A last message to itself, and the Close right behind it. On a route whose handler waits, one that
 * makes both wait goes before. */
static void say_goodbye(struct line *l) {
    struct client *c = l->client;
    char text[128];
    bool is_waiting = c->options.route[0] == 'w';
    bool is_late = sim_now_us() - l->talked_us < 500 * SIM_MS; /* with all that waits already */
    if ((c->options.route[0] != 'n' && !is_waiting) || !is_talk_time || books_are_full())
        return;
    if (is_waiting) {
        on_talk(&c->talk);
        event_cancel(&c->talk);
    }
    l->last_said = books_send(TO_CLIENT, c->options.name, c->id, l->meeting->token);
    l->must_echo =
        net_manner.most_us + net_manner.late_us < 40 * SIM_MS && !(is_waiting && is_late);
    snprintf(text, sizeof(text), "{\"message\":\"m%u\",\"path\":\"%s\",\"clientId\":\"%s\"}",
             l->last_said, book_names[c->options.name], c->id);
    sim_log(c->id, "%s says m%u to itself, and leaves", l->meeting->token, l->last_said);
    line_frame(l, true, WS_OP_TEXT, text, strlen(text));
}

static void leave(struct client *c) {
    struct line *l = c->line;
    switch (dice_below(&c->dice, 4)) {
    case 0:
        if (l->meeting->opened_us != 0 && !l->has_closed) {
            event_cancel(&c->talk);
            say_goodbye(l);
            l->has_closed = true;
            line_frame(l, true, WS_OP_CLOSE, "\x03\xe8", 2);
        }
        /* If no answer comes, it leaves anyway. */
        event_set(&c->next, sim_now_us() + 5 * SIM_SECOND, on_next);
        break;
    case 1: line_leave(l, BY_CLOSE); break;
    case 2: line_leave(l, BY_RESET); break;
    case 3: client_take_over(c); break;
    }
}

static void plan_leave(struct client *c) {
    if (is_talk_time && c->options.is_passenger && !c->is_hushed &&
        c->options.manner != CLIENT_LOCAL)
        event_set(&c->next, sim_now_us() + dice_skewed(&c->dice, 50 * SIM_MS, 8 * SIM_SECOND),
                  on_next);
}

static void on_next(struct event *e) {
    struct client *c = container_of(e, struct client, next);
    if (c->is_absent)
        return;
    if (c->line == NULL) {
        line_open(c);
        plan_leave(c);
    } else if (c->line->has_closed) {
        line_leave(c->line, BY_CLOSE);
    } else if (!c->is_hushed) {
        leave(c);
    }
}

struct client *client_add(const struct client_options *options) {
    struct client *c = &clients[client_count];
    *c = (struct client){.options = *options, .number = client_count};
    snprintf(c->id, sizeof(c->id), "c%u", client_count);
    snprintf(c->host, sizeof(c->host), "10.1.%u.%u", client_count / 200, client_count % 200 + 1);
    c->dice = dice_new(sim_seed(), 1000 + client_count);
    client_count++;
    event_set(&c->next, sim_now_us() + dice_between(&c->dice, 1, SIM_SECOND), on_next);
    return c;
}

bool client_is_settled(const struct client *c) {
    if (c->options.manner == CLIENT_LOCAL)
        return true;
    return c->line != NULL && c->line->meeting->opened_us != 0 && !c->line->has_closed &&
           (!c->line->meeting->is_v1 || c->line->meeting->has_hello);
}

const struct meeting *client_meeting(const struct client *c) {
    return c->line == NULL ? NULL : c->line->meeting;
}

void client_hush(struct client *c) {
    c->is_hushed = true;
    event_cancel(&c->talk);
    if (c->line != NULL && !c->line->has_closed)
        event_cancel(&c->next);
    if (c->line == NULL)
        come_again(c);
}

/* ---- faults */

void client_pause(struct client *c, bool is_paused) {
    if (c->line != NULL)
        sock_pause(c->line->sock, is_paused);
}

void client_drop(struct client *c) {
    if (c->line != NULL)
        line_leave(c->line, BY_RESET);
}

void client_vanish(struct client *c) {
    c->is_absent = true;
    event_cancel(&c->next);
    net_cut(c->host, "*", NET_STALL);
    net_cut("*", c->host, NET_STALL);
    client_drop(c);
}

void client_return(struct client *c) {
    c->is_absent = false;
    net_cut(c->host, "*", NET_OPEN);
    net_cut("*", c->host, NET_OPEN);
    if (c->line == NULL)
        come_again(c);
}

void client_take_over(struct client *c) {
    event_cancel(&c->talk);
    line_open(c);
    plan_leave(c);
}
