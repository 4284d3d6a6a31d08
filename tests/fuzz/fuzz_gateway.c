/*
 * fuzz_gateway.c - a whole gateway without Redis, and clients that do what they like.
 *
 * The bytes of the input are steps: connect, send parts of requests and frames, read or not, end in
 * every way; messages and closes from the other side, holds, short memory, the end of the process,
 * and time that passes. Time is ours (clock_gettime), so an input always means the same. In place
 * of Redis stand a join that is confirmed at once and events that only count.
 *
 * Properties, after each step: counters and accounts agree with the connections there are; nobody
 * is heard after he left. At the end: every connection, byte and place of an address is given back,
 * no request has two answers, and nothing follows a Close.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/trace.h"
#include "common/bus/cluster/registry.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/conn/request.h"
#include "gateway/conn/turn.h"
#include "gateway/gateway.h"
#include "gateway/routes/dispatch.h"
#include "gateway/routes/handler_send.h"
#include "gateway/routes/post.h"
#include "gateway/routes/upgrade.h"
#include "gateway/session/addressees.h"
#include "tests/common/app/app_of_text.h"
#include "tests/fuzz/still_clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PEERS = 6, STEPS_MAX = 120, SOCKET_BYTES = 4096, END_TURNS = 400 };

struct peer_side {
    int fd;            /* -1: not connected */
    struct conn *conn; /* as far as requests are concerned: only compared */
    unsigned requests;
    bool has_head; /* asked with HEAD: its answers cannot be told apart */
    struct buf got;
};

static struct world {
    struct gateway g;
    struct settings settings;
    struct bus *bus;
    struct app *app;
    struct trace trace;
    struct endpoint_run endpoint;
    struct name_entry *entry;
    uv_pipe_t server;
    struct sockaddr_un address;
    socklen_t address_len;
    struct peer_side peers[PEERS];
    struct peer_side *connecting;
    unsigned connected; /* ever, in this input */
    unsigned holds;     /* set at the next message */
    bool gives_bye;
    size_t attached, left;
    uint64_t last_id;
    struct client *asked; /* for a BYE; or NULL */
} world;

static void turn(unsigned times) {
    for (unsigned i = 0; i < times; i++)
        (void)uv_run(&world.g.daemon.loop, UV_RUN_NOWAIT);
}

/* ---- in place of Redis */

static void on_message(void *ctx, struct client *c, const struct said *said) {
    (void)ctx;
    MUST(!c->has_left && client_is_open(c));
    MUST(said->body.len <= (size_t)world.settings.max_message_bytes);
    for (enum hold why = HOLD_ROOM; why <= HOLD_SHARE; why = (enum hold)(why << 1))
        if ((world.holds & (unsigned)why) != 0)
            client_hold(c, why);
    world.holds = 0;
}

static bool ask_for_bye(void *ctx, struct client *c) {
    (void)ctx;
    MUST(!c->has_left);
    if (world.gives_bye)
        world.asked = c;
    return world.gives_bye;
}

static void on_left(void *ctx, struct client *c) {
    (void)ctx;
    world.left += c->who.group.len > 0; /* of those that joined; the others are Local */
    if (world.asked == c)
        world.asked = NULL;
}

static const struct client_events events = {
    .on_message = on_message, .ask_for_bye = ask_for_bye, .on_left = on_left};

static void on_converted(struct request *r, bool is_ok) {
    (void)r;
    (void)is_ok;
}

static void join(struct request *r) {
    const struct bytes group = BYTES_LIT("g");
    struct upgrade_options options = {
        .name = BYTES_LIT("N"), .groups = {&group, 1}, .scope = SCOPE_LOCAL, .is_automatic = true};
    struct upgrade_error error;
    r->on_converted = on_converted;
    enum upgrade_outcome outcome = upgrade(r, &options, &error);
    if (outcome == UPGRADE_INVALID)
        request_refuse(r, error.status, error.text);
    if (outcome != UPGRADE_OPEN || r->client == NULL)
        return;
    struct client *client = r->client;
    client->request = NULL;
    r->client = NULL;
    clients_attach(world.entry, client);
    world.attached++;
}

static void on_request(struct request *r) {
    for (int i = 0; i < PEERS; i++) {
        if (world.peers[i].conn != r->conn)
            continue;
        world.peers[i].requests++;
        world.peers[i].has_head = world.peers[i].has_head || request_is_head(r);
    }
    if (r->path != NULL && strcmp(r->path, "/join") == 0)
        join(r);
    else
        dispatch(r);
}

/* ---- the gateway */

static void on_connection(uv_stream_t *server, int status) {
    static const char *const addresses[] = {"192.0.2.1", "192.0.2.2", "127.0.0.1"};
    struct world *w = &world;
    MUST(status == 0);
    struct conn *c = http_accept(&w->g.conns, server, NULL, &w->endpoint.at, &w->g.http_host);
    if (c == NULL)
        return;
    uv_os_fd_t fd;
    int bytes = SOCKET_BYTES;
    if (uv_fileno((uv_handle_t *)&c->stream.uv.pipe, &fd) == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    MUST(ip_parse(bytes_str(addresses[w->connected++ % 3]), &c->ip));
    c->remote = c->ip;
    w->connecting->conn = c;
    listeners_admit(&w->g.listeners, c);
}

static void on_flushed(struct conns *set) {
    (void)set;
    downlink_on_flushed(&world.g.downlink);
}

static struct app *load_app(struct world *w) {
    static const char text[] =
        "local function local_(w) w:convert { name = 'L', scope = 'local' } end\n"
        "signalbox.route('GET', '/', function(w) return 'hello' end)\n"
        "signalbox.route('POST', '/', function(w) return 'thanks' end)\n"
        "signalbox.route('GET', '/big', function(w) return ('x'):rep(200000) end)\n"
        "signalbox.route('GET', '/slow', function(w) signalbox.sleep(0.5) return 'late' end)\n"
        "signalbox.route('GET', '/error', function(w) error('no') end)\n"
        "signalbox.route('GET', '/local', local_)\n"
        "signalbox.route('GET', '/stays', function(w) local_(w) signalbox.sleep(3) end)\n"
        "signalbox.on('connect', 'L', 'a', function(e) signalbox.sleep(0.2) end)\n"
        "signalbox.on('disconnect', 'L', 'b', function(e) signalbox.sleep(0.2) end)\n";
    struct app_environment environment = {.loop = &w->g.daemon.loop,
                                          .settings = &w->settings,
                                          .bus = w->bus,
                                          .host = &handler_send_host,
                                          .host_ctx = &w->g.routes};
    return app_of_text(text, &environment);
}

static void read_settings(struct world *w) {
    static char program[] = "fuzz", *arguments[] = {program, NULL};
    int rest;
    MUST(settings_parse(&w->settings, FOR_ALL, 1, arguments, &rest) == SETTINGS_OK);
    w->settings.redis = "redis://127.0.0.1:1";
    w->settings.max_message_bytes = 100000;
    w->settings.max_body_bytes = 100000;
    w->settings.max_queue_bytes = 65536;
    w->settings.max_connections_per_address = 2;
    w->settings.compress_min_bytes = 16;
    w->settings.max_messages_per_second = 50;
    w->settings.lua_budget_ms = 10000;
}

static void listen_here(struct world *w) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    w->address.sun_family = AF_UNIX;
    w->address_len = sizeof(w->address);
    /* The kernel chooses a name that is no file. */
    MUST(bind(fd, (struct sockaddr *)&w->address, sizeof(sa_family_t)) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&w->address, &w->address_len) == 0);
    MUST(uv_pipe_init(&w->g.daemon.loop, &w->server, 0) == 0);
    MUST(uv_pipe_open(&w->server, fd) == 0);
    MUST(uv_listen((uv_stream_t *)&w->server, 16, on_connection) == 0);
}

static void open_gateway(struct world *w) {
    struct gateway *g = &w->g;
    log_set_level(LOG_ERROR);
    MUST(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    read_settings(w);
    MUST(uv_loop_init(&g->daemon.loop) == 0);
    w->bus = bus_new(&g->daemon.loop, &w->settings, BUS_GATEWAY);
    message_frames_init(&g->frames);
    message_frames_compress(&g->frames, (size_t)w->settings.compress_min_bytes);
    peers_init(&g->peers, &w->settings, &g->proxies.trusted, PEERS);
    conns_init(&g->conns, &g->daemon.loop, (size_t)w->settings.max_queue_bytes, 1000);
    g->conns.on_flushed = on_flushed;
    g->conns.peers = &g->peers;
    turn_start(&g->conns);
    g->follower = follower_new(w->bus, &downlink_events, &g->downlink);
    clients_init(&g->clients, w->bus, g->follower, &w->app);
    downlink_init(&g->downlink, w->bus, &g->clients, &g->frames, &w->trace);
    g->client_host =
        (struct client_host){.settings = &w->settings, .frames = &g->frames, .events = &events};
    g->endpoints = (struct endpoints){.items = &w->endpoint, .count = 1};
    static char name[] = "e", any[] = "*";
    w->endpoint.at =
        (struct endpoint){.name = name, .address = any, .port = 80, .is_http = true, .is_ws = true};
    g->routes = (struct routes){.loop = &g->daemon.loop,
                                .settings = &w->settings,
                                .bus = w->bus,
                                .registry = registry_new(w->bus),
                                .app = &w->app,
                                .endpoints = &g->endpoints,
                                .peers = &g->peers,
                                .proxies = &g->proxies,
                                .clients = &g->clients,
                                .frames = &g->frames,
                                .client_host = &g->client_host};
    g->routes.posts = posts_new(&g->daemon.loop, w->bus, &g->client_host, POST_WAIT_MS);
    TAILQ_INIT(&g->routes.replays.waiting);
    g->http_host = (struct http_host){.settings = &w->settings,
                                      .proxies = &g->proxies,
                                      .on_request = on_request,
                                      .on_refused = dispatch_refused,
                                      .routes = &g->routes};
    g->listeners.o = (struct listeners_options){
        .loop = &g->daemon.loop, .conns = &g->conns, .http = &g->http_host, .max_connections = 5};
    w->app = load_app(w);
    w->entry = clients_enter(&g->clients, BYTES_LIT("N"));
    follow_start_at(w->entry->follow, (struct message_id){1, 0});
    for (int i = 0; i < PEERS; i++)
        w->peers[i].fd = -1;
    listen_here(w);
}

/* ---- the clients */

static void say(struct peer_side *p, const void *bytes, size_t len) {
    if (p->fd >= 0)
        (void)send(p->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void hear(struct peer_side *p, size_t most) {
    char room[65536];
    ssize_t n;
    if (p->fd < 0)
        return;
    while (most > 0 &&
           (n = recv(p->fd, room, most < sizeof(room) ? most : sizeof(room), MSG_DONTWAIT)) > 0) {
        buf_append(&p->got, bytes_of(room, (size_t)n));
        most -= (size_t)n;
    }
}

/* Whole frames of a server; the last one may be cut off. */
static void check_frames(struct bytes in) {
    while (in.len >= 2) {
        const unsigned char *b = (const unsigned char *)in.ptr;
        unsigned opcode = b[0] & 15;
        size_t head = b[1] == 126 ? 4 : b[1] == 127 ? 10 : 2, len = b[1];
        MUST(opcode <= 2 || (opcode >= 8 && opcode <= 10));
        MUST((b[0] & 0x30) == 0 && ((b[0] & WS_RSV1) == 0 || opcode == 1 || opcode == 2));
        MUST(b[1] < 128); /* servers do not mask */
        if (in.len < head)
            return;
        if (head > 2)
            for (size_t i = 2, sum = 0; i < head; i++)
                len = sum = sum << 8 | b[i];
        if (in.len - head < len)
            return;
        in = bytes_from(in, head + len);
        MUST(opcode != 8 || in.len == 0);
    }
}

static size_t length_of(struct bytes head) {
    static const char name[] = "Content-Length: ";
    const char *at = memmem(head.ptr, head.len, name, sizeof(name) - 1);
    return at == NULL ? 0 : strtoul(at + sizeof(name) - 1, NULL, 10);
}

/* Whole chunks of whole events; the last one may be cut off. */
static void check_events(struct bytes in) {
    while (in.len > 0 && memmem(in.ptr, in.len, "\r\n", 2) != NULL) {
        size_t len = sse_chunk_len(in);
        if (len > in.len)
            return;
        struct bytes chunk = bytes_head(in, len);
        in = bytes_from(in, len);
        MUST(bytes_ends_with(chunk, BYTES_LIT("\r\n")));
        if (chunk.ptr[0] == '0') /* and nothing follows the last one */
            MUST(bytes_equal_str(chunk, SSE_LAST_CHUNK) && in.len == 0);
        else
            MUST(bytes_ends_with(chunk, BYTES_LIT("\n\n\r\n")));
    }
}

static bool has_field(struct bytes head, const char *field) {
    return memmem(head.ptr, head.len, field, strlen(field)) != NULL;
}

static void check_answers(const struct peer_side *p) {
    struct bytes in = buf_bytes(&p->got);
    unsigned answers = 0;
    const char *end;
    while (in.len > 0 && (end = memmem(in.ptr, in.len, "\r\n\r\n", 4)) != NULL) {
        struct bytes head = bytes_head(in, (size_t)(end - in.ptr) + 4);
        MUST(head.len > 12 && memcmp(head.ptr, "HTTP/1.", 7) == 0);
        size_t body = length_of(head);
        int status = atoi(head.ptr + 9);
        in = bytes_from(in, head.len);
        answers += status >= 200 || status == 101;
        if (status == 101) {
            check_frames(in);
            break;
        }
        if (has_field(head, "Transfer-Encoding: chunked"))
            check_events(in);
        if (has_field(head, "text/event-stream") && !has_field(head, "Content-Length"))
            break;
        in = bytes_from(in, body < in.len ? body : in.len);
    }
    MUST(answers <= p->requests + 1); /* a refusal may follow */
}

static void hang_up(struct peer_side *p) {
    if (p->fd < 0)
        return;
    close(p->fd);
    if (!p->has_head)
        check_answers(p);
    buf_deinit(&p->got);
    *p = (struct peer_side){.fd = -1};
}

static void call(struct world *w, struct peer_side *p) {
    hang_up(p);
    turn(1);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    w->connecting = p;
    MUST(connect(p->fd, (struct sockaddr *)&w->address, w->address_len) == 0);
    turn(2);
}

/* ---- steps */

struct steps {
    const uint8_t *at;
    size_t left;
};

static unsigned next(struct steps *s) {
    if (s->left == 0)
        return 0;
    s->left--;
    return *s->at++;
}

#define UPGRADE                                                                                    \
    "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"        \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

#define EVENTS  "Accept: text/event-stream\r\n"
#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"

static const char *const texts[] = {
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 90000\r\n\r\n",
    "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /error HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /../x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "GET /join HTTP/1.1\r\n" UPGRADE "\r\n",
    "GET /join HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Protocol: signalbox.v1\r\n\r\n",
    "GET /local HTTP/1.1\r\n" UPGRADE "\r\n",
    "GET /stays HTTP/1.1\r\n" UPGRADE "\r\n",
    "\x81\x8f\0\0\0\0{\"message\":\"x\"}",
    "\x88\x82\0\0\0\0\x03\xe8",
    "BREW / HTTP/9\r\n\r\n",
    "GET /join HTTP/1.1\r\nHost: h\r\n" EVENTS "\r\n",
    "GET /join?signalbox=v1 HTTP/1.1\r\nHost: h\r\n" EVENTS "Last-Event-ID: 1-1\r\n\r\n",
    "GET /stays HTTP/1.1\r\nHost: h\r\n" EVENTS "\r\n",
    "GET /local HTTP/1.0\r\nHost: h\r\n" EVENTS "\r\n",
    ("OPTIONS /local HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\n"
     "Access-Control-Request-Method: POST\r\n\r\n"),
    "POST /local HTTP/1.1\r\nHost: h\r\nX-PODE-SIGNAL-CLIENT-ID: x\r\nContent-Length: 2\r\n\r\nhi",
    "GET /join HTTP/1.1\r\n" UPGRADE DEFLATE "\r\n",
    "GET /join HTTP/1.1\r\n" UPGRADE DEFLATE "Sec-WebSocket-Protocol: signalbox.v1\r\n\r\n",
    "\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0",
};

/* Those with a NUL in them. */
static size_t text_len(unsigned which) {
    return which == 13 ? 21 : which == 14 ? 8 : which == 24 ? 13 : strlen(texts[which]);
}

static void say_text(struct peer_side *p, struct steps *s) {
    unsigned which = next(s) % ARRAY_LEN(texts), part = next(s);
    size_t len = text_len(which);
    size_t cut = part < 128 ? 0 : part % (len + 1); /* or only its end, … */
    say(p, texts[which] + (part < 192 ? cut : 0),
        part < 192 ? len - cut : cut); /* … or beginning */
}

static void say_raw(struct peer_side *p, struct steps *s) {
    size_t len = next(s);
    len = len < s->left ? len : s->left;
    say(p, s->at, len);
    s->at += len;
    s->left -= len;
}

/* A masked frame of any kind and length, of which not all may come. */
static void say_frame(struct peer_side *p, struct steps *s) {
    unsigned first = next(s);
    size_t len = (size_t)next(s) << (next(s) % 9), head = 2, cut = next(s);
    unsigned char *frame = mem_alloc(len + 16);
    frame[0] = (unsigned char)first;
    frame[1] = (unsigned char)(128 | (len < 126 ? len : 126));
    if (len >= 126) {
        frame[2] = (unsigned char)(len >> 8);
        frame[3] = (unsigned char)len;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memset(frame + head + 4, 'a', len);
    if ((first & WS_RSV1) != 0) /* as a stored block, or many blocks of nothing, or nonsense */
        memset(frame + head + 4, cut % 3 == 0 ? 0 : cut % 3 == 1 ? 0xff : 'a', len);
    len += head + 4;
    say(p, frame, cut < 200 ? len : len * (cut - 200) / 56);
    free(frame);
}

static struct client *a_client(struct world *w, struct steps *s) {
    unsigned skip = next(s) % PEERS;
    struct client *c = TAILQ_FIRST(&w->g.clients.all);
    for (; c != NULL && skip > 0 && TAILQ_NEXT(c, by_restore) != NULL; skip--)
        c = TAILQ_NEXT(c, by_restore);
    return c;
}

static void publish(struct world *w, struct steps *s) {
    size_t len = (size_t)next(s) << (next(s) % 9);
    char *data = mem_alloc(len + 1);
    memset(data, 'm', len);
    struct message m = {.id = {++w->last_id, 0},
                        .kind = MESSAGE_DATA,
                        .flags = len % 2 == 0 ? FLAG_BINARY : 0,
                        .data = bytes_of(data, len)};
    downlink_events.on_message(&w->g.downlink, w->entry, &m);
    free(data);
}

static void to_client(struct world *w, struct steps *s) {
    struct client *c = a_client(w, s);
    unsigned what = next(s) % 5;
    if (c == NULL)
        return;
    if (what == 0)
        client_close_with(c, 4000, BYTES_LIT("why"));
    else if (what == 1)
        client_close(c, CLOSE_SLOW);
    else if (what == 2)
        client_release(c, HOLD_ROOM);
    else if (what == 3)
        client_release(c, HOLD_SHARE);
    else
        client_send(c, 0, BYTES_LIT("hi"));
}

static void shut_down(struct conn *c, void *ctx) {
    (void)ctx;
    if (c->state == CONN_OPEN)
        (void)c->proto->on_shutdown(c);
}

static void pass(struct steps *s) {
    static const unsigned ms[] = {1, 10, 100, 400, 1000, 1000, 1000, 5000};
    unsigned which = next(s);
    for (unsigned i = 0; i <= (which >> 3); i++) {
        now_ms += ms[which % ARRAY_LEN(ms)];
        turn(1);
    }
}

static void step(struct world *w, struct steps *s) {
    static const uint64_t budgets[] = {0, 100000, 400000, 4000000};
    unsigned what = next(s), which = what >> 4;
    struct peer_side *p = &w->peers[which % PEERS];
    switch (what % 16) {
    case 0: call(w, p); break;
    case 1:
    case 2:
    case 3: say_text(p, s); break;
    case 4: say_raw(p, s); break;
    case 5:
    case 6: say_frame(p, s); break;
    case 7: hear(p, (size_t)next(s) * 1024 + 1); break;
    case 8:
        if (p->fd >= 0)
            (void)shutdown(p->fd, SHUT_WR);
        break;
    case 9: hang_up(p); break;
    case 10: pass(s); break;
    case 11: publish(w, s); break;
    case 12: to_client(w, s); break;
    case 13:
        w->holds = which & 3;
        w->gives_bye = (which & 4) != 0;
        if ((which & 8) != 0 && w->asked != NULL)
            client_on_bye(w->asked);
        break;
    case 14: memory_init(budgets[which % 4]); break;
    default:
        w->g.conns.is_draining = (which & 1) != 0;
        if (w->g.conns.is_draining)
            conns_each(&w->g.conns, shut_down, NULL);
    }
    turn(2);
}

/* ---- what must hold */

static void check(struct world *w) {
    const struct conns *set = &w->g.conns;
    size_t input = 0, starved = 0;
    MUST(metrics_values[METRIC_connections] == (int64_t)set->count);
    for (size_t i = 0; i < set->count; i++) {
        const struct conn *c = set->all[i];
        MUST(c->slot == i && c->state != CONN_CLOSED);
        input += c->input_bytes;
        starved += conn_is_paused(c, CONN_PAUSED_MEMORY);
    }
    MUST(memory_of(MEMORY_incoming) == input && set->starved == starved);
    MUST(set->told <= set->refused && set->refused <= set->count + set->unfreed);
    MUST(w->g.clients.count == w->attached - w->left);
}

/* The chunk into which the next frames go. */
static size_t kept(const struct frame_arena *arena) {
    return arena->current == NULL ? 0 : arena->current->cap;
}

static void end(struct world *w) {
    struct conns *set = &w->g.conns;
    for (int i = 0; i < PEERS; i++) {
        hear(&w->peers[i], SIZE_MAX);
        hang_up(&w->peers[i]);
    }
    memory_init(0);
    set->is_draining = false;
    for (int i = 0; i < END_TURNS && (set->count + set->unfreed > 0 || app_waiting(w->app) > 0);
         i++) {
        now_ms += 450;
        turn(1);
    }
    turn(3);
    check(w);
    MUST(set->count + set->unfreed + set->refused + set->told == 0 && w->g.clients.count == 0);
    MUST(memory_of(MEMORY_incoming) == 0 && memory_of(MEMORY_requests) == 0);
    message_frames_forget(&w->g.frames);
    compression_deinit(&w->g.frames.compression);
    compression_init(&w->g.frames.compression);
    message_frames_compress(&w->g.frames, (size_t)w->settings.compress_min_bytes);
    MUST(memory_of(MEMORY_outgoing) == kept(&set->arena) + kept(&w->g.frames.arena));
    MUST(app_waiting(w->app) == 0);
    w->holds = w->connected = 0;
    w->gives_bye = false;
    MUST(w->asked == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct world *w = &world;
    struct steps steps = {data, size};
    if (w->bus == NULL)
        open_gateway(w);
    for (int i = 0; i < STEPS_MAX && steps.left > 0; i++) {
        step(w, &steps);
        check(w);
    }
    end(w);
    return 0;
}
