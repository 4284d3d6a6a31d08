/* routes_room.c - see routes_room.h. */
#include "tests/gateway/routes/routes_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/app/app.h"
#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/ingest.h"
#include "common/bus/partition.h"
#include "gateway/conn/turn.h"
#include "gateway/routes/dispatch.h"
#include "gateway/routes/handler_send.h"
#include "gateway/routes/join.h"
#include "gateway/routes/post.h"
#include "gateway/session/addressees.h"

enum { WAIT_MS = 10000, MOST = 64, DEFAULT_BUDGET_MS = 5000 };

/* ---- in place of the floor above */

static void on_client_message(void *ctx, struct client *c, const struct said *said) {
    struct routes_room *room = ctx;
    client_unref(room->client);
    room->client = client_ref(c);
    buf_clear(&room->reply);
    buf_append(&room->reply, said->reply);
    room->was_binary = said->is_binary;
    buf_clear(&room->once);
    buf_append(&room->once, said->once);
    buf_append(&room->heard, said->body);
    buf_append_char(&room->heard, ' ');
}

static bool take_back(void *ctx, struct client *c) {
    struct routes_room *room = ctx;
    (void)c;
    return room->keeps_messages;
}

static bool ask_for_bye(void *ctx, struct client *c) {
    (void)ctx;
    (void)c;
    return false;
}

static void on_left(void *ctx, struct client *c) {
    struct routes_room *room = ctx;
    (void)c;
    room->left++;
}

static const struct client_events client_events = {.on_message = on_client_message,
                                                   .take_back = take_back,
                                                   .ask_for_bye = ask_for_bye,
                                                   .on_left = on_left};

static void on_message(void *ctx, void *owner, const struct message *m) {
    struct name_entry *e = owner;
    struct addressees to = {.m = m};
    (void)ctx;
    for (struct join *next, *j = LIST_FIRST(&e->joins); j != NULL; j = next) {
        next = join_next(j);
        join_on_message(j, &to);
    }
    addressees_deinit(&to);
}

static void on_gap(void *ctx, void *owner, enum gap gap) {
    struct name_entry *e = owner;
    (void)ctx;
    for (struct join *j = LIST_FIRST(&e->joins); j != NULL; j = join_next(j))
        join_on_gap(j, gap);
}

void routes_room_deliver(struct routes_room *room, const char *name, const struct message *m) {
    on_message(room, clients_find(&room->clients, bytes_str(name)), m);
}

void routes_room_lose(struct routes_room *room, const char *name, enum gap gap) {
    on_gap(room, clients_find(&room->clients, bytes_str(name)), gap);
}

static const struct follower_events follower_events = {.on_message = on_message, .on_gap = on_gap};

static void on_room(void *ctx) {
    (void)ctx;
}

/* ---- the gateway */

static void on_connection(uv_stream_t *server, int status) {
    struct routes_room *room = container_of((uv_tcp_t *)server, struct routes_room, server);
    assert_int_equal(status, 0);
    struct conn *c = http_accept(&room->conns, server, NULL, &room->endpoint.at, &room->http_host);
    if (c != NULL)
        peers_hold(&room->peers, &c->hold, c->ip, conns_now(&room->conns));
}

static void listen_here(struct routes_room *room) {
    struct sockaddr_in address;
    int len = sizeof(address);
    MUST(uv_tcp_init(&room->bus_room.loop, &room->server) == 0);
    MUST(uv_ip4_addr("127.0.0.1", 0, &address) == 0);
    MUST(uv_tcp_bind(&room->server, (struct sockaddr *)&address, 0) == 0);
    MUST(uv_listen((uv_stream_t *)&room->server, 64, on_connection) == 0);
    MUST(uv_tcp_getsockname(&room->server, (struct sockaddr *)&address, &len) == 0);
    room->port = ntohs(address.sin_port);
}

static void read_settings(struct routes_room *room) {
    static char program[] = "test", *arguments[] = {program, NULL};
    struct settings *s = &room->bus_room.settings;
    int rest;
    MUST(settings_parse(s, FOR_ALL, 1, arguments, &rest) == SETTINGS_OK);
    s->redis = room->has_redis ? room->bus_room.url : "redis://127.0.0.1:1";
    s->partitions = ROUTES_ROOM_PARTITIONS;
    s->lua_budget_ms = DEFAULT_BUDGET_MS;
}

static void open_bus(struct routes_room *room) {
    struct bus_room *bus_room = &room->bus_room;
    if (room->has_redis) {
        bus_room_init(bus_room, ROUTES_ROOM_PARTITIONS);
    } else {
        MUST(uv_loop_init(&bus_room->loop) == 0);
        MUST(uv_timer_init(&bus_room->loop, &bus_room->timer) == 0);
    }
    log_set_level(LOG_ERROR + 1);
    read_settings(room);
    room->bus = room->has_redis ? bus_room_join(bus_room, BUS_GATEWAY)
                                : bus_new(&bus_room->loop, &bus_room->settings, BUS_GATEWAY);
    for (int i = 0; room->has_redis && i < 500 && !bus_may_register(room->bus); i++)
        bus_room_turn(bus_room, 10);
}

static void open_conns(struct routes_room *room) {
    const struct settings *s = &room->bus_room.settings;
    static char name[] = "e", any[] = "*";
    message_frames_init(&room->frames);
    peers_init(&room->peers, s, &room->proxies.trusted, MOST);
    conns_init(&room->conns, &room->bus_room.loop, (size_t)s->max_queue_bytes, 100);
    room->conns.peers = &room->peers;
    turn_start(&room->conns);
    room->endpoint.at =
        (struct endpoint){.name = name, .address = any, .port = 80, .is_http = true, .is_ws = true};
    room->endpoints = (struct endpoints){.items = &room->endpoint, .count = 1};
}

static void open_routes(struct routes_room *room) {
    uv_loop_t *loop = &room->bus_room.loop;
    const struct settings *s = &room->bus_room.settings;
    room->registry = registry_new(room->bus);
    room->ingest = ingest_new(room->bus, "", (size_t)s->max_uplink_bytes, on_room, room);
    room->follower = follower_new(room->bus, &follower_events, room);
    clients_init(&room->clients, room->bus, room->follower, &room->app);
    room->client_host = (struct client_host){.settings = s,
                                             .registry = room->registry,
                                             .frames = &room->frames,
                                             .events = &client_events,
                                             .ctx = room};
    room->routes = (struct routes){.loop = loop,
                                   .settings = s,
                                   .bus = room->bus,
                                   .registry = room->registry,
                                   .ingest = room->ingest,
                                   .app = &room->app,
                                   .endpoints = &room->endpoints,
                                   .clients = &room->clients,
                                   .peers = &room->peers,
                                   .proxies = &room->proxies,
                                   .frames = &room->frames,
                                   .client_host = &room->client_host};
    TAILQ_INIT(&room->routes.replays.waiting);
    room->routes.posts = posts_new(loop, room->bus, &room->client_host, ROUTES_ROOM_POST_MS);
    room->http_host = (struct http_host){.settings = s,
                                         .proxies = &room->proxies,
                                         .on_request = dispatch,
                                         .on_refused = dispatch_refused,
                                         .routes = &room->routes};
}

void routes_room_init(struct routes_room *room, const char *app, enum routes_room_bus bus) {
    memset(room, 0, sizeof(*room));
    room->has_redis = bus == WITH_REDIS;
    snprintf(room->folder, sizeof(room->folder), "/tmp/signalbox-routes.XXXXXX");
    assert_non_null(mkdtemp(room->folder));
    open_bus(room);
    open_conns(room);
    open_routes(room);
    routes_room_load(room, app);
    listen_here(room);
}

void routes_room_file(const struct routes_room *room, const char *name, struct bytes content) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", room->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    if (content.len > 0)
        assert_int_equal(fwrite(content.ptr, 1, content.len, file), content.len);
    assert_int_equal(fclose(file), 0);
}

void routes_room_load(struct routes_room *room, const char *app) {
    char *error = NULL;
    struct app_environment environment = {.loop = &room->bus_room.loop,
                                          .settings = &room->bus_room.settings,
                                          .bus = room->bus,
                                          .host = &handler_send_host,
                                          .host_ctx = &room->routes};
    routes_room_file(room, "app.lua", bytes_str(app));
    struct app *loaded = app_load(room->folder, &environment, &error);
    if (loaded == NULL)
        fail_msg("%s", error);
    if (room->app != NULL)
        app_release(room->app);
    room->app = loaded;
}

void routes_room_deinit(struct routes_room *room) {
    char line[100];
    struct bus_room *bus_room = &room->bus_room;
    client_unref(room->client);
    for (int i = 0;
         i < 200 && (room->conns.count + room->conns.unfreed > 0 || memory_of(MEMORY_requests) > 0);
         i++)
        bus_room_turn(bus_room, 10); /* handlers may still hold their requests */
    assert_int_equal(room->conns.count + room->conns.unfreed, 0);
    assert_int_equal(room->routes.references, 0);
    assert_int_equal(memory_of(MEMORY_requests), 0);
    posts_free(room->routes.posts);
    bus_hang_up(room->bus);
    uv_close((uv_handle_t *)&room->server, NULL);
    clients_deinit(&room->clients);
    follower_free(room->follower);
    ingest_free(room->ingest);
    registry_free(room->registry);
    app_release(room->app);
    bus_close(room->bus);
    turn_stop(&room->conns);
    conns_deinit(&room->conns);
    peers_deinit(&room->peers);
    message_frames_deinit(&room->frames);
    buf_deinit(&room->heard);
    buf_deinit(&room->reply);
    buf_deinit(&room->once);
    if (room->has_redis) {
        bus_room_deinit(bus_room);
    } else {
        uv_close((uv_handle_t *)&bus_room->timer, NULL);
        uv_run(&bus_room->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&bus_room->loop), 0);
    }
    snprintf(line, sizeof(line), "rm -rf %s", room->folder);
    assert_int_equal(system(line), 0);
}

/* ---- clients */

int routes_room_connect(struct routes_room *room) {
    struct sockaddr_in address;
    size_t before = room->conns.count;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(uv_ip4_addr("127.0.0.1", room->port, &address) == 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    room->callers++;
    for (int i = 0; i < 1000 && room->conns.count == before; i++)
        bus_room_turn(&room->bus_room, 1);
    return fd;
}

void routes_room_say(struct routes_room *room, int fd, struct bytes text) {
    while (text.len > 0) {
        ssize_t n = send(fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            text = bytes_from(text, (size_t)n);
        else
            bus_room_turn(&room->bus_room, 1);
    }
}

struct bytes routes_room_hear(struct routes_room *room, int fd, const char *what) {
    static struct buf got;
    static char some[65536];
    size_t len = strlen(what);
    buf_clear(&got);
    for (int i = 0; i < WAIT_MS; i++) {
        ssize_t n = recv(fd, some, sizeof(some), MSG_DONTWAIT | MSG_PEEK);
        if (n == 0)
            return buf_bytes(&got);
        if (n < 0) {
            bus_room_turn(&room->bus_room, 1);
            continue;
        }
        size_t before = got.len;
        buf_append(&got, bytes_of(some, (size_t)n));
        const char *found = len > 0 ? memmem(got.ptr, got.len, what, len) : NULL;
        if (found != NULL)
            got.len = (size_t)(found - got.ptr) + len; /* the rest is for the next call */
        assert_int_equal(recv(fd, some, got.len - before, MSG_DONTWAIT), got.len - before);
        if (found != NULL)
            return buf_bytes(&got);
    }
    fail_msg("%s did not come, but %.*s", what, BYTES_FMT(buf_bytes(&got)));
    return BYTES_NONE;
}

void routes_room_hang_up(struct routes_room *room, int fd) {
    const struct conns *set = &room->conns;
    close(fd);
    room->callers--;
    for (int i = 0; i < 500 && set->count + set->unfreed > room->callers; i++)
        bus_room_turn(&room->bus_room, 1);
}

struct bytes routes_room_ask(struct routes_room *room, const char *request) {
    int fd = routes_room_connect(room);
    routes_room_say(room, fd, bytes_str(request));
    struct bytes answer = routes_room_hear(room, fd, "");
    routes_room_hang_up(room, fd);
    return answer;
}

static void say_request(struct routes_room *room, int fd, const char *method, const char *target,
                        const char *fields) {
    struct buf text = {0};
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, target, fields);
    routes_room_say(room, fd, buf_bytes(&text));
    buf_deinit(&text);
}

struct bytes routes_room_get(struct routes_room *room, const char *method, const char *target,
                             const char *fields) {
    char all[8192];
    int fd = routes_room_connect(room);
    snprintf(all, sizeof(all), "Connection: close\r\n%s", fields);
    say_request(room, fd, method, target, all);
    struct bytes answer = routes_room_hear(room, fd, "");
    routes_room_hang_up(room, fd);
    return answer;
}

int routes_room_upgrade(struct routes_room *room, const char *target, const char *fields,
                        struct bytes *head_out) {
    char all[8192];
    int fd = routes_room_connect(room);
    snprintf(all, sizeof(all), ROUTES_ROOM_UPGRADE "%s", fields);
    say_request(room, fd, "GET", target, all);
    struct bytes answer = routes_room_hear(room, fd, "\r\n\r\n");
    if (routes_room_status(answer) != 101)
        fail_msg("%s: %.*s", target, BYTES_FMT(routes_room_hear(room, fd, "")));
    if (head_out != NULL)
        *head_out = answer;
    return fd;
}

/* ---- answers */

int routes_room_status(struct bytes answer) {
    return answer.len > 12 && memcmp(answer.ptr, "HTTP/1.", 7) == 0 ? atoi(answer.ptr + 9) : 0;
}

struct bytes routes_room_field(struct bytes answer, const char *name) {
    while (answer.ptr != NULL) {
        struct bytes value = bytes_split(&answer, '\n');
        if (value.len <= 1)
            break;
        struct bytes key = bytes_split(&value, ':');
        if (bytes_equal_nocase(key, bytes_str(name)))
            return bytes_trim(bytes_head(value, value.len - 1));
    }
    return BYTES_NONE;
}

struct bytes routes_room_body(struct bytes answer) {
    const char *end = memmem(answer.ptr, answer.len, "\r\n\r\n", 4);
    return end == NULL ? BYTES_NONE : bytes_from(answer, (size_t)(end - answer.ptr) + 4);
}

void routes_room_expect(struct bytes answer, int status, const char *body) {
    if (routes_room_status(answer) != status ||
        (body != NULL && !bytes_equal_str(routes_room_body(answer), body)))
        fail_msg("not %d %s, but %.*s", status, body != NULL ? body : "", BYTES_FMT(answer));
}

/* ---- what was sent to the brokers */

static bool reply_has(const struct redisReply *reply, const char *text) {
    for (size_t i = 0; i < reply->elements; i++)
        if (reply_has(reply->element[i], text))
            return true;
    return reply->type == REDIS_REPLY_STRING &&
           memmem(reply->str, reply->len, text, strlen(text)) != NULL;
}

bool routes_room_sent(struct routes_room *room, const char *name, const char *text) {
    unsigned partition = partition_of(bytes_str(name), ROUTES_ROOM_PARTITIONS);
    struct redisReply *reply =
        redisCommand(room->bus_room.redis.admin, "XRANGE sb:{%s}:in - +", partition_tag(partition));
    assert_non_null(reply);
    bool has_it = reply_has(reply, text);
    freeReplyObject(reply);
    return has_it;
}

unsigned routes_room_entries(struct routes_room *room) {
    unsigned sum = 0;
    for (unsigned i = 0; i < ROUTES_ROOM_PARTITIONS; i++)
        sum += (unsigned)atoi(bus_room_ask(&room->bus_room, "XLEN sb:{%s}:in", partition_tag(i)));
    return sum;
}
