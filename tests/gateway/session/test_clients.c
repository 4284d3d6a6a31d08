/* test_clients.c - the tables of a Name: who is found by what, in whatever order they come and go;
 * how long a Name without clients is followed; what a reload changes. */
#include "gateway/session/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/log/follow.h"
#include "common/bus/partition.h"
#include "gateway/conn/conn.h"
#include "gateway/session/client.h"
#include "tests/common/app/app_of_text.h"
#include "tests/fuzz/still_clock.h"

enum { CLIENTS = 9 };

static struct world {
    uv_loop_t loop;
    struct settings settings;
    struct bus *bus;
    struct follower *follower;
    struct app *app;
    struct clients clients;
    struct name_entry *entry; /* of N */
    struct conn conns[CLIENTS];
    struct client client[CLIENTS];
    char values[CLIENTS][64], ids[CLIENTS][8], groups[CLIENTS][8];
} w;

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

static const struct follower_events follower_events = {.on_message = on_message, .on_gap = on_gap};

static struct app *load(const char *text) {
    return app_of_text(text, &(struct app_environment){.loop = &w.loop, .settings = &w.settings});
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    log_set_level(LOG_ERROR + 1);
    uv_loop_init(&w.loop);
    w.settings = (struct settings){.redis = "redis://127.0.0.1:1",
                                   .redis_password_file = "",
                                   .redis_prefix = "",
                                   .redis_ca = "",
                                   .partitions = 16,
                                   .lua_memory_bytes = 1 << 26,
                                   .lua_budget_ms = 1000};
    w.bus = bus_new(&w.loop, &w.settings, BUS_GATEWAY);
    w.follower = follower_new(w.bus, &follower_events, &w);
    w.app = load("");
    clients_init(&w.clients, w.bus, w.follower, &w.app);
    w.entry = clients_enter(&w.clients, BYTES_LIT("N"));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < CLIENTS; i++)
        clients_detach(&w.client[i]); /* of those that are still there */
    clients_deinit(&w.clients);
    app_release(w.app);
    bus_hang_up(w.bus);
    follower_free(w.follower);
    bus_close(w.bus);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    return 0;
}

/* The i-th client comes; its number is i + 1. */
static void come(size_t i, const char *id, const char *group) {
    snprintf(w.ids[i], sizeof(w.ids[i]), "%s", id);
    snprintf(w.groups[i], sizeof(w.groups[i]), "%s", group);
    snprintf(w.values[i], sizeof(w.values[i]), "gw:%zu:5|%s", i + 1, group);
    w.conns[i] = (struct conn){.state = CONN_OPEN};
    w.client[i] = (struct client){.conn = &w.conns[i],
                                  .who = {.name = BYTES_LIT("N"),
                                          .client_id = bytes_str(w.ids[i]),
                                          .group = bytes_str(w.groups[i]),
                                          .value = bytes_str(w.values[i]),
                                          .number = i + 1}};
    clients_attach(w.entry, &w.client[i]);
}

static void go(size_t i) {
    clients_detach(&w.client[i]);
}

/* Those with this id, as digits in order of their place. */
static void assert_by_id(const char *id, const char *expected) {
    char found[CLIENTS + 1] = "";
    for (struct client *c = clients_by_id(w.entry, bytes_str(id)); c != NULL; c = c->same_id)
        found[strlen(found)] = (char)('0' + (c - w.client));
    char sorted[CLIENTS + 1] = "";
    for (char at = '0'; at <= '9'; at++)
        if (strchr(found, at) != NULL)
            sorted[strlen(sorted)] = at;
    assert_int_equal(strlen(sorted), strlen(found)); /* each once */
    assert_string_equal(sorted, expected);
}

static void assert_by_group(const char *group, const char *expected) {
    struct group *g = clients_by_group(w.entry, bytes_str(group));
    char found[CLIENTS + 1] = "";
    struct client *c;
    if (g != NULL)
        TAILQ_FOREACH (c, &g->members, by_group)
            found[strlen(found)] = (char)('0' + (c - w.client));
    assert_string_equal(found, expected);
    assert_true(g == NULL || found[0] != '\0'); /* no group without members */
}

static void assert_places(void) {
    for (size_t i = 0; i < w.entry->count; i++) {
        assert_int_equal(w.entry->slots[i].client->slot, i);
        assert_ptr_equal(w.entry->slots[i].conn, w.entry->slots[i].client->conn);
        assert_ptr_equal(w.entry->slots[i].client->entry, w.entry);
    }
}

/* ---- */

static void each_is_found_by_what_it_is(void **state) {
    (void)state;
    come(0, "a", "Users");
    come(1, "b", "");
    come(2, "c", "USERS");
    assert_int_equal(w.clients.count, 3);
    assert_by_id("a", "0");
    assert_by_id("A", "");
    assert_by_id("", "");
    assert_by_group("users", "02");
    assert_by_group("user", "");
    assert_by_group("", "");
    assert_ptr_equal(clients_by_number(&w.clients, 2), &w.client[1]);
    assert_null(clients_by_number(&w.clients, 4));
    assert_null(clients_by_number(&w.clients, 0));
    assert_ptr_equal(clients_by_value(&w.clients, BYTES_LIT("gw:3:5|USERS")), &w.client[2]);
    assert_null(clients_by_value(&w.clients, BYTES_LIT("other:3:5|USERS"))); /* another gateway's */
    assert_null(clients_by_value(&w.clients, BYTES_LIT("gw:3:6|USERS")));
    assert_null(clients_by_value(&w.clients, BYTES_LIT("gw:9:5|")));
    assert_null(clients_by_value(&w.clients, BYTES_LIT("")));
    assert_places();
    go(0);
    assert_by_id("a", "");
    assert_by_group("users", "2");
    assert_null(clients_by_number(&w.clients, 1));
    assert_int_equal(w.clients.count, 2);
    go(0); /* it has gone */
    assert_int_equal(w.clients.count, 2);
    go(2);
    assert_by_group("users", "");
    assert_places();
}

/* Three with one id, and every order in which they may go. */
static void those_with_one_id_go_in_any_order(void **state) {
    static const char *const orders[] = {"012", "021", "102", "120", "201", "210"};
    for (size_t k = 0; k < ARRAY_LEN(orders); k++) {
        if (k > 0) {
            teardown(state);
            setup(state);
        }
        for (size_t i = 0; i < 3; i++)
            come(i, "same", "g");
        come(3, "other", "g");
        char left[] = "012";
        assert_by_id("same", left);
        for (const char *at = orders[k]; *at != '\0'; at++) {
            go((size_t)(*at - '0'));
            char *place = strchr(left, *at);
            memmove(place, place + 1, strlen(place));
            assert_by_id("same", left);
            assert_by_id("other", "3");
            assert_places();
        }
    }
}

/* The table of places grows past its first size, and again. */
static void many_have_a_place_each(void **state) {
    (void)state;
    for (size_t i = 0; i < CLIENTS; i++) {
        char id[] = {(char)('a' + i), '\0'};
        come(i, id, i % 2 == 0 ? "even" : "odd");
    }
    assert_int_equal(w.entry->count, CLIENTS);
    assert_by_group("even", "02468");
    assert_by_group("odd", "1357");
    assert_places();
    for (size_t i = 0; i < CLIENTS; i += 3)
        go(i);
    assert_int_equal(w.entry->count, CLIENTS - 3);
    assert_by_group("even", "248");
    assert_places();
}

static void a_client_may_skip_what_was_before(void **state) {
    (void)state;
    come(0, "a", "");
    assert_false(w.entry->slots[0].skips);
    w.client[1].skip_until = (struct message_id){5, 0};
    struct client client = {.conn = &w.conns[1],
                            .skip_until = {5, 0},
                            .who = {.client_id = BYTES_LIT("b"), .number = 2}};
    clients_attach(w.entry, &client);
    assert_true(w.entry->slots[1].skips);
    clients_detach(&client);
}

/* From where a client would go on: as far as the log was followed here, and from its own position
 * if it joined after that. */
static void a_client_has_a_position(void **state) {
    static const struct {
        struct message_id joined_at;
        const char *position;
    } cases[] = {
        {{0, 0}, "4-1"}, {{4, 0}, "4-1"}, {{4, 1}, "4-1"}, {{4, 2}, "4-2"}, {{9, 0}, "9-0"}};
    struct client nowhere = {.skip_until = {7, 7}};
    struct buf text = {0};
    (void)state;
    w.entry->follow->settled = (struct message_id){4, 1};
    w.entry->follow->settled_ms = 1000;
    come(0, "a", "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        w.client[0].skip_until = cases[i].joined_at;
        buf_clear(&text);
        client_transport_events.position(&w.client[0], 999, &text);
        if (!bytes_equal_str(buf_bytes(&text), cases[i].position))
            fail_msg("case %zu: %.*s", i, BYTES_FMT(buf_bytes(&text)));
    }
    buf_clear(&text);
    client_transport_events.position(&w.client[0], 1000, &text);
    assert_int_equal(text.len, 0); /* what it was sent then may be later */
    client_transport_events.position(&w.client[0], 0, &text);
    assert_true(bytes_equal_str(buf_bytes(&text), "9-0"));
    buf_clear(&text);
    client_transport_events.position(&nowhere, 5000, &text); /* a Local one has no log */
    assert_true(bytes_equal_str(buf_bytes(&text), "0-0"));
    buf_deinit(&text);
}

static void texts_have_marks_of_their_own(void **state) {
    (void)state;
    uint64_t first = clients_new_mark(&w.clients);
    assert_true(first > 0);
    assert_true(clients_new_mark(&w.clients) > first);
}

/* ---- a Name without clients */

static bool is_followed(void) {
    return clients_find(&w.clients, BYTES_LIT("N")) != NULL;
}

static void sweep_after(uint64_t ms) {
    now_ms += ms;
    uv_update_time(&w.loop);
    clients_sweep(&w.clients);
}

static void a_name_is_followed_half_a_minute_longer(void **state) {
    (void)state;
    come(0, "a", "");
    come(1, "b", "");
    sweep_after(100000);
    assert_true(is_followed()); /* somebody is here */
    go(0);
    sweep_after(100000);
    assert_true(is_followed());
    go(1);
    sweep_after(29000);
    assert_true(is_followed());
    assert_ptr_equal(clients_enter(&w.clients, BYTES_LIT("N")), w.entry); /* somebody joins */
    sweep_after(100000);
    assert_true(is_followed());
    clients_left(w.entry); /* and does not stay */
    sweep_after(30000);
    assert_true(is_followed());
    sweep_after(2);
    assert_false(is_followed());
    assert_int_equal(metrics_values[METRIC_names_followed], 0);
}

/* As long as somebody joins it is not without clients. */
static void a_join_keeps_a_name(void **state) {
    struct join_list kept;
    (void)state;
    w.entry->joins.lh_first = (struct join *)&kept; /* only compared */
    clients_left(w.entry);
    assert_int_equal(w.entry->empty_ms, 0);
    w.entry->joins.lh_first = NULL;
    clients_left(w.entry);
    assert_true(w.entry->empty_ms > 0);
    come(0, "a", "");
    assert_int_equal(w.entry->empty_ms, 0);
}

static void names_have_an_entry_each(void **state) {
    (void)state;
    struct name_entry *other = clients_enter(&w.clients, BYTES_LIT("n"));
    assert_ptr_not_equal(other, w.entry);
    assert_ptr_equal(clients_find(&w.clients, BYTES_LIT("n")), other);
    assert_null(clients_find(&w.clients, BYTES_LIT("NN")));
    assert_null(clients_find(&w.clients, BYTES_LIT("")));
    assert_int_equal(metrics_values[METRIC_names_followed], 2);
    assert_int_equal(other->partition, partition_of(BYTES_LIT("n"), 16));
    assert_true(bytes_equal_str(name_entry_name(other), "n"));
}

/* ---- options */

static void a_reload_is_for_those_who_are_here_too(void **state) {
    (void)state;
    come(0, "a", "");
    assert_int_equal(w.conns[0].policy, SLOW_CLOSE);
    assert_false(w.entry->continues_on_gap);
    struct app *before = w.app;
    w.app = load("signalbox.name('N', { slow = 'drop_oldest', on_gap = 'continue' })\n"
                 "signalbox.name('O', { slow = 'latest' })\n");
    assert_int_equal(w.conns[0].policy, SLOW_CLOSE);
    clients_reload(&w.clients);
    app_release(before);
    assert_int_equal(w.conns[0].policy, SLOW_DROP_OLDEST);
    assert_true(w.entry->continues_on_gap);
    come(1, "b", "");
    assert_int_equal(w.conns[1].policy, SLOW_DROP_OLDEST);
    assert_int_equal(clients_enter(&w.clients, BYTES_LIT("O"))->slow, SLOW_LATEST);
    assert_int_equal(clients_enter(&w.clients, BYTES_LIT("P"))->slow, SLOW_CLOSE);
}

/* ---- clients in several groups */

static struct bytes_list texts_of(struct bytes room[CLIENTS], const char *texts) {
    struct bytes rest = bytes_str(texts);
    size_t count = 0;
    while (rest.len > 0)
        room[count++] = bytes_split(&rest, ' ');
    return (struct bytes_list){room, count};
}

/* Comes with these groups, which stand between spaces. */
static void come_in(size_t i, const char *id, const char *groups) {
    struct bytes room[CLIENTS];
    come(i, id, "");
    clients_detach(&w.client[i]);
    w.client[i].memberships =
        memberships_new(&w.client[i], texts_of(room, groups), MESSAGE_ID_NONE);
    clients_attach(w.entry, &w.client[i]);
}

static void go_from(size_t i) {
    go(i);
    free(w.client[i].memberships);
    w.client[i].memberships = NULL;
}

/* The clients with memberships of the group, as digits. */
static void assert_further(const char *group, const char *expected) {
    struct group *g = clients_by_group(w.entry, bytes_str(group));
    char found[CLIENTS + 1] = "";
    struct membership *m;
    if (g != NULL)
        TAILQ_FOREACH (m, &g->further, link)
            found[strlen(found)] = (char)('0' + (m->client - w.client));
    assert_string_equal(found, expected);
}

static void some_are_in_several_groups(void **state) {
    (void)state;
    come(0, "a", "red");
    come_in(1, "b", "Red blue");
    come_in(2, "c", "blue green BLUE"); /* twice, without case */
    assert_int_equal(client_groups(&w.client[2]).count, 2);
    assert_by_group("RED", "0");
    assert_further("red", "1");
    assert_further("blue", "12");
    assert_further("green", "2");
    go(0);
    assert_further("red", "1"); /* the group stays */
    go_from(1);
    assert_null(clients_by_group(w.entry, BYTES_LIT("red")));
    assert_further("blue", "2");
    go_from(2);
    assert_null(w.entry->by_group);
    come_in(1, "b", ""); /* it has left them all */
    assert_int_equal(client_groups(&w.client[1]).count, 0);
    assert_int_equal(client_group(&w.client[1]).len, 0);
    go_from(1);
}

static void a_client_is_marked_by_any_of_its_groups(void **state) {
    static const char *const groups[] = {"red", "blue"};
    (void)state;
    come_in(0, "a", "red blue");
    come(1, "b", "blue");
    come(2, "c", "");
    for (size_t i = 0; i < 2; i++) {
        uint64_t mark = clients_new_mark(&w.clients);
        clients_by_group(w.entry, bytes_str(groups[i]))->mark = mark;
        assert_true(clients_has_mark(&w.client[0], mark));
        assert_int_equal(clients_has_mark(&w.client[1], mark), i == 1);
        assert_false(clients_has_mark(&w.client[2], mark));
    }
    go_from(0);
}

/* A connection value, session and groups as a conversion makes them. */
static void assert_details(const char *texts, const char *data, bool are_needed) {
    struct bytes room[CLIENTS];
    struct bytes_list groups = texts_of(room, texts);
    struct client c = {.who.group = groups.count > 0 ? groups.items[0] : BYTES_NONE};
    struct buf value = {0}, session = {0}, details = {0};
    struct conn_details back;
    struct conn_value v = {.gateway = BYTES_LIT("gw"), .number = 1, .group = c.who.group};
    conn_value_encode(&value, &v);
    session_encode(&session, &(struct session){.data = bytes_str(data)});
    c.who.value = buf_bytes(&value);
    c.who.session = buf_bytes(&session);
    client_set_groups(&c, groups);
    assert_int_equal(c.memberships != NULL, groups.count > 1);
    client_details(&c, &details);
    if ((details.len > 0) != are_needed)
        fail_msg("groups %s, data %s", texts, data);
    conn_details_read(c.who.value, buf_bytes(&details), &back);
    assert_int_equal(back.groups.count, groups.count);
    assert_true(bytes_equal_str(back.data, data));
    conn_details_free(&back);
    free(c.memberships);
    buf_deinit(&value);
    buf_deinit(&session);
    buf_deinit(&details);
}

static void details_say_what_the_value_does_not(void **state) {
    (void)state;
    assert_details("", "", false);
    assert_details("red", "", false);
    assert_details("r\xc3\xa9", "", true); /* a script cannot fold it */
    assert_details("red blue", "", true);
    assert_details("", "{}", true);
}

/* ---- whom a message is for */

static void each_restriction_has_to_fit(void **state) {
    struct bytes ids[] = {BYTES_LIT("x"), BYTES_LIT("ann")},
                 groups[] = {BYTES_LIT("x"), BYTES_LIT("uSERS")};
    struct client ann = {.who = {.client_id = BYTES_LIT("ann"),
                                 .group = BYTES_LIT("Users"),
                                 .value = BYTES_LIT("gw:1:5|Users")}};
    struct client bob = {.who = {.client_id = BYTES_LIT("bob"), .value = BYTES_LIT("gw:2:5|")}};
    struct bytes_list no_list = {0}, some_ids = {ids, 2}, some_groups = {groups, 2},
                      others = {ids, 1}, nobody = {ids, 0};
    const struct {
        struct bytes_list ids, groups;
        const char *conn;
        bool is_for_ann, is_for_bob;
    } cases[] = {
        {no_list, no_list, "", true, true},         {some_ids, no_list, "", true, false},
        {others, no_list, "", false, false},        {nobody, no_list, "", false, false},
        {no_list, some_groups, "", true, false},    {no_list, others, "", false, false},
        {some_ids, some_groups, "", true, false},   {others, some_groups, "", false, false},
        {some_ids, others, "", false, false},       {no_list, no_list, "gw:1:5|Users", true, false},
        {no_list, no_list, "gw:2:5|", false, true}, {others, no_list, "gw:1:5|Users", false, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message m = {.to_clients = cases[i].ids,
                            .to_groups = cases[i].groups,
                            .to_conn = bytes_str(cases[i].conn)};
        if (clients_is_for(&m, &ann) != cases[i].is_for_ann ||
            clients_is_for(&m, &bob) != cases[i].is_for_bob)
            fail_msg("case %zu", i);
    }
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_is_found_by_what_it_is),
        TEST(those_with_one_id_go_in_any_order),
        TEST(many_have_a_place_each),
        TEST(a_client_may_skip_what_was_before),
        TEST(a_client_has_a_position),
        TEST(texts_have_marks_of_their_own),
        TEST(a_name_is_followed_half_a_minute_longer),
        TEST(a_join_keeps_a_name),
        TEST(names_have_an_entry_each),
        TEST(a_reload_is_for_those_who_are_here_too),
        TEST(some_are_in_several_groups),
        TEST(a_client_is_marked_by_any_of_its_groups),
        TEST(details_say_what_the_value_does_not),
        TEST(each_restriction_has_to_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
