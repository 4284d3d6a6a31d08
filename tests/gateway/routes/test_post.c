/* test_post.c - client messages by POST: which route takes them, whose they are, and what they are
 * answered, with the test in place of the uplink and the broker. */
#include "gateway/routes/post.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bus/log/publish.h"
#include "tests/common/base/skipped_time.h"
#include "tests/gateway/routes/routes_room.h"

static struct routes_room room;
static int stream; /* of the client "me" */

static const char app[] =
    "signalbox.route('GET', '/up', function(w)\n"
    "  w:convert { name = w.query.name, group = w.query.group, client_id = w.query.id,\n"
    "              scope = w.query.scope }\n"
    "  w:text('never')\n"
    "end)\n"
    "signalbox.route('GET', '/guarded', function(w)\n"
    "  if w.headers.authorization ~= 'yes' then return w:text('who?', 401) end\n"
    "  w:convert { name = 'N' }\n"
    "end)\n"
    "signalbox.route('POST', '/own', function(w) w:text('own ' .. w.body) end)\n"
    "signalbox.route('GET', '/own', function(w) w:convert { name = 'N' } end)\n"
    "signalbox.route('GET', '/text', function(w) w:text('text') end)\n"
    "signalbox.route('GET', '/me', function(w) w:convert { name = 'N', client_id = 'me' } end)\n";

static int setup(void **state) {
    (void)state;
    routes_room_init(&room, app, WITH_REDIS);
    stream = routes_room_connect(&room);
    routes_room_say(&room, stream,
                    BYTES_LIT("GET /me HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n"));
    routes_room_hear(&room, stream, "event: hello");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_room_hang_up(&room, stream);
    routes_room_deinit(&room);
    return 0;
}

/* Begins a POST. */
static int post(const char *target, const char *fields, struct bytes body) {
    struct buf text = {0};
    int fd = routes_room_connect(&room);
    buf_clear(&room.heard);
    buf_clear(&room.reply);
    buf_printf(&text,
               "POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n",
               target, fields, body.len);
    buf_append(&text, body);
    routes_room_say(&room, fd, buf_bytes(&text));
    buf_deinit(&text);
    return fd;
}

/* Nothing waits any longer. */
static void skip_time(uint64_t ms) {
    skipped_ms += ms;
    bus_room_turn(&room.bus_room, 20);
}

static void await_message(void) {
    for (int i = 0; i < 5000 && room.reply.len == 0; i++)
        bus_room_turn(&room.bus_room, 1);
    assert_true(room.reply.len > 0);
}

static struct bytes end(int fd) {
    struct bytes answer = routes_room_hear(&room, fd, "");
    routes_room_hang_up(&room, fd);
    return answer;
}

static struct bytes answered(int fd, int status, struct message_id id, struct bytes text) {
    await_message();
    publish_outcome(room.bus, buf_bytes(&room.reply), status, id, text);
    return end(fd);
}

#define ME "X-PODE-SIGNAL-CLIENT-ID: me\r\nX-PODE-SIGNAL-NAME: N\r\n"

static void a_message_goes_up_and_its_outcome_comes_back(void **state) {
    (void)state;
    struct bytes got =
        answered(post("/me", ME, BYTES_LIT("hi")), 202, (struct message_id){5, 7}, BYTES_NONE);
    routes_room_expect(got, 202, "{\"id\":\"5-7\"}\n");
    assert_true(bytes_equal_str(routes_room_field(got, "Content-Type"), "application/json"));
    assert_true(bytes_equal_str(buf_bytes(&room.heard), "hi "));
    assert_false(room.was_binary);
    assert_true(bytes_equal_str(room.client->who.client_id, "me"));
    assert_false(wire_is_v1(room.client->wire));
    assert_null(room.client->entry); /* its connection is another one, here or elsewhere */
    got = answered(post("/me", ME "Content-Type: application/octet-stream\r\n", BYTES_LIT("\xff")),
                   202, MESSAGE_ID_NONE, BYTES_NONE);
    routes_room_expect(got, 202, "{\"id\":null}\n");
    assert_true(room.was_binary);
    got = answered(
        post("/me", ME "Content-Type: Application/Octet-Stream ; a=b\r\n", BYTES_LIT("\xff")), 202,
        MESSAGE_ID_NONE, BYTES_NONE);
    routes_room_expect(got, 202, NULL);
    assert_true(room.was_binary);
}

/* The id is random for a route that names none, and the group is the same one. */
static void a_connection_posts_through_the_route_that_made_it(void **state) {
    static const char target[] = "/up?name=N&group=g";
    char fields[128];
    (void)state;
    int other = routes_room_connect(&room);
    routes_room_say(&room, other,
                    BYTES_LIT("GET /up?name=N&group=g HTTP/1.1\r\nHost: h\r\n"
                              "Accept: text/event-stream\r\n\r\n"));
    struct bytes id = routes_room_field(routes_room_hear(&room, other, "event: hello"),
                                        "X-PODE-SIGNAL-CLIENT-ID");
    snprintf(fields, sizeof(fields), "X-PODE-SIGNAL-CLIENT-ID: %.*s\r\nX-PODE-SIGNAL-NAME: N\r\n",
             BYTES_FMT(id));
    routes_room_expect(
        answered(post(target, fields, BYTES_LIT("hi")), 202, MESSAGE_ID_NONE, BYTES_NONE), 202,
        NULL);
    assert_true(bytes_equal_str(room.client->who.group, "g"));
    routes_room_expect(
        answered(post("/up", fields, BYTES_LIT("hi")), 202, MESSAGE_ID_NONE, BYTES_NONE), 202,
        NULL);
    routes_room_expect(end(post("/up?name=N&group=h", fields, BYTES_LIT("hi"))), 403, NULL);
    routes_room_hang_up(&room, other);
}

static void a_refusal_has_the_text_of_the_broker(void **state) {
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {400, "unknown key"}, {403, "a level"}, {413, "too big"}, {429, "busy"}, {500, "x"}};
    char body[64];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(body, sizeof(body), "%s\n", cases[i].text);
        routes_room_expect(answered(post("/me", ME, BYTES_LIT("hi")), cases[i].status,
                                    MESSAGE_ID_NONE, bytes_str(cases[i].text)),
                           cases[i].status, body);
    }
}

#define LETTERS_32  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LETTERS_128 LETTERS_32 LETTERS_32 LETTERS_32 LETTERS_32

static void its_own_id_goes_along(void **state) {
    static const struct {
        const char *fields, *once;
    } cases[] = {{"", ""},
                 {"Idempotency-Key: a b\r\n", "a b"},
                 {"Idempotency-Key: \xc3\xa9\r\n", "\xc3\xa9"},
                 {"Idempotency-Key: " LETTERS_128 "\r\n", LETTERS_128}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char fields[400];
        snprintf(fields, sizeof(fields), ME "%s", cases[i].fields);
        routes_room_expect(
            answered(post("/me", fields, BYTES_LIT("hi")), 202, MESSAGE_ID_NONE, BYTES_NONE), 202,
            NULL);
        assert_true(bytes_equal_str(buf_bytes(&room.once), cases[i].once));
    }
}

static void what_is_refused_here(void **state) {
    static const struct {
        const char *target, *fields, *body;
        int status;
        const char *text;
    } cases[] = {
        {"/me", "X-PODE-SIGNAL-CLIENT-ID: you\r\nX-PODE-SIGNAL-NAME: N\r\n", "hi", 404,
         "no such signal connection\n"},
        {"/me", "X-PODE-SIGNAL-CLIENT-ID: me\r\nX-PODE-SIGNAL-NAME: M\r\n", "hi", 404, NULL},
        {"/up?name=M", ME, "hi", 403,
         "this route is not the one of that signal connection: post to the same URL, as the same "
         "user\n"},
        {"/up?name=N&id=you", ME, "hi", 403, NULL},
        {"/up?name=N&id=m", ME, "hi", 403, NULL},
        {"/up", ME, "hi", 403, NULL},
        {"/up?name=n&id=me", ME, "hi", 403, NULL},
        {"/up?name=N", ME, "hi", 403, NULL}, /* its connections have random ids */
        {"/up?name=N&id=me&group=g", ME, "hi", 403, NULL},
        {"/up?name=N&id=me&scope=local", ME, "hi", 403, NULL},
        {"/me", ME "Origin: https://other.example\r\n", "hi", 403, "this origin is not allowed\n"},
        {"/me", ME, "\xff", 400, "not UTF-8\n"},
        {"/guarded", ME, "hi", 401, "who?"},
        {"/text", ME, "hi", 200, "text"}, /* the route answers itself */
        {"/none", ME, "hi", 404, "not found\n"},
        {"/me", "", "hi", 405, NULL}, /* without a connection it is no message */
        {"/own", ME, "hi", 200, "own hi"},
        {"/me", ME "Idempotency-Key: a\r\nIdempotency-Key: a\r\n", "hi", 400,
         "Idempotency-Key: is given twice\n"},
        {"/me", ME "Idempotency-Key: a\tb\r\n", "hi", 400,
         "Idempotency-Key: must be a text of 1 to 128 bytes without control characters\n"},
        {"/me", ME "Idempotency-Key:\r\n", "hi", 400, NULL},
        {"/me", ME "Idempotency-Key: \xff\r\n", "hi", 400, NULL},
        {"/me", ME "Idempotency-Key: " LETTERS_128 "b\r\n", "hi", 400, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes got = end(post(cases[i].target, cases[i].fields, bytes_str(cases[i].body)));
        if (routes_room_status(got) != cases[i].status)
            fail_msg("%zu: %.*s", i, BYTES_FMT(got));
        routes_room_expect(got, cases[i].status, cases[i].text);
        assert_int_equal(room.heard.len, 0);
    }
}

static void the_bound_of_a_message_is_that_of_a_websocket(void **state) {
    static char body[4096];
    (void)state;
    memset(body, 'x', sizeof(body));
    room.bus_room.settings.max_message_bytes = 2048;
    room.bus_room.settings.max_body_bytes = 1024;
    routes_room_expect(
        answered(post("/me", ME, bytes_of(body, 2048)), 202, MESSAGE_ID_NONE, BYTES_NONE), 202,
        NULL);
    routes_room_expect(end(post("/me", ME, bytes_of(body, 2049))), 413, NULL);
    routes_room_expect(end(post("/own", "", bytes_of(body, 1025))), 413, NULL);
    room.bus_room.settings.max_body_bytes = 4096;
    routes_room_expect(end(post("/me", ME, bytes_of(body, 2049))), 413, "message too big\n");
    room.bus_room.settings.max_message_bytes = 4 << 20;
}

static void one_is_under_way_at_a_time(void **state) {
    (void)state;
    int first = post("/me", ME, BYTES_LIT("a"));
    await_message();
    char *reply = bytes_dup(buf_bytes(&room.reply));
    int second = post("/me", ME, BYTES_LIT("b")); /* forgets what was heard */
    bus_room_turn(&room.bus_room, 20);
    assert_int_equal(room.reply.len, 0);
    publish_outcome(room.bus, bytes_str(reply), 202, MESSAGE_ID_NONE, BYTES_NONE);
    free(reply);
    routes_room_expect(end(first), 202, NULL);
    await_message();
    assert_true(bytes_equal_str(buf_bytes(&room.heard), "b "));
    routes_room_expect(answered(second, 202, (struct message_id){1, 2}, BYTES_NONE), 202,
                       "{\"id\":\"1-2\"}\n");
}

static void what_was_said_stays_when_its_sender_hangs_up(void **state) {
    (void)state;
    routes_room_hang_up(&room, post("/me", ME, BYTES_LIT("a")));
    await_message();
    publish_outcome(room.bus, buf_bytes(&room.reply), 202, MESSAGE_ID_NONE, BYTES_NONE);
    routes_room_expect(answered(post("/me", ME, BYTES_LIT("b")), 202, MESSAGE_ID_NONE, BYTES_NONE),
                       202, NULL);
}

/* A second one, and one of a number that was never given, change nothing. */
static void an_outcome_counts_once(void **state) {
    (void)state;
    int first = post("/me", ME, BYTES_LIT("a"));
    await_message();
    char *reply = bytes_dup(buf_bytes(&room.reply)), other[64];
    publish_outcome(room.bus, bytes_str(reply), 202, (struct message_id){1, 1}, BYTES_NONE);
    publish_outcome(room.bus, bytes_str(reply), 400, MESSAGE_ID_NONE, BYTES_LIT("late"));
    routes_room_expect(end(first), 202, "{\"id\":\"1-1\"}\n");
    int second = post("/me", ME, BYTES_LIT("b"));
    await_message();
    snprintf(other, sizeof(other), "%.*s99999", 17, reply); /* the token, ":", and a number */
    publish_outcome(room.bus, bytes_str(reply), 400, MESSAGE_ID_NONE, BYTES_LIT("late"));
    publish_outcome(room.bus, bytes_str(other), 400, MESSAGE_ID_NONE, BYTES_LIT("whose?"));
    free(reply);
    routes_room_expect(answered(second, 202, (struct message_id){1, 2}, BYTES_NONE), 202,
                       "{\"id\":\"1-2\"}\n");
}

/* One that is held goes on when it is released, and one that is not is given up. */
static void a_hold_ends_with_its_release(void **state) {
    (void)state;
    int first = post("/me", ME, BYTES_LIT("a"));
    await_message();
    struct client *client = client_ref(room.client);
    client_hold(client, HOLD_SHARE);
    routes_room_expect(answered(first, 202, MESSAGE_ID_NONE, BYTES_NONE), 202, NULL);
    for (int is_released = 1; is_released >= 0; is_released--) {
        client_hold(client, HOLD_SHARE);
        int second = post("/me", ME, BYTES_LIT("b"));
        bus_room_turn(&room.bus_room, 20);
        assert_int_equal(room.reply.len, 0);
        if (is_released) {
            client_release(client, HOLD_SHARE);
            routes_room_expect(answered(second, 202, MESSAGE_ID_NONE, BYTES_NONE), 202, NULL);
        } else {
            skip_time(ROUTES_ROOM_POST_MS);
            routes_room_expect(end(second), 503, "try again later\n");
            assert_int_equal(room.reply.len, 0);
        }
    }
    client_release(client, HOLD_SHARE);
    client_unref(client);
}

/* Redis may have it. */
static void one_that_is_not_confirmed_may_still_be_handled(void **state) {
    struct passage *some = (struct passage *)&room; /* nobody looks at it */
    (void)state;
    int first = post("/me", ME, BYTES_LIT("a"));
    await_message();
    room.client->passages.lh_first = some;
    skip_time(ROUTES_ROOM_POST_MS);
    routes_room_expect(end(first), 504,
                       "Redis has not confirmed the message, which may still be handled\n");
    room.client->passages.lh_first = NULL;
}

/* After two seconds in which nothing came and nothing waits. */
static void who_posts_no_more_is_forgotten(void **state) {
    enum { LONG_MS = 20000 };
    struct posts *usual = room.routes.posts;
    (void)state;
    skip_time(3000); /* those of other tests */
    room.routes.posts = posts_new(&room.bus_room.loop, room.bus, &room.client_host, LONG_MS);
    bus_room_turn(&room.bus_room, 50); /* outcomes come now */
    unsigned left = room.left;
    int first = post("/me", ME, BYTES_LIT("a"));
    await_message();
    skip_time(3000);
    assert_int_equal(room.left, left); /* it waits */
    routes_room_expect(answered(first, 202, MESSAGE_ID_NONE, BYTES_NONE), 202, NULL);
    assert_int_equal(room.left, left);
    skip_time(600);
    assert_int_equal(room.left, left + 1);
    routes_room_expect(answered(post("/me", ME, BYTES_LIT("b")), 202, MESSAGE_ID_NONE, BYTES_NONE),
                       202, NULL);
    skip_time(1000);
    assert_int_equal(room.left, left + 1);
    posts_free(room.routes.posts); /* with its posters */
    assert_int_equal(room.left, left + 2);
    room.routes.posts = usual;
}

/* It may have been handled; or it was taken back, and never will be. */
static void no_outcome_comes_in_time(void **state) {
    (void)state;
    int first = post("/me", ME, BYTES_LIT("a"));
    await_message();
    skip_time(ROUTES_ROOM_POST_MS);
    routes_room_expect(end(first), 202, "{\"id\":null}\n");
    room.keeps_messages = true;
    first = post("/me", ME, BYTES_LIT("a"));
    int second = post("/me", ME, BYTES_LIT("b"));
    skip_time(20);
    skip_time(ROUTES_ROOM_POST_MS);
    routes_room_expect(end(first), 503, "try again later\n");
    routes_room_expect(end(second), 503, "try again later\n");
    room.keeps_messages = false;
}

/* Redis does not take one that waited for room; the next one does not wait for it. */
static void one_that_is_too_big_in_the_end_holds_nobody(void **state) {
    (void)state;
    int first = post("/me", ME, BYTES_LIT("a"));
    await_message();
    struct client *client = room.client;
    client_hold(client, HOLD_ROOM);
    int second = post("/me", ME, BYTES_LIT("b"));
    bus_room_turn(&room.bus_room, 20);
    assert_int_equal(room.reply.len, 0);
    client_close(client, CLOSE_TOO_BIG);
    routes_room_expect(end(first), 413, "message too big\n");
    routes_room_expect(answered(second, 202, MESSAGE_ID_NONE, BYTES_NONE), 202, NULL);
}

static void so_many_wait_and_no_more(void **state) {
    static int waiting[POSTS_WAITING_MAX];
    (void)state;
    waiting[0] = post("/me", ME, BYTES_LIT("a"));
    await_message();
    char *reply = bytes_dup(buf_bytes(&room.reply));
    for (int i = 1; i < POSTS_WAITING_MAX; i++)
        waiting[i] = post("/me", ME, BYTES_LIT("a"));
    routes_room_expect(end(post("/me", ME, BYTES_LIT("b"))), 429,
                       "too many messages of this connection wait for their answers\n");
    publish_outcome(room.bus, bytes_str(reply), 202, MESSAGE_ID_NONE, BYTES_NONE);
    free(reply);
    routes_room_expect(end(waiting[0]), 202, NULL);
    for (int i = 1; i < POSTS_WAITING_MAX; i++) {
        await_message();
        struct buf next = room.reply;
        buf_init(&room.reply);
        publish_outcome(room.bus, buf_bytes(&next), 202, MESSAGE_ID_NONE, BYTES_NONE);
        routes_room_expect(end(waiting[i]), 202, NULL);
        buf_deinit(&next);
    }
}

/* Posts until one is refused, and says how many were taken. */
static unsigned taken_at_once(size_t len) {
    static char body[8192];
    unsigned taken = 0;
    memset(body, 'x', sizeof(body));
    for (; taken < 60; taken++) {
        int fd = post("/me", ME, bytes_of(body, len));
        char byte;
        while (room.reply.len == 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
            bus_room_turn(&room.bus_room, 1);
        if (room.reply.len == 0) {
            struct bytes got = end(fd);
            routes_room_expect(got, 429, "rate limit\n");
            assert_true(bytes_equal_str(routes_room_field(got, "Retry-After"), "1"));
            return taken;
        }
        routes_room_expect(answered(fd, 202, MESSAGE_ID_NONE, BYTES_NONE), 202, NULL);
    }
    return taken;
}

/* As many as in a second, and at least ten messages, and those that the time of the test brings;
 * whichever limit is reached first. */
static void over_the_rate_it_is_refused(void **state) {
    static const struct {
        int64_t messages, bytes; /* 0: no limit */
        size_t len;
        unsigned least, most;
    } cases[] = {
        {11, 0, 2, 10, 39},          {0, 4000, 1000, 4, 20},    {11, 4000, 1000, 4, 9},
        {11, 1000000, 1000, 10, 39}, {1000, 4000, 1000, 4, 20}, {0, 0, 1000, 60, 60},
    };
    struct settings *s = &room.bus_room.settings;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        skip_time(20000);                               /* what was used before is over */
        s->max_messages_per_second = cases[i].messages; /* set, so nobody is spared */
        s->max_message_bytes_per_second = cases[i].bytes;
        unsigned taken = taken_at_once(cases[i].len);
        if (taken < cases[i].least || taken > cases[i].most)
            fail_msg("%zu: %u", i, taken);
    }
    s->max_messages_per_second = 0;
    s->max_message_bytes_per_second = 0;
}

/* The limits that are not set are not for clients on this machine. */
static void a_default_spares_the_machine_itself(void **state) {
    static char program[] = "test", *arguments[] = {program, NULL};
    struct settings *s = &room.bus_room.settings, defaults;
    int rest;
    (void)state;
    skip_time(20000);
    assert_int_equal(settings_parse(&defaults, FOR_ALL, 1, arguments, &rest), SETTINGS_OK);
    s->max_messages_per_second = defaults.max_messages_per_second;
    s->max_message_bytes_per_second = defaults.max_message_bytes_per_second;
    assert_int_equal(taken_at_once(2), 60);
    s->max_messages_per_second = 0;
    s->max_message_bytes_per_second = 0;
}

/* ---- signed ids */

/* A route whose ids are signed makes, and takes, those that it signed. */
static void the_signature_of_an_id_is_the_routes(void **state) {
    char fields[300];
    (void)state;
    routes_room_load(&room,
                     "signalbox.signing { secret = 'a good secret' }\n"
                     "signalbox.route('GET', '/me', function(w)\n"
                     "  w:convert { name = 'S', client_id = 'me' } end)\n"
                     "signalbox.route('GET', '/you', function(w)\n"
                     "  w:convert { name = 'S', client_id = 'you' } end)\n"
                     "signalbox.route('GET', '/any', function(w) w:convert { name = 'S' } end)\n");
    static const struct {
        const char *made, *posted;
        int status;
    } cases[] = {{"/me", "/me", 202},
                 {"/me", "/you", 403},
                 {"/me", "/any", 403},
                 {"/any", "/any", 202},
                 {"/any", "/me", 403}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char request[200];
        int other = routes_room_connect(&room);
        snprintf(request, sizeof(request),
                 "GET %s HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n", cases[i].made);
        routes_room_say(&room, other, bytes_str(request));
        struct bytes id = routes_room_field(routes_room_hear(&room, other, "event: hello"),
                                            "X-PODE-SIGNAL-CLIENT-ID");
        assert_true(id.len > strlen("me")); /* it is signed */
        snprintf(fields, sizeof(fields),
                 "X-PODE-SIGNAL-CLIENT-ID: %.*s\r\nX-PODE-SIGNAL-NAME: S\r\n", BYTES_FMT(id));
        int fd = post(cases[i].posted, fields, BYTES_LIT("hi"));
        struct bytes got =
            cases[i].status == 202 ? answered(fd, 202, MESSAGE_ID_NONE, BYTES_NONE) : end(fd);
        if (routes_room_status(got) != cases[i].status)
            fail_msg("%zu: %.*s", i, BYTES_FMT(got));
        routes_room_hang_up(&room, other);
    }
    routes_room_load(&room, app);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_up_and_its_outcome_comes_back),
        cmocka_unit_test(a_connection_posts_through_the_route_that_made_it),
        cmocka_unit_test(a_refusal_has_the_text_of_the_broker),
        cmocka_unit_test(what_is_refused_here),
        cmocka_unit_test(the_bound_of_a_message_is_that_of_a_websocket),
        cmocka_unit_test(one_is_under_way_at_a_time),
        cmocka_unit_test(what_was_said_stays_when_its_sender_hangs_up),
        cmocka_unit_test(no_outcome_comes_in_time),
        cmocka_unit_test(one_that_is_too_big_in_the_end_holds_nobody),
        cmocka_unit_test(so_many_wait_and_no_more),
        cmocka_unit_test(its_own_id_goes_along),
        cmocka_unit_test(an_outcome_counts_once),
        cmocka_unit_test(a_hold_ends_with_its_release),
        cmocka_unit_test(one_that_is_not_confirmed_may_still_be_handled),
        cmocka_unit_test(who_posts_no_more_is_forgotten),
        cmocka_unit_test(over_the_rate_it_is_refused),
        cmocka_unit_test(a_default_spares_the_machine_itself),
        cmocka_unit_test(the_signature_of_an_id_is_the_routes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
