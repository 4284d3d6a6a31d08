/* test_client.c - a client and what carries it: the cause of its end, leaving once, its memory. */
#include "gateway/session/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/conn/conn.h"
#include "gateway/conn/request.h"
#include "gateway/session/message_frames.h"

struct carrier {
    int closed_with;
    bool is_for_good, is_slow, has_bye;
    unsigned held;
};

static void on_close(void *carrier, const struct transport_end *end) {
    struct carrier *c = carrier;
    c->closed_with = end->code;
    c->is_for_good = end->is_for_good;
}

static void on_close_slow(void *carrier) {
    struct carrier *c = carrier;
    c->is_slow = true;
}

static void on_bye(void *carrier) {
    struct carrier *c = carrier;
    c->has_bye = true;
}

static void on_hold(void *carrier, enum hold why) {
    struct carrier *c = carrier;
    c->held |= (unsigned)why;
}

static void on_release(void *carrier, enum hold why) {
    struct carrier *c = carrier;
    c->held &= ~(unsigned)why;
}

static const struct transport transport = {.close = on_close,
                                           .close_slow = on_close_slow,
                                           .on_bye = on_bye,
                                           .hold = on_hold,
                                           .release = on_release};

static unsigned left, messages, byes;

static void on_message(void *ctx, struct client *c, const struct said *said) {
    (void)ctx;
    (void)c;
    (void)said;
    messages++;
}

static bool ask_for_bye(void *ctx, struct client *c) {
    (void)ctx;
    (void)c;
    byes++;
    return true;
}

static void on_left(void *ctx, struct client *c) {
    (void)ctx;
    (void)c;
    left++;
}

static const struct client_events events = {
    .on_message = on_message, .ask_for_bye = ask_for_bye, .on_left = on_left};
static const struct client_host host = {.events = &events};
static const struct transport_events *const reports = &client_transport_events;

static struct client *new_local(struct carrier *carrier) {
    char name[] = "N", id[] = "id";
    struct identity who = {
        .name = bytes_of(name, 1), .client_id = bytes_of(id, 2), .is_local = true};
    struct client *c = client_new(&host, &who, WIRE_WS);
    name[0] = id[0] = '?'; /* it has copies */
    client_carry(c, &transport, carrier, NULL);
    client_unref(c);
    left = messages = byes = 0;
    return c;
}

static void it_copies_who_it_is(void **state) {
    struct carrier carrier = {0};
    struct client *c = new_local(&carrier);
    (void)state;
    assert_true(bytes_equal_str(c->who.name, "N"));
    assert_true(bytes_equal_str(c->who.client_id, "id"));
    assert_int_equal(c->who.group.len, 0);
    assert_int_equal(c->wire, WIRE_WS);
    reports->on_gone(c);
}

static void the_first_cause_counts(void **state) {
    static const struct {
        enum ended_by by;
        const char *cause;
    } cases[] = {{ENDED_BY_CLIENT, "client:1000:bye"}, {ENDED_BY_SERVER, "server:1000:bye"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct carrier carrier = {0};
        struct client *c = client_ref(new_local(&carrier));
        assert_true(client_is_open(c));
        reports->on_ending(c, cases[i].by, 1000, BYTES_LIT("bye"));
        reports->on_ending(c, ENDED_BY_SERVER, 4001, BYTES_LIT("replaced"));
        assert_false(client_is_open(c));
        reports->on_gone(c);
        assert_string_equal(c->cause, cases[i].cause);
        client_unref(c);
    }
}

static void a_connection_that_breaks_was_lost(void **state) {
    struct carrier carrier = {0};
    struct client *c = client_ref(new_local(&carrier));
    (void)state;
    reports->on_gone(c);
    assert_string_equal(c->cause, "lost:1006:");
    client_unref(c);
}

static void it_leaves_once(void **state) {
    struct carrier carrier = {0};
    struct client *c = new_local(&carrier);
    (void)state;
    reports->on_ending(c, ENDED_BY_SERVER, 1000, BYTES_NONE);
    reports->on_leaving(c);
    reports->on_leaving(c);
    reports->on_gone(c);
    assert_int_equal(left, 1);
}

static void without_a_name_its_messages_are_ignored(void **state) {
    struct carrier carrier = {0};
    struct client *c = new_local(&carrier);
    (void)state;
    assert_false(reports->on_message(c, false, BYTES_LIT("hi")));
    assert_false(reports->ask_for_bye(c));
    assert_int_equal(messages + byes, 0);
    reports->on_gone(c);
}

static struct bytes queued(const struct conn *conn) {
    return conn->out.count > 0 ? outq_at(&conn->out, 0) : BYTES_NONE;
}

/* In signalbox.v1 alone, and not to one that does not read. */
static void a_ping_is_answered(void **state) {
    static const struct {
        enum wire wire;
        size_t waiting;
        const char *answer;
    } cases[] = {{WIRE_WS, 0, ""},
                 {WIRE_WS_V1, 0, "\x81\x0f{\"type\":\"pong\"}"},
                 {WIRE_WS_V1_DEFLATE, PONG_QUEUE_MAX - 1, "\x81\x0f{\"type\":\"pong\"}"},
                 {WIRE_WS_V1, PONG_QUEUE_MAX, ""}};
    struct message_frames frames;
    struct client_host with_frames = {.events = &events, .frames = &frames};
    struct conns set = {0};
    struct carrier carrier = {0};
    (void)state;
    message_frames_init(&frames);
    frame_arena_init(&set.arena, FRAME_CHUNK_BYTES);
    TAILQ_INIT(&set.dirty);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client *c = new_local(&carrier);
        struct conn conn = {.state = CONN_OPEN, .set = &set};
        outq_init(&conn.out);
        conn.out.bytes = cases[i].waiting;
        c->host = &with_frames;
        c->conn = &conn;
        c->wire = cases[i].wire;
        bool counts = reports->on_message(c, false, BYTES_LIT("{\"type\":\"ping\"}"));
        assert_int_equal(counts, cases[i].wire != WIRE_WS);
        assert_true(bytes_equal_str(queued(&conn), cases[i].answer));
        assert_int_equal(messages, 0);
        reports->on_gone(c);
        outq_deinit(&conn.out);
    }
    frame_arena_deinit(&set.arena);
    message_frames_deinit(&frames);
}

static void its_request_hears_of_its_end(void **state) {
    struct carrier carrier = {0};
    struct client *c = new_local(&carrier);
    struct request r = {.client = c};
    (void)state;
    c->request = &r;
    reports->on_gone(c);
    assert_null(r.client);
    assert_true(r.has_left);
}

static void everything_else_goes_to_the_transport(void **state) {
    struct carrier carrier = {0};
    struct client *c = new_local(&carrier);
    (void)state;
    client_hold(c, HOLD_ROOM);
    client_hold(c, HOLD_SHARE);
    client_release(c, HOLD_ROOM);
    assert_int_equal(carrier.held, HOLD_SHARE);
    client_on_bye(c);
    assert_true(carrier.has_bye);
    client_close(c, CLOSE_SLOW);
    assert_true(carrier.is_slow);
    assert_int_equal(carrier.closed_with, 0);
    for (int reason = 0; reason < CLOSE_REASON_COUNT; reason++) {
        if (reason == CLOSE_SLOW)
            continue;
        client_close(c, (enum close_reason)reason);
        int code = close_reason_code((enum close_reason)reason);
        assert_int_equal(carrier.closed_with, code);
        assert_int_equal(carrier.is_for_good, code == 1000 || code == 1002 || code == 4001 ||
                                                  (code >= 1007 && code <= 1009));
    }
    client_close_with(c, 1001, BYTES_NONE);
    assert_true(carrier.is_for_good);
    reports->on_gone(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_copies_who_it_is),
        cmocka_unit_test(the_first_cause_counts),
        cmocka_unit_test(a_connection_that_breaks_was_lost),
        cmocka_unit_test(it_leaves_once),
        cmocka_unit_test(without_a_name_its_messages_are_ignored),
        cmocka_unit_test(a_ping_is_answered),
        cmocka_unit_test(its_request_hears_of_its_end),
        cmocka_unit_test(everything_else_goes_to_the_transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
