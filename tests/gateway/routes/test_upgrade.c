/* test_upgrade.c - the identity that a connection gets at its upgrade, what is refused before, and
 * the 101. */
#include "gateway/routes/upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bus/log/envelope.h"
#include "common/bus/partition.h"
#include "tests/gateway/routes/routes_room.h"

static struct routes_room room;

static int setup(void **state) {
    (void)state;
    routes_room_init(&room, "", WITH_REDIS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_deinit(&room);
    return 0;
}

/* An app whose route /r converts so. `before` stands in the main chunk. */
static void load(const char *before, const char *options) {
    char app[2048];
    snprintf(app, sizeof(app),
             "%s\nsignalbox.route('GET', '/r', function(w) w:convert { %s } end)\n", before,
             options);
    routes_room_load(&room, app);
}

static void assert_field(struct bytes answer, const char *name, const char *value) {
    struct bytes is = routes_room_field(answer, name);
    if (value == NULL ? is.ptr != NULL : !bytes_equal_str(is, value))
        fail_msg("%s is %.*s, not %s in %.*s", name, BYTES_FMT(is),
                 value != NULL ? value : "missing", BYTES_FMT(answer));
}

static struct bytes upgrade_and_leave(const char *target, const char *fields) {
    struct bytes head;
    routes_room_hang_up(&room, routes_room_upgrade(&room, target, fields, &head));
    return head;
}

/* ---- the 101 */

static void the_101_says_who_one_is(void **state) {
    (void)state;
    for (int is_local = 0; is_local <= 1; is_local++) {
        load(is_local ? "signalbox.default_scope('local')" : "",
             "name = 'Näme', group = 'g', client_id = 'ann'");
        struct bytes head = upgrade_and_leave("/r", "");
        assert_field(head, "Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_field(head, "X-PODE-SIGNAL-NAME", "Näme");
        assert_field(head, "X-PODE-SIGNAL-GROUP", "g");
        assert_field(head, "X-PODE-SIGNAL-CLIENT-ID", "ann");
        assert_field(head, "Sec-WebSocket-Protocol", NULL);
    }
    load("", "name = 'N', group = ' \\t'"); /* a blank group is none */
    struct bytes head = upgrade_and_leave("/r", "");
    assert_field(head, "X-PODE-SIGNAL-GROUP", NULL);
    load("", "name = 'a\\tb'"); /* a tab is text */
    assert_field(upgrade_and_leave("/r", ""), "X-PODE-SIGNAL-NAME", "a\tb");
    routes_room_load(&room, "signalbox.route('GET', '/r', function(w) w:header('X-Own', 'mine')\n"
                            "  w:convert { name = 'N' } end)\n");
    assert_field(upgrade_and_leave("/r", ""), "X-Own", "mine");
}

/* Of several subprotocols ours is chosen, if it is offered. */
static void the_101_names_the_subprotocol(void **state) {
    static const struct {
        const char *offer, *chosen;
    } cases[] = {{"signalbox.v1", "signalbox.v1"},
                 {"chat, signalbox.v1", "signalbox.v1"},
                 {"signalbox.v2", NULL},
                 {"chat", NULL}};
    char fields[100];
    (void)state;
    for (int is_local = 0; is_local <= 1; is_local++)
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            load(is_local ? "signalbox.default_scope('local')" : "", "name = 'N'");
            snprintf(fields, sizeof(fields), "Sec-WebSocket-Protocol: %s\r\n", cases[i].offer);
            assert_field(upgrade_and_leave("/r", fields), "Sec-WebSocket-Protocol",
                         cases[i].chosen);
        }
}

static void who_brings_no_id_gets_a_new_one(void **state) {
    char first[64];
    (void)state;
    load("", "name = 'N'");
    struct bytes id = routes_room_field(upgrade_and_leave("/r", ""), "X-PODE-SIGNAL-CLIENT-ID");
    assert_int_equal(id.len, 36);
    snprintf(first, sizeof(first), "%.*s", BYTES_FMT(id));
    id = routes_room_field(upgrade_and_leave("/r", ""), "X-PODE-SIGNAL-CLIENT-ID");
    assert_false(bytes_equal_str(id, first));
    load("", "name = 'N', client_id = ''");
    id = routes_room_field(upgrade_and_leave("/r", ""), "X-PODE-SIGNAL-CLIENT-ID");
    assert_int_equal(id.len, 36);
}

static void texts_may_have_1024_bytes(void **state) {
    static const char *const keys[] = {"name = 'N', client_id", "name = 'N', group", "name"};
    char options[100];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        snprintf(options, sizeof(options), "%s = ('x'):rep(1024)", keys[i]);
        load("signalbox.default_scope('local')", options);
        (void)upgrade_and_leave("/r", "");
    }
}

/* ---- what is known of it */

static const char *value_of(const char *name, const char *id) {
    return bus_room_ask(&room.bus_room, "HGET sb:{%s}:c:%s %s",
                        partition_tag(partition_of(bytes_str(name), ROUTES_ROOM_PARTITIONS)), name,
                        id);
}

static void a_global_connection_is_registered_until_it_ends(void **state) {
    char expected[200];
    (void)state;
    load("", "name = 'Reg', group = 'grp', client_id = 'ann'");
    int fd = routes_room_upgrade(&room, "/r?a=b&c", "User-Agent: test\r\nX-Odd: odd one\r\n", NULL);
    snprintf(expected, sizeof(expected), "%s:%llu:", bus_id(room.bus),
             (unsigned long long)room.routes.last_number);
    char value[200];
    snprintf(value, sizeof(value), "%s", value_of("Reg", "ann"));
    if (strncmp(value, expected, strlen(expected)) != 0 || strstr(value, "|grp") == NULL)
        fail_msg("%s is not %s…", value, expected);
    /* a second one has another number */
    int other = routes_room_upgrade(&room, "/r", "", NULL);
    assert_string_not_equal(value_of("Reg", "ann"), value);
    routes_room_hang_up(&room, other);
    routes_room_hang_up(&room, fd);
    for (int i = 0; i < 200 && strcmp(value_of("Reg", "ann"), "nil") != 0; i++)
        bus_room_turn(&room.bus_room, 5);
    assert_string_equal(value_of("Reg", "ann"), "nil");
}

/* What handlers of its messages are told of its request. */
static void its_session_is_kept(void **state) {
    static const char *const targets[] = {"/r?a=b&c", "/r?", "/r"};
    static const char *const fields = "User-Agent: test\r\nX-Odd: odd one\r\n";
    (void)state;
    load("", "name = 'Ses'");
    for (int is_secure = 0; is_secure <= 1; is_secure++)
        for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
            char url[64];
            room.endpoint.at.is_tls = is_secure != 0; /* as a proxy says */
            int fd = routes_room_upgrade(&room, targets[i], fields, NULL);
            room.endpoint.at.is_tls = false;
            client_unref(room.client);
            room.client = NULL;
            routes_room_say(&room, fd, BYTES_LIT("\x81\x81\0\0\0\0x"));
            for (int k = 0; k < 100 && room.client == NULL; k++)
                bus_room_turn(&room.bus_room, 5);
            struct session session;
            assert_non_null(room.client);
            assert_int_equal(session_decode(room.client->who.session, &session), PARSE_OK);
            snprintf(url, sizeof(url), "ws%s://h%s", is_secure ? "s" : "", targets[i]);
            assert_true(bytes_equal_str(session.url, url));
            assert_true(bytes_equal_str(session.protocol, is_secure ? "wss" : "ws"));
            assert_true(bytes_equal_str(session.path, "/r"));
            assert_true(bytes_equal_str(session.address, "h"));
            assert_true(bytes_equal_str(session.endpoint, "e"));
            assert_true(bytes_equal_str(session.remote_address, "127.0.0.1"));
            assert_int_equal(session.header_count, 7);
            assert_true(bytes_equal_str(session.headers[6].name, "X-Odd"));
            assert_true(bytes_equal_str(session.headers[6].value, "odd one"));
            session_free(&session);
            routes_room_hang_up(&room, fd);
        }
}

static void a_local_connection_is_known_to_nobody(void **state) {
    (void)state;
    unsigned before = routes_room_entries(&room);
    load("signalbox.default_scope('local')", "name = 'Loc', client_id = 'ann'");
    int fd = routes_room_upgrade(&room, "/r", "", NULL);
    assert_string_equal(value_of("Loc", "ann"), "nil");
    assert_int_equal(routes_room_entries(&room), before);
    routes_room_hang_up(&room, fd);
}

/* ---- signed ids */

/* What /r?id= is given as its id by another route; static. */
static const char *signed_id(const char *id, const char *fields) {
    static char text[2048];
    char target[1200];
    snprintf(target, sizeof(target), "/sign?id=%s", id);
    snprintf(text, sizeof(text), "%.*s",
             BYTES_FMT(routes_room_body(routes_room_get(&room, "GET", target, fields))));
    return text;
}

static void load_signing(const char *signing) {
    char app[1024];
    snprintf(app, sizeof(app),
             "%s\n"
             "signalbox.route('GET', '/sign', function(w) w:text(signalbox.sign(w.query.id)) end)\n"
             "signalbox.route('GET', '/r', function(w)\n"
             "  w:convert { name = 'N', client_id = w.query.id, scope = 'local' } end)\n",
             signing);
    routes_room_load(&room, app);
}

static void assert_id(const char *id, const char *fields, const char *becomes) {
    char target[1500], escaped[1400] = "";
    for (const char *at = id; *at != '\0'; at++)
        snprintf(escaped + strlen(escaped), sizeof(escaped) - strlen(escaped),
                 strchr("+=/", *at) != NULL ? "%%%02X" : "%c", *at);
    snprintf(target, sizeof(target), "/r?id=%s", escaped);
    if (becomes != NULL) {
        assert_field(upgrade_and_leave(target, fields), "X-PODE-SIGNAL-CLIENT-ID", becomes);
        return;
    }
    char all[400];
    snprintf(all, sizeof(all), ROUTES_ROOM_UPGRADE "%s", fields);
    routes_room_expect(routes_room_get(&room, "GET", target, all), 400,
                       "convert: the client_id's signature is not valid\n");
}

#define AGENT(name) "User-Agent: " name "\r\n"

static void with_signing_ids_are_signed_once(void **state) {
    char ann[200];
    (void)state;
    load_signing("signalbox.signing { secret = 'a good secret' }");
    snprintf(ann, sizeof(ann), "%s", signed_id("ann", ""));
    assert_int_equal(strncmp(ann, "s:ann.", 6), 0);
    assert_id("ann", "", ann);         /* a raw one is signed, … */
    assert_id(ann, AGENT("any"), ann); /* … one that is signed stays, … */
    assert_id("s:ann.x", "", NULL);    /* … and one with a wrong signature is refused */
    assert_id("s:", "", NULL);
    assert_id("S:ann", "", signed_id("S:ann", "")); /* that is no signature */
    struct bytes made = routes_room_field(upgrade_and_leave("/r", ""), "X-PODE-SIGNAL-CLIENT-ID");
    assert_true(bytes_starts_with(made, BYTES_LIT("s:")));
    assert_int_equal(made.len, 2 + 36 + 1 + 44);
    load_signing(""); /* nobody signs: nothing was proved */
    assert_id(ann, "", NULL);
    assert_id("ann", "", "ann");
}

static void a_strict_signature_is_of_one_client(void **state) {
    char ann[200];
    (void)state;
    load_signing("signalbox.signing { secret = 'a good secret', strict = true }");
    snprintf(ann, sizeof(ann), "%s", signed_id("ann", AGENT("one")));
    assert_id("ann", AGENT("one"), ann);
    assert_id(ann, AGENT("one"), ann);
    assert_id(ann, AGENT("two"), NULL);
    assert_id(ann, "", NULL);
}

/* With its signature an id may be as long as one without. */
static void the_bound_holds_for_the_signed_id(void **state) {
    char options[100];
    (void)state;
    enum { SIGNATURE = 2 + 1 + 44 };
    for (int extra = 0; extra <= 1; extra++) {
        snprintf(options, sizeof(options), "name = 'N', scope = 'local', client_id = ('x'):rep(%d)",
                 1024 - SIGNATURE + extra);
        load("signalbox.signing { secret = 'a good secret' }", options);
        if (extra == 0)
            (void)upgrade_and_leave("/r", "");
        else
            routes_room_expect(routes_room_get(&room, "GET", "/r", ROUTES_ROOM_UPGRADE), 400,
                               "convert: clientId: has more than 1024 bytes with its signature\n");
    }
}

/* An automatic upgrade's id is its own: it is never signed. */
static void an_automatic_id_is_never_signed(void **state) {
    (void)state;
    load("signalbox.signing { secret = 'a good secret' }", "name = 'N'");
    room.endpoint.at.auto_upgrade = true;
    struct bytes head = upgrade_and_leave("/any/path", "");
    room.endpoint.at.auto_upgrade = false;
    assert_field(head, "X-PODE-SIGNAL-NAME", "/any/path");
    assert_int_equal(routes_room_field(head, "X-PODE-SIGNAL-CLIENT-ID").len, 36);
}

/* ---- refusals */

static void expect_refusal(int status, const char *text) {
    routes_room_expect(routes_room_get(&room, "GET", "/r", ROUTES_ROOM_UPGRADE), status, text);
}

static void the_gateway_may_not_take_it(void **state) {
    (void)state;
    load("", "name = 'N', client_id = 'c'");
    struct bytes answer =
        routes_room_get(&room, "GET", "/r", ROUTES_ROOM_UPGRADE "Origin: http://other.example\r\n");
    routes_room_expect(answer, 403, "this origin is not allowed\n");
    (void)upgrade_and_leave("/r", "Origin: http://h\r\n");
    room.conns.is_draining = true;
    expect_refusal(503, "the gateway is shutting down\n");
    room.conns.is_draining = false;
    /* one of an address; it may come again when the first has gone */
    room.peers.local_limits.most[PEER_WEBSOCKETS] = 1;
    int fd = routes_room_upgrade(&room, "/r", "", NULL);
    assert_int_equal(routes_room_status(routes_room_get(&room, "GET", "/r", ROUTES_ROOM_UPGRADE)),
                     503);
    routes_room_hang_up(&room, fd);
    bus_room_turn(&room.bus_room, 20);
    (void)upgrade_and_leave("/r", "");
    room.peers.local_limits.most[PEER_WEBSOCKETS] = 0;
}

/* A connection on which an upgrade failed is no WebSocket, and takes the place of none. */
static void what_did_not_become_a_websocket_counts_as_none(void **state) {
    (void)state;
    routes_room_load(&room,
                     "signalbox.route('GET', '/bad', function(w)\n"
                     "  pcall(w.convert, w, { name = '\\xff' }) w:text('own') end)\n"
                     "signalbox.route('GET', '/r', function(w)\n"
                     "  w:convert { name = 'N', scope = 'local' } signalbox.sleep(0.2) end)\n");
    room.peers.local_limits.most[PEER_WEBSOCKETS] = 1;
    int failed = routes_room_connect(&room);
    routes_room_say(&room, failed,
                    BYTES_LIT("GET /bad HTTP/1.1\r\nHost: h\r\n" ROUTES_ROOM_UPGRADE "\r\n"));
    routes_room_expect(routes_room_hear(&room, failed, "own"), 200, "own");
    routes_room_hang_up(&room, routes_room_upgrade(&room, "/r", "", NULL));
    room.peers.local_limits.most[PEER_WEBSOCKETS] = 0;
    routes_room_hang_up(&room, failed);
}

/* The client says that it has nothing more to say before the handler converts. */
static void a_client_that_has_ended_is_not_converted(void **state) {
    (void)state;
    routes_room_load(&room, "signalbox.route('GET', '/r', function(w) signalbox.sleep(0.05)\n"
                            "  w:convert { name = 'N', scope = 'local' } end)\n");
    int fd = routes_room_connect(&room);
    routes_room_say(&room, fd,
                    BYTES_LIT("GET /r HTTP/1.1\r\nHost: h\r\n" ROUTES_ROOM_UPGRADE "\r\n"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    routes_room_expect(routes_room_hear(&room, fd, ""), 400,
                       "the client has ended the connection\n");
    routes_room_hang_up(&room, fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_101_says_who_one_is),
        cmocka_unit_test(the_101_names_the_subprotocol),
        cmocka_unit_test(who_brings_no_id_gets_a_new_one),
        cmocka_unit_test(texts_may_have_1024_bytes),
        cmocka_unit_test(a_global_connection_is_registered_until_it_ends),
        cmocka_unit_test(its_session_is_kept),
        cmocka_unit_test(a_local_connection_is_known_to_nobody),
        cmocka_unit_test(with_signing_ids_are_signed_once),
        cmocka_unit_test(a_strict_signature_is_of_one_client),
        cmocka_unit_test(the_bound_holds_for_the_signed_id),
        cmocka_unit_test(an_automatic_id_is_never_signed),
        cmocka_unit_test(the_gateway_may_not_take_it),
        cmocka_unit_test(what_did_not_become_a_websocket_counts_as_none),
        cmocka_unit_test(a_client_that_has_ended_is_not_converted),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, setup, teardown);
}
