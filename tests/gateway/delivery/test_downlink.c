/*
 * test_downlink.c - whom a message reaches and as which frame. The queues of the connections are
 * read; what would be closed is reported by a transport that only remembers it. The bus is never
 * started.
 */
#include "gateway/delivery/downlink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/trace.h"
#include "gateway/conn/conn.h"
#include "gateway/session/addressees.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "gateway/session/message_frames.h"
#include "tests/common/app/app_of_text.h"

enum { CLIENTS = 4, QUEUE_BYTES = 1024 };

struct fixture {
    uv_loop_t loop;
    struct settings settings;
    struct bus *bus;
    struct follower *follower;
    struct app *app;
    struct conns set;
    struct clients clients;
    struct message_frames frames;
    struct trace trace;
    struct downlink downlink;
    struct name_entry *entry;
    struct conn conns[CLIENTS];
    struct client client[CLIENTS];
    struct buf values[CLIENTS];
    struct message m;
    struct client *closed, *finished;
    int closed_with;
};

static struct fixture *fixture;

/* ---- a transport */

static void close_it(void *carrier, const struct transport_end *end) {
    fixture->closed = carrier;
    fixture->closed_with = end->code;
    clients_detach(carrier);
}

static void close_slow(void *carrier) {
    close_it(carrier, &(struct transport_end){.code = close_reason_code(CLOSE_SLOW)});
}

static void on_bye(void *carrier) {
    fixture->finished = carrier;
}

static const struct transport transport = {
    .close = close_it, .close_slow = close_slow, .on_bye = on_bye};

/* ---- a Name with clients */

static void add(struct fixture *f, int i, const char *id, const char *group) {
    struct conn_value value = {.gateway = BYTES_LIT("00000000000000aa"),
                               .number = (uint64_t)i + 1,
                               .connected_ms = 5,
                               .group = bytes_str(group)};
    conn_value_encode(&f->values[i], &value);
    f->conns[i] = (struct conn){.state = CONN_OPEN, .set = &f->set, .is_blocked = true};
    outq_init(&f->conns[i].out);
    f->client[i] = (struct client){.transport = &transport,
                                   .carrier = &f->client[i],
                                   .conn = &f->conns[i],
                                   .who = {.name = BYTES_LIT("N"),
                                           .client_id = bytes_str(id),
                                           .group = bytes_str(group),
                                           .number = value.number,
                                           .value = buf_bytes(&f->values[i])}};
    clients_attach(f->entry, &f->client[i]);
}

static int setup(void **state) {
    struct fixture *f = fixture = calloc(1, sizeof(*f));
    uv_loop_init(&f->loop);
    f->settings = (struct settings){.redis = "redis://127.0.0.1:1",
                                    .redis_password_file = "",
                                    .redis_prefix = "",
                                    .redis_ca = "",
                                    .partitions = 16,
                                    .lua_memory_bytes = 1 << 26,
                                    .lua_budget_ms = 1000};
    f->bus = bus_new(&f->loop, &f->settings, BUS_GATEWAY);
    f->follower = follower_new(f->bus, &downlink_events, &f->downlink);
    f->app = app_of_text("", &(struct app_environment){.loop = &f->loop, .settings = &f->settings});
    conns_init(&f->set, &f->loop, QUEUE_BYTES, 1000);
    clients_init(&f->clients, f->bus, f->follower, &f->app);
    message_frames_init(&f->frames);
    downlink_init(&f->downlink, f->bus, &f->clients, &f->frames, &f->trace);
    f->entry = clients_enter(&f->clients, BYTES_LIT("N"));
    follow_start_at(f->entry->follow, (struct message_id){4, 0});
    add(f, 0, "a", "Users");
    add(f, 1, "b", "");
    add(f, 2, "c", "ADMINS");
    add(f, 3, "b", "users"); /* took over "b": both are there for a moment */
    f->m = (struct message){.id = {1, 1}, .kind = MESSAGE_DATA, .data = BYTES_LIT("hi")};
    *state = f;
    return 0;
}

static void forget_sent(struct fixture *f) {
    for (int i = 0; i < CLIENTS; i++) {
        outq_deinit(&f->conns[i].out);
        outq_init(&f->conns[i].out);
    }
}

static int teardown(void **state) {
    struct fixture *f = *state;
    forget_sent(f);
    for (int i = 0; i < CLIENTS; i++) {
        clients_detach(&f->client[i]);
        buf_deinit(&f->values[i]);
    }
    clients_deinit(&f->clients);
    downlink_deinit(&f->downlink);
    message_frames_deinit(&f->frames);
    app_release(f->app);
    follower_free(f->follower);
    bus_close(f->bus);
    conns_deinit(&f->set);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

/* All that waits for one of the connections; none has more than one range. */
static struct bytes sent_to(const struct fixture *f, int i) {
    assert_true(f->conns[i].out.count <= 1);
    return f->conns[i].out.count == 0 ? BYTES_NONE : outq_at(&f->conns[i].out, 0);
}

static void deliver(struct fixture *f, struct name_entry *e) {
    downlink_events.on_message(&f->downlink, e, &f->m);
}

/* Who got it, as letters of the fixture's connections in order: "013". */
static void assert_reaches(struct fixture *f, const char *expected) {
    char got[CLIENTS + 1] = "";
    forget_sent(f);
    deliver(f, f->entry);
    for (int i = 0; i < CLIENTS; i++)
        if (f->conns[i].out.bytes > 0)
            got[strlen(got)] = (char)('0' + i);
    assert_string_equal(got, expected);
}

#define LIST(...)                                                                                  \
    (struct bytes_list) {                                                                          \
        .items = (struct bytes[]){__VA_ARGS__},                                                    \
        .count = sizeof((struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes)                      \
    }

static void everybody_gets_the_same_bytes(void **state) {
    struct fixture *f = *state;
    assert_reaches(f, "0123");
    for (int i = 1; i < CLIENTS; i++)
        assert_ptr_equal(sent_to(f, i).ptr, sent_to(f, 0).ptr);
    assert_true(bytes_equal_str(sent_to(f, 0), "\x81\x02hi"));
}

static void groups_have_no_case_and_ids_have(void **state) {
    struct fixture *f = *state;
    f->m.to_groups = LIST(BYTES_LIT("uSERS"));
    assert_reaches(f, "03");
    f->m.to_groups = LIST(BYTES_LIT("none"), BYTES_LIT("admins"));
    assert_reaches(f, "2");
    f->m.to_groups = LIST(BYTES_LIT("users"));
    f->m.to_clients = LIST(BYTES_LIT("b"));
    assert_reaches(f, "3");
    f->m.to_clients = LIST(BYTES_LIT("A"));
    assert_reaches(f, "");
}

static void assert_got_once(const struct fixture *f, int i) {
    assert_true(bytes_equal_str(sent_to(f, i), "\x81\x02hi"));
}

static void a_group_named_twice_is_reached_once(void **state) {
    struct fixture *f = *state;
    f->m.to_groups = LIST(BYTES_LIT("users"), BYTES_LIT("x"), BYTES_LIT("USERS"), BYTES_LIT(""));
    assert_reaches(f, "03");
    assert_got_once(f, 0);
    f->m.to_clients = LIST(BYTES_LIT("b"), BYTES_LIT("b"), BYTES_LIT("c"));
    assert_reaches(f, "3");
    assert_got_once(f, 3);
    f->m.to_clients = (struct bytes_list){0};
    clients_detach(&f->client[0]);
    assert_reaches(f, "3");
    clients_detach(&f->client[3]);
    assert_reaches(f, "");
    assert_int_equal(HASH_COUNT(f->entry->by_group), 1);
    clients_attach(f->entry, &f->client[3]);
    assert_reaches(f, "3");
}

static void enter(struct fixture *f, int i, struct bytes_list groups) {
    clients_detach(&f->client[i]);
    f->client[i].memberships = memberships_new(&f->client[i], groups, MESSAGE_ID_NONE);
    clients_attach(f->entry, &f->client[i]);
}

static void drop_memberships(struct fixture *f) {
    for (int i = 0; i < CLIENTS; i++) {
        clients_detach(&f->client[i]);
        free(f->client[i].memberships);
        f->client[i].memberships = NULL;
    }
}

/* However many of its groups are named, and whether its id is, too. */
static void a_client_in_several_groups_is_reached_once(void **state) {
    struct fixture *f = *state;
    enter(f, 1, LIST(BYTES_LIT("users"), BYTES_LIT("Admins")));
    f->m.to_groups = LIST(BYTES_LIT("users"), BYTES_LIT("admins"));
    assert_reaches(f, "0123");
    assert_got_once(f, 1);
    f->m.to_groups = LIST(BYTES_LIT("admins"));
    assert_reaches(f, "12");
    f->m.to_clients = LIST(BYTES_LIT("b"));
    assert_reaches(f, "1");
    assert_got_once(f, 1);
    f->m.to_groups = LIST(BYTES_LIT("nobody"));
    assert_reaches(f, "");
    f->m.to_clients = (struct bytes_list){0};
    f->m.to_conn = f->client[1].who.value;
    assert_reaches(f, "");
    f->m.to_groups = LIST(BYTES_LIT("ADMINS"));
    assert_reaches(f, "1");
    drop_memberships(f);
}

/* What the log says next finds the groups changed; who else may have had the id is not concerned. */
static void change(struct fixture *f, int i, struct bytes_list groups) {
    struct conn_details d = {.value = f->client[i].who.value, .changed = {5, 5}, .groups = groups};
    struct message m = f->m;
    struct buf data = {0};
    conn_details_encode(&data, &d);
    f->m = (struct message){.kind = MESSAGE_GROUPS, .id = {5, 5}, .data = buf_bytes(&data)};
    assert_reaches(f, "");
    f->m = m;
    buf_deinit(&data);
}

static void groups_change_in_the_order_of_the_log(void **state) {
    struct fixture *f = *state;
    change(f, 0, LIST(BYTES_LIT("admins"), BYTES_LIT("X")));
    f->m.to_groups = LIST(BYTES_LIT("users"));
    assert_reaches(f, "3");
    f->m.to_groups = LIST(BYTES_LIT("admins"));
    assert_reaches(f, "02");
    change(f, 0, LIST(BYTES_LIT("users")));
    assert_reaches(f, "2");
    change(f, 2, (struct bytes_list){&(struct bytes){0}, 0});
    assert_reaches(f, "");
    f->m = (struct message){.kind = MESSAGE_GROUPS, .data = BYTES_LIT("")}; /* of nobody */
    assert_reaches(f, "");
    f->m = (struct message){.kind = MESSAGE_DATA, .data = BYTES_LIT("hi")};
    assert_reaches(f, "0123");
    drop_memberships(f);
}

/* Those with memberships leave while the groups are walked, too. */
static void closing_several_groups(void **state) {
    struct fixture *f = *state;
    enter(f, 1, LIST(BYTES_LIT("users"), BYTES_LIT("admins")));
    enter(f, 2, LIST(BYTES_LIT("admins"), BYTES_LIT("users"), BYTES_LIT("x")));
    f->m.kind = MESSAGE_CLOSE;
    f->m.data = BYTES_LIT("\x0f\xa1replaced");
    f->m.to_groups = LIST(BYTES_LIT("users"), BYTES_LIT("admins"));
    assert_reaches(f, "");
    assert_int_equal(f->entry->count, 0);
    assert_null(f->entry->by_group);
    drop_memberships(f);
}

/* Every recipient leaves while the list is walked, and so do the groups. */
static void closing_whole_groups(void **state) {
    struct fixture *f = *state;
    f->m.kind = MESSAGE_CLOSE;
    f->m.data = BYTES_LIT("\x0f\xa1replaced");
    f->m.to_groups = LIST(BYTES_LIT("users"), BYTES_LIT("admins"), BYTES_LIT("Users"));
    assert_reaches(f, "");
    assert_int_equal(f->entry->count, 1);
    assert_ptr_equal(f->entry->slots[0].client, &f->client[1]);
    assert_null(f->entry->by_group);
    f->m.to_clients = LIST(BYTES_LIT("b"), BYTES_LIT("b"));
    f->m.to_groups = (struct bytes_list){0};
    assert_reaches(f, "");
    assert_int_equal(f->entry->count, 0);
}

/* In whatever order they go, the others are still found. */
static void many_with_one_id_leave_in_any_order(void **state) {
    static const int leaving[] = {1, 0, 2, 3};
    struct fixture *f = *state;
    for (int i = 0; i < CLIENTS; i++)
        clients_detach(&f->client[i]);
    for (int i = 0; i < CLIENTS; i++) {
        f->client[i].who.client_id = BYTES_LIT("b");
        clients_attach(f->entry, &f->client[i]);
    }
    f->m.to_clients = LIST(BYTES_LIT("b"));
    static const char *const reached[] = {"0123", "023", "23", "3"};
    for (int i = 0; i < CLIENTS; i++) {
        assert_reaches(f, reached[i]);
        clients_detach(&f->client[leaving[i]]);
    }
    assert_reaches(f, "");
}

/* The same answer as a search, for a connection that is in no table. */
static void addressees_answer_like_a_search(void **state) {
    struct fixture *f = *state;
    struct bytes many[1000];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = BYTES_LIT("zz");
    many[999] = BYTES_LIT("c");
    const struct bytes_list lists[] = {{0},
                                       {&(struct bytes){0}, 0},
                                       LIST(BYTES_LIT("uSERS"), BYTES_LIT("b"), BYTES_LIT("")),
                                       LIST(BYTES_LIT("c"), BYTES_LIT("admins")),
                                       {many, ARRAY_LEN(many) - 1},
                                       {many, ARRAY_LEN(many)}};
    for (size_t g = 0; g < ARRAY_LEN(lists); g++)
        for (size_t c = 0; c < ARRAY_LEN(lists); c++)
            for (int conn = 0; conn < 2; conn++) {
                f->m.to_groups = lists[g];
                f->m.to_clients = lists[c];
                f->m.to_conn = conn == 1 ? f->client[1].who.value : BYTES_NONE;
                struct addressees a = {.m = &f->m};
                for (int i = 0; i < CLIENTS; i++)
                    assert_int_equal(addressees_have(&a, &f->client[i]),
                                     clients_is_for(&f->m, &f->client[i]));
                addressees_deinit(&a);
            }
}

static void an_id_named_twice_is_reached_once(void **state) {
    struct fixture *f = *state;
    f->m.to_clients = LIST(BYTES_LIT("b"), BYTES_LIT("zz"), BYTES_LIT("b"));
    assert_reaches(f, "13");
    assert_got_once(f, 1);
    clients_detach(&f->client[1]);
    assert_reaches(f, "3");
}

static void an_empty_list_reaches_nobody(void **state) {
    static const struct bytes none;
    struct bytes many[100];
    struct fixture *f = *state;
    f->m.to_clients = (struct bytes_list){&none, 0};
    assert_reaches(f, "");
    f->m.to_groups = LIST(BYTES_LIT("users"));
    assert_reaches(f, "");
    f->m.to_clients = (struct bytes_list){0};
    f->m.to_groups = (struct bytes_list){&none, 0};
    assert_reaches(f, "");
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = BYTES_LIT("zz");
    f->m.to_clients = (struct bytes_list){many, ARRAY_LEN(many)};
    assert_reaches(f, "");
    f->m.to_groups = (struct bytes_list){0};
    assert_reaches(f, "");
    many[99] = BYTES_LIT("c");
    assert_reaches(f, "2");
}

static void one_connection_by_its_value(void **state) {
    struct fixture *f = *state;
    f->m.to_conn = f->client[1].who.value;
    assert_reaches(f, "1");
    f->m.to_conn = BYTES_LIT("00000000000000bb:2:5|");
    assert_reaches(f, "");
}

static void what_is_before_the_position_is_skipped(void **state) {
    struct fixture *f = *state;
    clients_detach(&f->client[0]);
    f->client[0].skip_until = (struct message_id){1, 5};
    clients_attach(f->entry, &f->client[0]);
    f->m.id.seq = 5;
    assert_reaches(f, "123");
    f->m.id.seq = 6;
    assert_reaches(f, "0123");
}

/* One log may be behind the other, while a hole in it is filled. */
static void each_log_has_what_is_before_the_position(void **state) {
    static const struct {
        bool is_to_every;
        uint64_t seq;
        const char *reached;
        bool is_note;
    } rows[] = {{false, 9, "0123", true}, {true, 5, "123"},  {true, 6, "0123"},
                {false, 4, "123"},        {false, 5, "123"}, {false, 7, "0123"},
                {false, 8, "0123"},       {true, 9, "0123"}};
    struct fixture *f = *state;
    clients_detach(&f->client[0]);
    f->client[0].skip_until = (struct message_id){1, 5};
    clients_attach(f->entry, &f->client[0]);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        f->m.is_to_every = rows[i].is_to_every;
        f->m.kind = rows[i].is_note ? MESSAGE_NOTE : MESSAGE_DATA;
        f->m.id.seq = rows[i].seq;
        assert_reaches(f, rows[i].reached);
    }
}

static void v1_clients_get_json(void **state) {
    static const char expected[] =
        "{\"type\":\"message\",\"id\":\"1-1\",\"name\":\"N\",\"data\":\"hi\"}";
    struct fixture *f = *state;
    clients_detach(&f->client[2]);
    f->client[2].wire = WIRE_WS_V1;
    clients_attach(f->entry, &f->client[2]);
    f->m.to_clients = LIST(BYTES_LIT("c"));
    assert_reaches(f, "2");
    assert_true(bytes_equal_str(bytes_from(sent_to(f, 2), 2), expected));
}

static void a_slow_client_is_closed_and_the_others_served(void **state) {
    struct fixture *f = *state;
    char text[QUEUE_BYTES] = "";
    conn_send_bytes(&f->conns[1], bytes_of(text, sizeof(text)));
    f->conns[1].over_ms = 1; /* for long */
    deliver(f, f->entry);
    assert_ptr_equal(f->closed, &f->client[1]);
    assert_int_equal(f->closed_with, 4002);
    assert_int_equal(f->conns[1].out.bytes, sizeof(text));
    for (int i = 0; i < CLIENTS; i++)
        assert_true(i == 1 || bytes_equal_str(sent_to(f, i), "\x81\x02hi"));
    assert_int_equal(f->entry->count, 3);
}

static void closing_everybody(void **state) {
    struct fixture *f = *state;
    f->m.kind = MESSAGE_CLOSE;
    f->m.data = BYTES_LIT("\x0f\xa1replaced");
    assert_reaches(f, "");
    assert_int_equal(f->entry->count, 0);
    assert_int_equal(f->closed_with, 4001);
}

static void bye_finishes_its_connection(void **state) {
    struct fixture *f = *state;
    f->m.kind = MESSAGE_BYE;
    f->m.to_conn = f->client[2].who.value;
    assert_reaches(f, "");
    assert_ptr_equal(f->finished, &f->client[2]);
}

static void a_gap_closes_or_goes_on(void **state) {
    struct fixture *f = *state;
    f->entry->continues_on_gap = true;
    downlink_events.on_gap(&f->downlink, f->entry, GAP_LOST);
    assert_null(f->closed);
    f->entry->continues_on_gap = false;
    downlink_events.on_gap(&f->downlink, f->entry, GAP_LOST);
    assert_int_equal(f->closed_with, 4004);
    assert_int_equal(f->entry->count, 0);
}

/* Later ids are smaller: those who go on must not skip them. */
static void redis_that_fell_back_makes_positions_mean_nothing(void **state) {
    struct fixture *f = *state;
    f->entry->continues_on_gap = true;
    clients_detach(&f->client[0]);
    f->client[0].skip_until = (struct message_id){9, 9};
    clients_attach(f->entry, &f->client[0]);
    f->m.id = (struct message_id){4, 1};
    downlink_events.on_gap(&f->downlink, f->entry, GAP_LOST);
    assert_reaches(f, "123");
    downlink_events.on_gap(&f->downlink, f->entry, GAP_REWOUND);
    assert_reaches(f, "0123");
    assert_null(f->closed);
    f->entry->continues_on_gap = false;
    downlink_events.on_gap(&f->downlink, f->entry, GAP_NONE);
    assert_null(f->closed);
}

static void a_message_to_every_name_is_encoded_once(void **state) {
    struct fixture *f = *state;
    struct name_entry *other = clients_enter(&f->clients, BYTES_LIT("M"));
    clients_detach(&f->client[3]);
    clients_attach(other, &f->client[3]);
    assert_reaches(f, "012");
    deliver(f, other);
    assert_ptr_equal(sent_to(f, 3).ptr, sent_to(f, 0).ptr);
    f->m.data = BYTES_LIT("ho"); /* the same id in another partition */
    deliver(f, other);
    assert_true(bytes_equal_str(sent_to(f, 3), "\x81\x02hi\x81\x02ho"));
    downlink_on_flushed(&f->downlink);
}

/* One that is gone when the turn ends must not be looked at. */
static void a_receipt_ends_with_the_turn(void **state) {
    struct fixture *f = *state;
    f->m.flags = FLAG_RECEIPT;
    f->m.from = BYTES_LIT("token");
    assert_reaches(f, "0123");
    assert_false(TAILQ_EMPTY(&f->downlink.pending));
    clients_detach(&f->client[2]);
    downlink_on_flushed(&f->downlink);
    assert_true(TAILQ_EMPTY(&f->downlink.pending));
}

/* A crowd has room in a receipt, too. */
static void a_receipt_is_of_any_number(void **state) {
    enum { MORE = 100 };
    static struct conn conns[MORE];
    static struct client more[MORE];
    struct fixture *f = *state;
    for (int i = 0; i < MORE; i++) {
        conns[i] = (struct conn){.state = CONN_OPEN, .set = &f->set, .is_blocked = true};
        outq_init(&conns[i].out);
        more[i] = (struct client){.transport = &transport,
                                  .carrier = &more[i],
                                  .conn = &conns[i],
                                  .who = {.name = BYTES_LIT("N"),
                                          .client_id = BYTES_LIT("more"),
                                          .number = (uint64_t)i + 100}};
        clients_attach(f->entry, &more[i]);
    }
    f->m.flags = FLAG_RECEIPT;
    f->m.from = BYTES_LIT("token");
    assert_reaches(f, "0123");
    downlink_on_flushed(&f->downlink);
    assert_true(TAILQ_EMPTY(&f->downlink.pending));
    for (int i = 0; i < MORE; i++) {
        assert_true(conns[i].out.bytes > 0);
        clients_detach(&more[i]);
        conns_mark_clean(&f->set, &conns[i]);
        outq_deinit(&conns[i].out);
    }
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(everybody_gets_the_same_bytes),
        TEST(groups_have_no_case_and_ids_have),
        TEST(a_group_named_twice_is_reached_once),
        TEST(a_client_in_several_groups_is_reached_once),
        TEST(groups_change_in_the_order_of_the_log),
        TEST(closing_several_groups),
        TEST(closing_whole_groups),
        TEST(many_with_one_id_leave_in_any_order),
        TEST(addressees_answer_like_a_search),
        TEST(an_id_named_twice_is_reached_once),
        TEST(an_empty_list_reaches_nobody),
        TEST(one_connection_by_its_value),
        TEST(what_is_before_the_position_is_skipped),
        TEST(each_log_has_what_is_before_the_position),
        TEST(v1_clients_get_json),
        TEST(a_slow_client_is_closed_and_the_others_served),
        TEST(closing_everybody),
        TEST(bye_finishes_its_connection),
        TEST(a_gap_closes_or_goes_on),
        TEST(redis_that_fell_back_makes_positions_mean_nothing),
        TEST(a_message_to_every_name_is_encoded_once),
        TEST(a_receipt_ends_with_the_turn),
        TEST(a_receipt_is_of_any_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
