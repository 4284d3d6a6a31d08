/* test_downlink.c - whom a message reaches and as which frame: clients.c and downlink.c together,
 * with everything around them faked. */
#include "common/bus/log/publish.h"
#include "gateway/session/clients.c"
#include "gateway/delivery/downlink.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- fakes: what the two files call */

static struct name_options options = {.slow = SLOW_CLOSE};
static struct frame sent[64];
static struct conn *sent_to[64];
static size_t sent_count;
static struct conn *full; /* this one's queue is over its bound */
static struct client *closed, *finished;
static int closed_with;

const struct registrations *app_registrations(const struct app *a) {
    (void)a;
    return NULL;
}

const struct name_options *registrations_name_options(const struct registrations *r,
                                                      const char *name) {
    (void)r;
    (void)name;
    return &options;
}

uv_loop_t *bus_loop(struct bus *b) {
    (void)b;
    return uv_default_loop();
}

void publish_receipt(struct bus *b, struct bytes token, const struct receipt *r) {
    (void)b;
    (void)token;
    (void)r;
}

unsigned bus_partitions(const struct bus *b) {
    (void)b;
    return 16;
}

struct follow *follower_follow(struct follower *f, struct bytes name, void *owner) {
    (void)f;
    (void)name;
    return owner;
}

struct message_id follow_position(const struct follow *w) {
    (void)w;
    return (struct message_id){4, 0};
}

void follower_stop(struct follower *f, struct follow *w) {
    (void)f;
    (void)w;
}

enum conn_sent conn_send_message(struct conn *c, struct frame f) {
    if (c == full)
        return CONN_OVER;
    sent_to[sent_count] = c;
    sent[sent_count++] = frame_ref(f);
    return CONN_QUEUED;
}

void client_close(struct client *client, enum close_reason reason) {
    closed = client;
    closed_with = close_reason_code(reason);
    clients_detach(client);
}

void client_close_with(struct client *client, int code, struct bytes reason) {
    (void)reason;
    closed = client;
    closed_with = code;
    clients_detach(client);
}

void client_on_bye(struct client *client) {
    finished = client;
}

void tracing_delivered(struct trace *t, struct name_entry *e, const struct message *m,
                       size_t connections) {
    (void)t;
    (void)e;
    (void)m;
    (void)connections;
}

void join_on_message(struct join *j, const struct message *m) {
    (void)j;
    (void)m;
}

void join_on_gap(struct join *j, enum gap gap) {
    (void)j;
    (void)gap;
}

struct join *join_next(struct join *j) {
    (void)j;
    return NULL;
}

/* ---- a Name with clients */

enum { CLIENTS = 4 };

struct fixture {
    struct clients clients;
    struct message_frames frames;
    struct trace trace;
    struct downlink downlink;
    struct app *app;
    struct name_entry *entry;
    struct conn conns[CLIENTS];
    struct client client[CLIENTS];
    struct buf values[CLIENTS];
    struct message m;
};

static void add(struct fixture *f, int i, const char *id, const char *group) {
    struct conn_value value = {.gateway = BYTES_LIT("00000000000000aa"),
                               .number = (uint64_t)i + 1,
                               .connected_ms = 5,
                               .group = bytes_str(group)};
    conn_value_encode(&f->values[i], &value);
    f->client[i] = (struct client){.conn = &f->conns[i],
                                   .who = {.name = BYTES_LIT("N"),
                                           .client_id = bytes_str(id),
                                           .group = bytes_str(group),
                                           .number = value.number,
                                           .value = buf_bytes(&f->values[i])}};
    clients_attach(f->entry, &f->client[i]);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    clients_init(&f->clients, NULL, NULL, &f->app);
    f->downlink = (struct downlink){.frames = &f->frames, .trace = &f->trace};
    message_frames_init(&f->frames);
    f->entry = clients_enter(&f->clients, BYTES_LIT("N"));
    add(f, 0, "a", "Users");
    add(f, 1, "b", "");
    add(f, 2, "c", "ADMINS");
    add(f, 3, "b", "users"); /* took over "b": both are there for a moment */
    f->m = (struct message){.id = {1, 1}, .kind = MESSAGE_DATA, .data = BYTES_LIT("hi")};
    sent_count = 0;
    full = NULL;
    closed = finished = NULL;
    *state = f;
    return 0;
}

static void forget_sent(void) {
    while (sent_count > 0)
        frame_unref(sent[--sent_count]);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    forget_sent();
    for (int i = 0; i < CLIENTS; i++) {
        clients_detach(&f->client[i]);
        buf_deinit(&f->values[i]);
    }
    clients_deinit(&f->clients);
    message_frames_deinit(&f->frames);
    free(f);
    return 0;
}

/* Who got it, as letters of the fixture's connections in order: "013". */
static void assert_reaches(struct fixture *f, const char *expected) {
    char got[CLIENTS + 1] = "";
    forget_sent();
    downlink_events.on_message(&f->downlink, f->entry, &f->m);
    for (int i = 0; i < CLIENTS; i++)
        for (size_t j = 0; j < sent_count; j++)
            if (sent_to[j] == &f->conns[i])
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
    for (size_t i = 1; i < sent_count; i++)
        assert_ptr_equal(sent[i].chunk, sent[0].chunk);
    assert_memory_equal(frame_bytes(sent[0]).ptr, "\x81\x02hi", 4);
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

static void an_id_named_twice_is_reached_once(void **state) {
    struct fixture *f = *state;
    f->m.to_clients = LIST(BYTES_LIT("b"), BYTES_LIT("zz"), BYTES_LIT("b"));
    assert_reaches(f, "13");
    clients_detach(&f->client[1]);
    assert_reaches(f, "3");
}

/* More ids than are looked up are searched for: neither way may widen. */
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

static void v1_clients_get_json(void **state) {
    static const char expected[] =
        "{\"type\":\"message\",\"id\":\"1-1\",\"name\":\"N\",\"data\":\"hi\"}";
    struct fixture *f = *state;
    clients_detach(&f->client[2]);
    f->client[2].wire = WIRE_WS_V1;
    clients_attach(f->entry, &f->client[2]);
    f->m.to_clients = LIST(BYTES_LIT("c"));
    assert_reaches(f, "2");
    assert_int_equal(sent[0].len, sizeof(expected) - 1 + 2);
    assert_memory_equal(frame_bytes(sent[0]).ptr + 2, expected, sizeof(expected) - 1);
}

static void a_slow_client_is_closed_and_the_others_served(void **state) {
    struct fixture *f = *state;
    full = &f->conns[1];
    assert_reaches(f, "023");
    assert_ptr_equal(closed, &f->client[1]);
    assert_int_equal(closed_with, 4002);
    assert_int_equal(f->entry->count, 3);
}

static void closing_everybody(void **state) {
    struct fixture *f = *state;
    f->m.kind = MESSAGE_CLOSE;
    f->m.data = BYTES_LIT("\x0f\xa1replaced");
    assert_reaches(f, "");
    assert_int_equal(f->entry->count, 0);
    assert_int_equal(closed_with, 4001);
}

static void bye_finishes_its_connection(void **state) {
    struct fixture *f = *state;
    f->m.kind = MESSAGE_BYE;
    f->m.to_conn = f->client[2].who.value;
    assert_reaches(f, "");
    assert_ptr_equal(finished, &f->client[2]);
}

static void a_gap_closes_or_goes_on(void **state) {
    struct fixture *f = *state;
    f->entry->continues_on_gap = true;
    downlink_events.on_gap(&f->downlink, f->entry, GAP_LOST);
    assert_null(closed);
    f->entry->continues_on_gap = false;
    downlink_events.on_gap(&f->downlink, f->entry, GAP_LOST);
    assert_int_equal(closed_with, 4004);
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
    downlink_events.on_message(&f->downlink, f->entry, &f->m);
    assert_int_equal(sent_count, CLIENTS - 1);
    downlink_events.on_gap(&f->downlink, f->entry, GAP_REWOUND);
    downlink_events.on_message(&f->downlink, f->entry, &f->m);
    assert_int_equal(sent_count, CLIENTS - 1 + CLIENTS);
    assert_null(closed);
    f->entry->continues_on_gap = false;
    downlink_events.on_gap(&f->downlink, f->entry, GAP_NONE);
    assert_null(closed);
}

static void a_message_to_every_name_is_encoded_once(void **state) {
    struct fixture *f = *state;
    struct name_entry *other = clients_enter(&f->clients, BYTES_LIT("M"));
    clients_detach(&f->client[3]);
    clients_attach(other, &f->client[3]);
    downlink_events.on_message(&f->downlink, f->entry, &f->m);
    downlink_events.on_message(&f->downlink, other, &f->m);
    assert_int_equal(sent_count, 4);
    assert_true(sent[3].chunk == sent[0].chunk && sent[3].start == sent[0].start);
    f->m.data = BYTES_LIT("ho"); /* the same id in another partition */
    downlink_events.on_message(&f->downlink, other, &f->m);
    assert_true(sent[4].start != sent[0].start);
    message_frames_forget(&f->frames);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(everybody_gets_the_same_bytes),
        TEST(groups_have_no_case_and_ids_have),
        TEST(an_id_named_twice_is_reached_once),
        TEST(an_empty_list_reaches_nobody),
        TEST(one_connection_by_its_value),
        TEST(what_is_before_the_position_is_skipped),
        TEST(v1_clients_get_json),
        TEST(a_slow_client_is_closed_and_the_others_served),
        TEST(closing_everybody),
        TEST(bye_finishes_its_connection),
        TEST(a_gap_closes_or_goes_on),
        TEST(redis_that_fell_back_makes_positions_mean_nothing),
        TEST(a_message_to_every_name_is_encoded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
