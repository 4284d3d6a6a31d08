/* test_multiplex.c - many Signal connections on one WebSocket, in a gateway without a broker: opens,
 * what refuses and forgets them, holds, and ends. */
#include "gateway/routes/multiplex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/codec/ws_codec.h"
#include "gateway/session/channel.h"
#include "tests/gateway/routes/routes_room.h"

#define V1 "Sec-WebSocket-Protocol: signalbox.v1\r\n"

static struct routes_room room;
static int fd;

static const char app[] =
    "signalbox.route('GET', '/g', function(w) w:convert { name = w.query.name or 'N' } end)\n"
    "signalbox.route('GET', '/l', function(w)\n"
    "  w:convert { name = 'L', scope = 'local' }\n"
    "  signalbox.send { mode = 'direct', data = 'hi' }\n"
    "  if w.query.stays then signalbox.sleep(0.5) end\n"
    "end)\n"
    "signalbox.route('GET', '/wait', function(w) signalbox.sleep(0.5) w:text('late') end)\n"
    "signalbox.route('GET', '/busy', function(w)\n"
    "  w:respond { status = 429, headers = { ['Retry-After'] = '3' }, body = ' a \\n b' } end)\n";

static int setup(void **state) {
    (void)state;
    routes_room_init(&room, app, WITH_REDIS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_deinit(&room);
    return 0;
}

static void say(const char *text) {
    struct buf frame = {0};
    unsigned char header[WS_HEADER_OUT_MAX];
    size_t len = ws_frame_header(header, WS_TEXT, strlen(text));
    header[1] |= 0x80; /* masked, with a key of zeros */
    buf_append(&frame, bytes_of(header, len));
    buf_append(&frame, bytes_of("\0\0\0\0", 4));
    buf_append_str(&frame, text);
    routes_room_say(&room, fd, buf_bytes(&frame));
    buf_deinit(&frame);
}

static void hear(const char *text) {
    (void)routes_room_hear(&room, fd, text);
}

static void connect_socket(void) {
    struct bytes head;
    fd = routes_room_upgrade(&room, "/.signalbox", V1 "Authorization: Basic x\r\n", &head);
    assert_int_equal(routes_room_field(head, "X-PODE-SIGNAL-NAME").len, 0);
    hear("\"features\"");
}

static void hang_up(void) {
    routes_room_hang_up(&room, fd);
}

static struct client *client_of(const char *name) {
    struct name_entry *e = clients_find(&room.clients, bytes_str(name));
    assert_non_null(e);
    assert_int_equal(e->count, 1);
    return e->slots[0].client;
}

static void a_local_route_on_a_channel(void **state) {
    (void)state;
    connect_socket();
    say("{\"type\":\"open\",\"ref\":\"a\",\"path\":\"/l\"}");
    hear("{\"channel\":1,\"ref\":\"a\",\"type\":\"hello\"");
    hear("{\"channel\":1,\"type\":\"message\",\"id\":null,\"name\":\"L\",\"data\":\"hi\"}");
    hear("{\"channel\":1,\"type\":\"closed\",\"code\":1000,\"reason\":\"\"}");
    say("{\"type\":\"open\",\"ref\":\"a\",\"path\":\"/l?stays=1\"}");
    hear("{\"channel\":2,\"type\":\"message\"");
    hang_up(); /* the route goes on without it */
}

static void refusals(void **state) {
    static const struct {
        const char *path, *answer;
    } cases[] = {{"/nowhere", "\"status\":404,\"message\":\"not found\"}"},
                 {"/busy", "\"status\":429,\"message\":\"a\",\"retryMs\":3000}"},
                 {"/.signalbox", "\"status\":400,\"message\":\"a channel has no channels"},
                 {"/%zz", "\"status\":400"}};
    (void)state;
    connect_socket();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[200];
        snprintf(text, sizeof(text), "{\"type\":\"open\",\"ref\":%zu,\"path\":\"%s\"}", i,
                 cases[i].path);
        say(text);
        snprintf(text, sizeof(text), "{\"ref\":%zu,\"type\":\"error\",\"code\":\"refused\",%s", i,
                 cases[i].answer);
        hear(text);
    }
    hang_up();
}

static void an_open_is_forgotten_by_its_ref(void **state) {
    (void)state;
    connect_socket();
    say("{\"type\":\"open\",\"ref\":5,\"path\":\"/wait\"}");
    say("{\"type\":\"open\",\"ref\":5,\"path\":\"/g\"}");
    hear("{\"ref\":5,\"type\":\"error\",\"code\":\"bad_request\"");
    say("{\"type\":\"close\",\"ref\":5}");
    hear("{\"ref\":5,\"type\":\"closed\",\"code\":1000,\"reason\":\"\"}");
    say("{\"type\":\"open\",\"ref\":5,\"path\":\"/g?name=Again\"}");
    hear("{\"channel\":1,\"ref\":5,");
    say("{\"type\":\"close\",\"ref\":5}"); /* it is a channel by now */
    hear("{\"channel\":1,\"type\":\"closed\"");
    hang_up();
}

static void opens_have_a_bound(void **state) {
    (void)state;
    connect_socket();
    int64_t before = room.bus_room.settings.max_channels_per_socket;
    room.bus_room.settings.max_channels_per_socket = 2;
    say("{\"type\":\"open\",\"ref\":1,\"path\":\"/wait\"}");
    say("{\"type\":\"open\",\"ref\":2,\"path\":\"/g?name=Two\"}");
    hear("\"ref\":2,\"type\":\"hello\"");
    say("{\"type\":\"open\",\"ref\":3,\"path\":\"/g\"}");
    hear("{\"ref\":3,\"type\":\"error\",\"code\":\"refused\",\"status\":429");
    hang_up();
    room.bus_room.settings.max_channels_per_socket = before;
}

/* Messages of a held channel wait, and go on in their order; beyond the bound they are refused. No
 * other channel is held up. */
static void a_held_channel_holds_no_other(void **state) {
    struct buf text = {0};
    (void)state;
    connect_socket();
    say("{\"type\":\"open\",\"ref\":1,\"path\":\"/g?name=Held\"}");
    say("{\"type\":\"open\",\"ref\":2,\"path\":\"/g?name=Free\"}");
    hear("{\"channel\":2,");
    struct client *held = client_of("Held");
    client_hold(held, HOLD_ROOM);
    buf_clear(&room.heard);
    say("{\"channel\":1,\"n\":1}");
    say("{\"channel\":2,\"n\":2}");
    buf_append_str(&text, "{\"channel\":1,\"ref\":\"large\",\"x\":\"");
    for (int i = 0; i < CHANNEL_WAITING_MAX; i++)
        buf_append_char(&text, 'x');
    buf_append_str(&text, "\"}");
    buf_append_char(&text, '\0');
    say(text.ptr);
    hear("{\"channel\":1,\"ref\":\"large\",\"type\":\"error\",\"code\":\"busy\",\"status\":503,");
    say("{\"channel\":1,\"n\":3}");
    say("{\"type\":\"ping\"}");
    hear("{\"type\":\"pong\"}");
    assert_true(bytes_equal_str(buf_bytes(&room.heard), "{\"n\":2} "));
    client_release(held, HOLD_ROOM);
    say("{\"type\":\"close\",\"channel\":1}");
    hear("{\"channel\":1,\"type\":\"closed\"");
    assert_true(bytes_equal_str(buf_bytes(&room.heard), "{\"n\":2} {\"n\":1} {\"n\":3} "));
    buf_deinit(&text);
    hang_up();
}

/* Whoever closes a client may go on with it: it is freed in a later turn. */
static void a_client_is_closed_from_above(void **state) {
    (void)state;
    connect_socket();
    say("{\"type\":\"open\",\"ref\":1,\"path\":\"/g?name=Closed\"}");
    hear("{\"channel\":1,");
    struct client *client = client_of("Closed");
    client_close(client, CLOSE_REPLACED);
    assert_string_equal(client->cause, "server:4001:replaced");
    assert_true(client->has_left);
    client_close(client, CLOSE_NORMAL);
    hear("{\"channel\":1,\"type\":\"closed\",\"code\":4001,\"reason\":\"replaced\"}");
    say("{\"channel\":1,\"message\":\"x\",\"ref\":\"r\"}");
    hear("{\"channel\":1,\"ref\":\"r\",\"type\":\"error\",\"code\":\"bad_request\"");
    hang_up();
}

/* What a channel is sent first goes past the bound of the queue, once more as far at most. */
static void what_comes_first_has_a_bound(void **state) {
    char text[501];
    size_t bound = room.conns.max_queue_bytes, sent = 0;
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    connect_socket();
    say("{\"type\":\"open\",\"ref\":1,\"path\":\"/g?name=First\"}");
    hear("{\"channel\":1,");
    struct client *client = client_of("First");
    struct message m = {.kind = MESSAGE_DATA, .data = bytes_str(text)};
    struct frame f = message_frames_make(&room.frames, &m, BYTES_LIT("First"), WIRE_CHANNEL);
    room.conns.max_queue_bytes = 4000;
    while (sent < 20 && client_send_frame(client, f, true) == CONN_QUEUED)
        sent++;
    assert_in_range(sent, 11, 13); /* of 8,000 bytes, with the ranges' own */
    assert_true(client_is_open(client));
    frame_unref(f);
    room.conns.max_queue_bytes = bound;
    hear("xxx\"}");
    hang_up();
}

/* The socket's queue is full for a channel: the socket ends, but not within a walk over clients. */
static void a_slow_channel_ends_its_socket_later(void **state) {
    (void)state;
    connect_socket();
    say("{\"type\":\"open\",\"ref\":1,\"path\":\"/g?name=Slow\"}");
    say("{\"type\":\"open\",\"ref\":2,\"path\":\"/g?name=Beside\"}");
    hear("{\"channel\":2,");
    struct client *slow = client_ref(client_of("Slow")), *beside = client_ref(client_of("Beside"));
    client_close(slow, CLOSE_SLOW);
    assert_true(client_is_open(slow) && client_is_open(beside));
    client_send(beside, 0, BYTES_LIT("after")); /* what follows the loss must not come */
    struct bytes all =
        routes_room_hear(&room, fd, "\"channel\":2,\"type\":\"closed\",\"code\":4002");
    assert_null(memmem(all.ptr, all.len, "after", 5));
    assert_string_equal(slow->cause, "server:4002:slow");
    assert_string_equal(beside->cause, "server:4002:slow");
    client_unref(slow);
    client_unref(beside);
    hang_up();
}

static void what_is_no_handshake_of_ours(void **state) {
    (void)state;
    routes_room_expect(routes_room_get(&room, "GET", "/.signalbox", ""), 426, NULL);
    routes_room_expect(routes_room_get(&room, "POST", "/.signalbox", V1), 426, NULL);
    routes_room_expect(routes_room_get(&room, "GET", "/.signalbox", ROUTES_ROOM_UPGRADE), 426,
                       NULL);
    routes_room_expect(routes_room_get(&room, "GET", "/.signalbox/", ROUTES_ROOM_UPGRADE V1), 404,
                       NULL);
    routes_room_load(&room, "signalbox.multiplex('/m')\n"
                            "signalbox.route('GET', '/m', function(w) w:text('app') end)\n");
    routes_room_expect(routes_room_get(&room, "GET", "/m", V1), 200, "app");
    fd = routes_room_upgrade(&room, "/M", V1, NULL);
    hear("\"welcome\"");
    hang_up();
    routes_room_load(&room, app);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_local_route_on_a_channel),
        cmocka_unit_test(refusals),
        cmocka_unit_test(an_open_is_forgotten_by_its_ref),
        cmocka_unit_test(opens_have_a_bound),
        cmocka_unit_test(a_held_channel_holds_no_other),
        cmocka_unit_test(a_client_is_closed_from_above),
        cmocka_unit_test(what_comes_first_has_a_bound),
        cmocka_unit_test(a_slow_channel_ends_its_socket_later),
        cmocka_unit_test(what_is_no_handshake_of_ours),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, setup, teardown);
}
