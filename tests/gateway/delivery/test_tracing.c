/*
 * test_tracing.c - the events of a message on its way up and down, as somebody who follows it hears
 * them from a real Redis.
 */
#include "gateway/delivery/tracing.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/log.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/trace.h"
#include "common/bus/notice.h"
#include "gateway/conn/conn.h"
#include "gateway/delivery/uplink.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "tests/common/app/app_of_text.h"
#include "tests/common/bus/bus_room.h"

enum { CLIENTS = 4, INGEST_BYTES = 8192, TOO_LARGE = 1500000 };

struct world {
    struct bus_room room;
    struct bus *bus;
    struct ingest *ingest;
    struct trace trace;
    struct uplink uplink;
    struct follower *follower;
    struct app *app;
    struct clients clients;
    struct name_entry *entry; /* of the Name N */
    struct client_host host;
    struct conn conns[CLIENTS];
    struct client *client[CLIENTS]; /* a, b, b again, and c, which is in the group g */
    struct redisContext *listener;
    struct buf heard;
};

static struct world w;

/* ---- the one who follows */

static void follow(const char *token, bool is_client, const char *text) {
    struct notice_trace n = {bytes_str(token), 60000, is_client, bytes_str(text)};
    trace_on_notice(&w.trace, &n);
}

static void follow_no_more(const char *token) {
    struct notice_trace n = {bytes_str(token), 0, true, BYTES_LIT("x")};
    trace_on_notice(&w.trace, &n);
}

/* For the test itself, which tells it the end. */
static unsigned place_of_end(void) {
    unsigned i = 0;
    follow("end", false, "-");
    while (strcmp(w.trace.all[i].token, "end") != 0)
        i++;
    return i;
}

static void listen_to_all(void) {
    w.listener = redisConnectUnix(w.room.redis.path);
    freeReplyObject(redisCommand(w.listener, "PSUBSCRIBE sb:{sb}:trace:*"));
}

static void append(struct buf *out, const char *name, struct bytes text) {
    if (text.ptr != NULL)
        buf_printf(out, " %s=%.*s", name, BYTES_FMT(text));
}

static void append_number(struct buf *out, const char *name, int64_t number) {
    if (number >= 0)
        buf_printf(out, " %s=%lld", name, (long long)number);
}

/* An event as a line: whom it is for, the hop, and what is known of it. True: it was the last. */
static bool write_down(const struct redisReply *r) {
    const char *token = strrchr(r->element[2]->str, ':') + 1;
    struct trace_event e;
    assert_true(trace_event_decode(bytes_of(r->element[3]->str, r->element[3]->len), &e));
    if (bytes_equal_str(e.hop, "listening"))
        return false;
    if (bytes_equal_str(e.hop, "end"))
        return true;
    assert_true(bytes_equal_str(e.process, "gateway"));
    buf_printf(&w.heard, "%s %.*s", token, BYTES_FMT(e.hop));
    append(&w.heard, "id", e.client_id);
    append(&w.heard, "name", e.name);
    append(&w.heard, "opcode", e.opcode);
    append(&w.heard, "kind", e.kind);
    append(&w.heard, "message", e.message_id);
    append(&w.heard, "to", e.to_client_id);
    append_number(&w.heard, "bytes", e.bytes);
    append_number(&w.heard, "partition", e.partition);
    append_number(&w.heard, "connection", e.connection);
    append_number(&w.heard, "connections", e.connections);
    append_number(&w.heard, "sent", e.kind.ptr != NULL ? e.sent_ms : -1);
    assert_true(e.sent_ms > 0);
    buf_append_char(&w.heard, '\n');
    return false;
}

/* All that was told up to now. */
static void hear(void) {
    struct trace_event end = trace_event_of("end");
    struct pollfd fd = {.fd = w.listener->fd, .events = POLLIN};
    bool is_over = false;
    buf_clear(&w.heard);
    trace_tell(&w.trace, 1u << place_of_end(), &end);
    for (int i = 0; i < 2000 && !is_over; i++) {
        void *reply = NULL;
        bus_room_turn(&w.room, 1);
        if (poll(&fd, 1, 0) == 1)
            assert_int_equal(redisBufferRead(w.listener), REDIS_OK);
        while (redisGetReplyFromReader(w.listener, &reply) == REDIS_OK && reply != NULL) {
            is_over = write_down(reply);
            freeReplyObject(reply);
        }
    }
    assert_true(is_over);
}

static void assert_is(const char *expected) {
    if (!bytes_equal_str(buf_bytes(&w.heard), expected))
        fail_msg("%.*s instead of\n%s", BYTES_FMT(buf_bytes(&w.heard)), expected);
}

static void assert_heard(const char *expected) {
    hear();
    assert_is(expected);
}

/* ---- the gateway */

static void ignore(void *carrier, enum hold why) {
    (void)carrier;
    (void)why;
}

static void on_close(void *carrier, const struct transport_end *end) {
    (void)carrier;
    (void)end;
}

static const struct transport transport = {.close = on_close, .hold = ignore, .release = ignore};

static void on_message(void *ctx, void *owner, const struct message *m) {
    (void)ctx;
    (void)owner;
    (void)m;
}

static void on_gap(void *ctx, void *owner, enum gap gap) {
    (void)ctx;
    (void)owner;
    (void)gap;
}

static void on_room(void *ctx) {
    (void)ctx;
    uplink_on_room(&w.uplink);
}

static void add(size_t i, const char *id, const char *group) {
    w.client[i] = client_new(&w.host,
                             &(struct identity){.name = BYTES_LIT("N"),
                                                .client_id = bytes_str(id),
                                                .group = bytes_str(group),
                                                .number = i + 1},
                             WIRE_WS);
    w.client[i]->transport = &transport;
    w.client[i]->conn = &w.conns[i];
    w.client[i]->partition = 1;
    clients_attach(w.entry, w.client[i]);
}

static int setup_unstarted(void **state) {
    static const struct follower_events events = {.on_message = on_message, .on_gap = on_gap};
    (void)state;
    memset(&w, 0, sizeof(w));
    bus_room_init(&w.room, 2);
    log_set_level(LOG_ERROR + 1);
    w.room.settings.max_uplink_bytes = INGEST_BYTES;
    w.room.settings.lua_memory_bytes = 1 << 26;
    w.room.settings.lua_budget_ms = 1000;
    w.bus = bus_new(&w.room.loop, &w.room.settings, BUS_GATEWAY);
    w.ingest = ingest_new(w.bus, "", INGEST_BYTES, on_room, NULL);
    trace_init(&w.trace, w.bus, "gateway");
    uplink_init(&w.uplink, w.bus, w.ingest, &w.trace);
    w.follower = follower_new(w.bus, &events, NULL);
    w.app = app_of_text(
        "", &(struct app_environment){.loop = &w.room.loop, .settings = &w.room.settings});
    clients_init(&w.clients, w.bus, w.follower, &w.app);
    w.entry = clients_enter(&w.clients, BYTES_LIT("N"));
    w.entry->partition = 1;
    w.host = (struct client_host){.settings = &w.room.settings};
    add(0, "a", "");
    add(1, "b", "");
    add(2, "b", "");
    add(3, "c", "g");
    listen_to_all();
    return 0;
}

static int setup(void **state) {
    setup_unstarted(state);
    bus_room_start(&w.room, w.bus);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < CLIENTS; i++) {
        clients_detach(w.client[i]);
        uplink_events.on_left(&w.uplink, w.client[i]);
        client_unref(w.client[i]);
    }
    redisFree(w.listener);
    buf_deinit(&w.heard);
    ingest_free(w.ingest);
    uplink_deinit(&w.uplink);
    trace_deinit(&w.trace);
    bus_hang_up(w.bus);
    clients_deinit(&w.clients);
    follower_free(w.follower);
    app_release(w.app);
    bus_close(w.bus);
    bus_room_deinit(&w.room);
    return 0;
}

static void say(size_t client, bool is_binary, size_t len) {
    static char body[TOO_LARGE];
    struct said said = {.is_binary = is_binary, .body = bytes_of(body, len)};
    uplink_events.on_message(&w.uplink, w.client[client], &said);
}

static void await_redis(void) {
    for (int i = 0; i < 500 && ingest_count(w.ingest) > 0; i++)
        bus_room_turn(&w.room, 5);
    assert_int_equal(ingest_count(w.ingest), 0);
}

/* ---- up */

#define UP(token, hop, rest) token " " hop " id=b name=N" rest " partition=1 connection=2\n"

static void a_message_up_is_received_and_accepted(void **state) {
    (void)state;
    follow("client", true, "b");
    follow("other", true, "x");
    say(1, false, 5);
    say(0, false, 5); /* nobody follows a */
    await_redis();
    assert_heard(UP("client", "received", " opcode=text bytes=5") UP("client", "accepted", ""));
}

static void who_follows_the_name_hears_it_too(void **state) {
    (void)state;
    follow("name", false, "N");
    follow("client", true, "b");
    say(1, true, 0);
    await_redis();
    assert_heard(UP("name", "received", " opcode=binary bytes=0")
                     UP("client", "received", " opcode=binary bytes=0") UP("name", "accepted", "")
                         UP("client", "accepted", ""));
}

/* Whatever happens to one that is not accepted: that is not told, and its memory goes. */
static void what_is_not_accepted_is_not_said_to_be(void **state) {
    (void)state;
    bus_room_ask(&w.room, "CONFIG SET proto-max-bulk-len 1048576");
    follow("name", false, "N");
    say(0, false, TOO_LARGE); /* on its way before the bound is known */
    say(1, false, TOO_LARGE); /* waits for room */
    bus_room_start(&w.room, w.bus);
    await_redis();
    assert_heard("");
    say(3, false, TOO_LARGE);
    assert_heard("name received id=c name=N opcode=text bytes=1500000 partition=1 connection=4\n");
}

static void one_that_waited_is_accepted_once(void **state) {
    (void)state;
    follow("name", false, "N");
    say(0, false, INGEST_BYTES - 600);
    say(1, false, 1000);
    bus_room_start(&w.room, w.bus);
    await_redis();
    assert_heard("name accepted id=a name=N partition=1 connection=1\n" UP("name", "accepted", ""));
}

static void one_that_waits_may_be_taken_back(void **state) {
    (void)state;
    follow("name", false, "N");
    say(0, false, INGEST_BYTES - 600);
    say(1, false, 1000);
    assert_true(uplink_events.take_back(&w.uplink, w.client[1]));
    bus_room_start(&w.room, w.bus);
    await_redis();
    assert_heard("name accepted id=a name=N partition=1 connection=1\n");
}

/* ---- down */

static struct message message(void) {
    return (struct message){.id = {5, 7},
                            .kind = MESSAGE_DATA,
                            .ts_ms = 99,
                            .from = BYTES_LIT("s"),
                            .data = BYTES_LIT("hi")};
}

static const char *down(const char *token, const char *id, const char *kind, const char *to,
                        const char *rest) {
    static char lines[4][200];
    static unsigned at;
    char *line = lines[at++ % 4];
    snprintf(line, sizeof(lines[0]),
             "%s delivered%s%s name=N kind=%s message=5-7%s bytes=2 "
             "partition=1%s sent=99\n",
             token, id[0] != '\0' ? " id=" : "", id, kind, to, rest);
    return line;
}

/* The two lines may come in either order. */
static void assert_delivered(const struct message *m, size_t connections, const char *first,
                             const char *second) {
    char expected[400], otherwise[400];
    tracing_delivered(&w.trace, w.entry, m, connections);
    snprintf(expected, sizeof(expected), "%s%s", first, second);
    snprintf(otherwise, sizeof(otherwise), "%s%s", second, first);
    hear();
    assert_is(bytes_equal_str(buf_bytes(&w.heard), otherwise) ? otherwise : expected);
}

static void a_message_down_is_told_with_its_count(void **state) {
    static const struct {
        enum message_kind kind;
        const char *text, *count;
    } kinds[] = {{MESSAGE_DATA, "data", " connections=3"},
                 {MESSAGE_NOTE, "note", " connections=3"},
                 {MESSAGE_CLOSE, "close", ""}}; /* which counts in no way */
    (void)state;
    follow("name", false, "N");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct message m = message();
        m.kind = kinds[i].kind;
        assert_delivered(&m, 3, down("name", "s", kinds[i].text, "", kinds[i].count), "");
        assert_delivered(
            &m, 0,
            down("name", "s", kinds[i].text, "", kinds[i].count[0] == '\0' ? "" : " connections=0"),
            "");
    }
}

/* The sender's follower hears of each gateway where it had receivers. */
static void who_follows_the_sender_hears_of_it(void **state) {
    struct message m = message();
    (void)state;
    follow("sender", true, "s");
    assert_delivered(&m, 3, down("sender", "s", "data", "", " connections=3"), "");
    assert_delivered(&m, 0, "", "");
    m.flags = FLAG_RECEIPT; /* then `from` is no sender */
    assert_delivered(&m, 3, "", "");
    m.flags = 0;
    m.from = BYTES_NONE;
    assert_delivered(&m, 3, "", "");
}

/* And a receiver's follower of each of its connections that it was queued to. */
static void who_follows_a_receiver_hears_of_its_connections(void **state) {
    struct bytes g = BYTES_LIT("G"), b = BYTES_LIT("b"), x = BYTES_LIT("x");
    struct message m = message();
    (void)state;
    follow("twice", true, "b");
    follow("alone", true, "c");
    m.to_groups = (struct bytes_list){.items = &g, .count = 1};
    assert_delivered(&m, 1, down("alone", "s", "data", " to=c", " connection=4"), "");
    m.to_groups = (struct bytes_list){0};
    m.to_clients = (struct bytes_list){.items = &x, .count = 1};
    assert_delivered(&m, 1, "", "");
    m.to_clients = (struct bytes_list){.items = &b, .count = 1};
    assert_delivered(&m, 2, down("twice", "s", "data", " to=b", " connection=3"),
                     down("twice", "s", "data", " to=b", " connection=2"));
    w.entry->slots[w.client[1]->slot].skips = SKIPS_OWN; /* it joined after the message */
    assert_delivered(&m, 1, down("twice", "s", "data", " to=b", " connection=3"), "");
}

/* The first and the last of those who can, and nobody for a Name that is called like a client. */
static void each_of_the_followers_hears(void **state) {
    char token[] = "0";
    struct message m = message();
    (void)state;
    follow("first", true, "b");
    for (int i = 2; i < TRACES_MAX; i++, token[0]++)
        follow(token, i % 2 == 0, i % 2 == 0 ? "nobody" : "b");
    follow("last", true, "c");
    assert_int_equal(w.trace.count, TRACES_MAX);
    follow_no_more("3");
    clients_detach(w.client[1]);
    assert_delivered(&m, 3, down("first", "s", "data", " to=b", " connection=3"),
                     down("last", "s", "data", " to=c", " connection=4"));
}

int main(void) {
#define TEST(fn)    cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define WITHOUT(fn) cmocka_unit_test_setup_teardown(fn, setup_unstarted, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_message_up_is_received_and_accepted),
        TEST(who_follows_the_name_hears_it_too),
        WITHOUT(what_is_not_accepted_is_not_said_to_be),
        WITHOUT(one_that_waited_is_accepted_once),
        WITHOUT(one_that_waits_may_be_taken_back),
        TEST(a_message_down_is_told_with_its_count),
        TEST(who_follows_the_sender_hears_of_it),
        TEST(who_follows_a_receiver_hears_of_its_connections),
        TEST(each_of_the_followers_hears),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
