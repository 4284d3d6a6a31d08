/* The connections of the fleet, by Name, group and client id, page after page; and the processes
 * by their heartbeats. */
#include "common/admin/listing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/admin/roster.h"
#include "common/base/buf.h"
#include "common/bus/cluster/about.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

enum { WAIT_MS = 20000, CROWD = 2500, NAMES = 1100, SHOWN_MAX = 64 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct registry *registry;
    unsigned registered, ended, parts, rows;
    int status;
    size_t largest;
    char shown[SHOWN_MAX][40]; /* "<name>/<client id>" */
    struct buf text;
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 4);
    t.bus = bus_room_join(&t.room, BUS_GATEWAY);
    for (int i = 0; i < 300 && !bus_may_register(t.bus); i++)
        bus_room_turn(&t.room, 10);
    t.registry = registry_new(t.bus);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    registry_free(t->registry);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    buf_deinit(&t->text);
    return 0;
}

static void on_registered(void *ctx, enum registered result, struct message_id position) {
    struct test *t = ctx;
    (void)position;
    assert_int_equal(result, REGISTERED_OK);
    t->registered++;
}

static void add(struct test *t, const char *name, const char *client, const char *group) {
    static unsigned number;
    char value[100];
    snprintf(value, sizeof(value), "%s:%u:86400000|%s", bus_id(t->bus), ++number, group);
    const struct registration what = {bytes_str(name), bytes_str(client), bytes_str(value), false};
    registry_register(t->registry, &what, on_registered, t);
}

static void on_rows(void *ctx, const struct registry_row *rows, size_t count) {
    struct test *t = ctx;
    assert_true(count > 0);
    t->parts++;
    t->largest = count > t->largest ? count : t->largest;
    for (size_t i = 0; i < count; i++, t->rows++)
        if (t->rows < SHOWN_MAX)
            snprintf(t->shown[t->rows], sizeof(t->shown[0]), "%.*s/%.*s", BYTES_FMT(rows[i].name),
                     BYTES_FMT(rows[i].client_id));
}

static void on_end(void *ctx, int status) {
    struct test *t = ctx;
    t->status = status;
    t->ended++;
}

static const struct listing_events events = {on_rows, on_end};

static struct listing *start(struct test *t, const char *name, const char *group,
                             const char *client) {
    const struct listing_filter filter = {bytes_str(name), bytes_str(group), bytes_str(client)};
    t->ended = t->parts = t->rows = 0;
    t->largest = 0;
    return listing_start(t->registry, &filter, &events, t);
}

static int compare(const void *a, const void *b) {
    return strcmp(a, b);
}

/* The rows, sorted, each with a blank behind it. */
static const char *list(struct test *t, const char *name, const char *group, const char *client) {
    (void)start(t, name, group, client);
    bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
    assert_int_equal(t->status, 0);
    qsort(t->shown, t->rows, sizeof(t->shown[0]), compare);
    buf_clear(&t->text);
    for (unsigned i = 0; i < t->rows; i++)
        buf_printf(&t->text, "%s ", t->shown[i]);
    buf_append_char(&t->text, '\0');
    return t->text.ptr;
}

static void by_name_group_and_id(void **state) {
    static const struct {
        const char *name, *group, *client, *rows;
    } rows[] = {
        {"", "", "", "n0/ann n1/ann n1/bob n2/cat n2/dan "},
        {"n1", "", "", "n1/ann n1/bob "},
        {"none", "", "", ""},
        {"N1", "", "", ""}, /* Names have a case here */
        {"", "g", "", "n0/ann n1/bob n2/cat "},
        {"", "G", "", "n0/ann n1/bob n2/cat "},
        {"n2", "g", "", "n2/cat "},
        {"n2", "none", "", ""},
        {"", "", "ann", "n0/ann n1/ann "},
        {"n1", "", "ann", "n1/ann "},
        {"n2", "", "ann", ""},
        {"", "", "an", ""},
        {"", "g", "ann", "n0/ann "},
        {"n1", "g", "bob", "n1/bob "},
        {"n1", "h", "bob", ""},
    };
    struct test *t = *state;
    add(t, "n0", "ann", "g");
    add(t, "n1", "ann", "");
    add(t, "n1", "bob", "G");
    add(t, "n2", "cat", "g");
    add(t, "n2", "dan", "gg");
    bus_room_until(&t->room, &t->registered, 5, WAIT_MS);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(list(t, rows[i].name, rows[i].group, rows[i].client), rows[i].rows);
}

/* Each connection of a Name that takes several pages comes once, in parts that are bounded. */
static void page_after_page(void **state) {
    struct test *t = *state;
    char client[16];
    for (int i = 0; i < CROWD; i++) {
        snprintf(client, sizeof(client), "c%d", i);
        add(t, "crowd", client, i % 2 == 0 ? "even" : "odd");
    }
    add(t, "n1", "ann", "even");
    bus_room_until(&t->room, &t->registered, CROWD + 1, WAIT_MS);
    (void)start(t, "", "", "");
    bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
    assert_int_equal(t->rows, CROWD + 1);
    assert_true(t->parts > 2 && t->largest <= REGISTRY_PART_ROWS);
    (void)start(t, "crowd", "ODD", "");
    bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
    assert_int_equal(t->rows, CROWD / 2);
    assert_true(t->parts > 1);
    assert_string_equal(list(t, "crowd", "", "c2499"), "crowd/c2499 ");
    (void)start(t, "crowd", "none", "");
    bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
    assert_int_equal(t->parts, 0); /* a part without a row is none */
}

/* More Names than one part of their list holds. */
static void name_after_name(void **state) {
    struct test *t = *state;
    char name[16];
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        add(t, name, "ann", i == NAMES - 1 ? "last" : "");
    }
    bus_room_until(&t->room, &t->registered, NAMES, WAIT_MS);
    (void)start(t, "", "", "");
    bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
    assert_int_equal(t->status, 0);
    assert_int_equal(t->rows, NAMES);
    assert_string_equal(list(t, "", "last", ""), "n1099/ann ");
}

static void nothing_comes_after_forgetting(void **state) {
    struct test *t = *state;
    listing_forget(NULL);
    add(t, "n1", "ann", "");
    bus_room_until(&t->room, &t->registered, 1, WAIT_MS);
    listing_forget(start(t, "", "", ""));
    listing_forget(start(t, "n1", "", ""));
    listing_forget(start(t, "n1", "", "ann"));
    listing_forget(start(t, "", "", "ann"));
    bus_room_turn(&t->room, 50);
    assert_int_equal(t->ended + t->rows, 0);
}

static void without_redis_it_ends(void **state) {
    static const char *const rows[][3] = {
        {"", "", ""}, {"n1", "", ""}, {"n1", "", "ann"}, {"", "", "ann"}};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)start(t, rows[i][0], rows[i][1], rows[i][2]);
        assert_int_equal(t->ended, 0); /* never inside */
        if (i == 0)
            redis_server_kill(&t->room.redis);
        bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
        assert_true(t->status < 0 && t->rows == 0);
    }
}

static void json_of_rows(void **state) {
    static const struct registry_row rows[] = {
        {BYTES_LIT("n\"1"), BYTES_LIT("ann"), BYTES_LIT("gid:7:86400000|g\\")},
        {BYTES_LIT("n2"), BYTES_LIT("b"), BYTES_LIT("no value")},
        {BYTES_LIT("n3"), BYTES_LIT("c"), BYTES_LIT("gid:8:0:sse|")},
    };
    static const char first[] =
        "{\"name\":\"n\\\"1\",\"clientId\":\"ann\",\"group\":\"g\\\\\",\"groups\":[\"g\\\\\"],"
        "\"gateway\":\"gid\",\"connectedAt\":\"1970-01-02T00:00:00.000Z\",\"transport\":\"ws\"}";
    struct buf out = {0};
    char expected[400];
    (void)state;
    listing_write_rows(&out, rows, 1);
    assert_true(bytes_equal_str(buf_bytes(&out), first));
    buf_clear(&out);
    listing_write_rows(&out, rows, 0);
    assert_int_equal(out.len, 0);
    listing_write_rows(&out, rows, 3);
    snprintf(expected, sizeof(expected),
             "%s,{\"name\":\"n2\",\"clientId\":\"b\"},{\"name\":\"n3\",\"clientId\":\"c\","
             "\"group\":\"\",\"groups\":[],\"gateway\":\"gid\",\"connectedAt\":\"1970-01-01T00:00:"
             "00.000Z\","
             "\"transport\":\"sse\"}",
             first);
    assert_true(bytes_equal_str(buf_bytes(&out), expected));
    buf_clear(&out);
    listing_write_names(&out, rows, 0);
    listing_write_names(&out, rows, 1);
    listing_write_names(&out, rows, 3);
    assert_true(bytes_equal_str(buf_bytes(&out), "\"n\\\"1\"\"n\\\"1\",\"n2\",\"n3\""));
    buf_deinit(&out);
}

/* All groups, and the data when it is JSON, which anybody may have written into Redis. */
static void json_of_details(void **state) {
    static const struct {
        const char *data, *expected;
    } cases[] = {{"{ \"a\": 1.50 }", ",\"data\":{\"a\":1.50}"}, {"", ""}, {"}{", ""}};
    struct bytes groups[] = {BYTES_LIT("red"), BYTES_LIT("bl\"ue")};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct conn_details d = {.value = BYTES_LIT("gid:7:0|red"),
                                 .data = bytes_str(cases[i].data),
                                 .groups = {groups, 2}};
        struct buf details = {0}, out = {0}, expected = {0};
        conn_details_encode(&details, &d);
        const struct registry_row row = {BYTES_LIT("n"), BYTES_LIT("c"), d.value,
                                         buf_bytes(&details)};
        listing_write_rows(&out, &row, 1);
        buf_printf(&expected,
                   "{\"name\":\"n\",\"clientId\":\"c\",\"group\":\"red\","
                   "\"groups\":[\"red\",\"bl\\\"ue\"]%s,\"gateway\":\"gid\","
                   "\"connectedAt\":\"1970-01-01T00:00:00.000Z\",\"transport\":\"ws\"}",
                   cases[i].expected);
        if (!bytes_equal(buf_bytes(&out), buf_bytes(&expected)))
            fail_msg("%.*s", BYTES_FMT(buf_bytes(&out)));
        buf_deinit(&details);
        buf_deinit(&out);
        buf_deinit(&expected);
    }
}

/* --- the roster --- */

static void on_roster(void *ctx, int status, const struct roster_row *rows, size_t count) {
    struct test *t = ctx;
    t->status = status;
    buf_clear(&t->text);
    for (size_t i = 0; i < count; i++)
        buf_printf(&t->text, "%s%s %s %d", i > 0 ? ", " : "", rows[i].id, roster_state(&rows[i]),
                   (int)rows[i].connections);
    buf_append_char(&t->text, '\0');
    t->ended++;
}

static const char *roster(struct test *t, enum roster_kind kind, uint64_t patience_ms) {
    t->ended = 0;
    (void)roster_look(t->bus, kind, patience_ms, on_roster, t);
    bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
    return t->text.ptr;
}

/* Sorted; the connections of all partitions; who is silent as soon as patience is over. */
static void who_is_there(void **state) {
    struct test *t = *state;
    char expected[200], own[100];
    add(t, "n0", "ann", "");
    add(t, "n1", "bob", "");
    add(t, "n1", "cat", "");
    bus_room_until(&t->room, &t->registered, 3, WAIT_MS);
    snprintf(own, sizeof(own), "%s alive 3", bus_id(t->bus));
    assert_string_equal(roster(t, ROSTER_GATEWAYS, ROSTER_PATIENCE_MS), own);
    assert_int_equal(t->status, 0);
    bus_room_ask(&t->room, "HSET %s ~last 7 !first 7", fleet_key(KEY_GATEWAYS));
    bus_room_ask(&t->room, "HSET %s broker 7", fleet_key(KEY_BROKERS));
    snprintf(expected, sizeof(expected), "!first silent 0, %s, ~last silent 0", own);
    assert_string_equal(roster(t, ROSTER_GATEWAYS, ROSTER_PATIENCE_MS), expected);
    assert_string_equal(roster(t, ROSTER_BROKERS, 100), "broker silent -1");
    bus_room_ask(&t->room, "DEL %s", fleet_key(KEY_BROKERS));
    assert_string_equal(roster(t, ROSTER_BROKERS, ROSTER_PATIENCE_MS), "");
    assert_int_equal(t->status, 0);
}

/* While Redis takes no writes, silence means nothing. */
static void nobody_is_silent_while_redis_refuses(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET %s other 7", fleet_key(KEY_BROKERS));
    bus_room_ask(&t->room, "CONFIG SET min-replicas-to-write 1");
    assert_string_equal(roster(t, ROSTER_BROKERS, 600), "other unknown -1");
    bus_room_ask(&t->room, "CONFIG SET min-replicas-to-write 0");
    assert_string_equal(roster(t, ROSTER_BROKERS, 600), "other silent -1");
}

/* A heartbeat moves all the same, once: that one is alive. */
static void who_moved_is_alive_while_redis_refuses(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET %s still 7 moves 7", fleet_key(KEY_BROKERS));
    t->ended = 0;
    (void)roster_look(t->bus, ROSTER_BROKERS, 900, on_roster, t);
    bus_room_turn(&t->room, 100); /* it has looked */
    bus_room_ask(&t->room, "HSET %s moves 8", fleet_key(KEY_BROKERS));
    bus_room_ask(&t->room, "CONFIG SET min-replicas-to-write 1");
    bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
    assert_string_equal(t->text.ptr, "moves alive -1, still unknown -1");
}

/* As soon as all have moved, however long the patience; one that leaves meanwhile is not waited
 * for, nor listed. */
static void a_roster_ends_when_all_have_moved(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET %s a 1 b 1 gone 1", fleet_key(KEY_BROKERS));
    t->ended = 0;
    (void)roster_look(t->bus, ROSTER_BROKERS, 1000 * WAIT_MS, on_roster, t);
    bus_room_turn(&t->room, 100);
    bus_room_ask(&t->room, "HSET %s a 2", fleet_key(KEY_BROKERS));
    bus_room_ask(&t->room, "HDEL %s gone", fleet_key(KEY_BROKERS));
    bus_room_turn(&t->room, 600);
    assert_int_equal(t->ended, 0);
    bus_room_ask(&t->room, "HSET %s b 2", fleet_key(KEY_BROKERS));
    bus_room_until(&t->room, &t->ended, 1, WAIT_MS);
    assert_string_equal(t->text.ptr, "a alive -1, b alive -1");
}

static void a_roster_that_redis_refuses(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET %s a 1", fleet_key(KEY_BROKERS));
    bus_room_ask(&t->room, "ACL SETUSER default -hgetall");
    assert_string_equal(roster(t, ROSTER_BROKERS, 5000), "");
    assert_int_equal(t->status, -EIO);
    bus_room_turn(&t->room, 300);
    assert_int_equal(t->ended, 1);
}

static void a_roster_that_nobody_wants(void **state) {
    struct test *t = *state;
    t->ended = 0;
    roster_cancel(NULL);
    roster_cancel(roster_look(t->bus, ROSTER_GATEWAYS, 0, on_roster, t));
    struct roster *r = roster_look(t->bus, ROSTER_GATEWAYS, 5000, on_roster, t);
    bus_room_turn(&t->room, 30); /* it has asked */
    roster_cancel(r);
    bus_room_turn(&t->room, 300);
    assert_int_equal(t->ended, 0);
    redis_server_kill(&t->room.redis);
    bus_room_turn(&t->room, 30);
    (void)roster(t, ROSTER_GATEWAYS, 5000);
    assert_true(t->status < 0);
}

static void json_of_the_roster(void **state) {
    static const struct about_row full = {.state = "draining",
                                          .listen = "http://a:1 ws://b:2",
                                          .admin = "c:3",
                                          .host = "h\"",
                                          .pid = 17,
                                          .version = "1.2.3"};
    static const struct about_row bare = {.state = "alive"}, none = {.state = ""};
    static const struct roster_row rows[] = {
        {"a", true, true, 3, &full},
        {"b", false, true, -1, &none},
        {"c", false, false, 0, &bare},
        {"d", true, true, -1, &bare},
    };
    static const char *const states[] = {"draining", "silent", "unknown", "alive"};
    struct buf out = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(roster_state(&rows[i]), states[i]);
    assert_string_equal(roster_state(&(struct roster_row){"e", true, true, 0, &none}), "alive");
    roster_write_json(&out, rows, 0);
    roster_write_json(&out, rows, ARRAY_LEN(rows));
    buf_append_char(&out, '\0');
    assert_string_equal(
        out.ptr,
        "[][{\"id\":\"a\",\"alive\":true,\"connections\":3,\"state\":\"draining\","
        "\"listen\":[\"http://a:1\",\"ws://b:2\"],\"admin\":\"c:3\",\"host\":\"h\\\"\",\"pid\":17,"
        "\"version\":\"1.2.3\"},{\"id\":\"b\",\"alive\":false},"
        "{\"id\":\"c\",\"alive\":null,\"connections\":0,\"state\":\"unknown\",\"listen\":[],"
        "\"admin\":\"\",\"host\":\"\",\"pid\":0,\"version\":\"\"},"
        "{\"id\":\"d\",\"alive\":true,\"state\":\"alive\",\"admin\":\"\",\"host\":\"\",\"pid\":0,"
        "\"version\":\"\"}]");
    buf_deinit(&out);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(by_name_group_and_id),
        TEST(page_after_page),
        TEST(name_after_name),
        TEST(nothing_comes_after_forgetting),
        TEST(without_redis_it_ends),
        cmocka_unit_test(json_of_rows),
        cmocka_unit_test(json_of_details),
        TEST(who_is_there),
        TEST(nobody_is_silent_while_redis_refuses),
        TEST(who_moved_is_alive_while_redis_refuses),
        TEST(a_roster_ends_when_all_have_moved),
        TEST(a_roster_that_redis_refuses),
        TEST(a_roster_that_nobody_wants),
        cmocka_unit_test(json_of_the_roster),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
