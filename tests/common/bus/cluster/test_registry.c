/* test_registry.c - who is connected: take-over, restore, removal, questions; and the reaping of a
 * dead gateway. "got" is what the stream `in` says: C for each Connect, D for each Disconnect. */
#include "common/bus/cluster/registry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/cluster/own_registrations.h"
#include "common/bus/cluster/reap.h"
#include "common/bus/cluster/registry_member.h"
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/bus/bus_send.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

struct test {
    struct bus_room room;
    struct bus *bus;
    struct registry *registry;
    unsigned answers, count;
    enum registered result;
    bool is_dead;
    int status;
    char rows[200]; /* name/client=value, separated by spaces */
};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
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
    registry_free(NULL);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void wait(struct test *t) {
    bus_room_until(&t->room, &t->answers, 1, 2000);
    t->answers = 0;
}

static void on_registered(void *ctx, enum registered result, struct message_id position) {
    struct test *t = ctx;
    t->result = result;
    assert_true(result == REGISTERED_FAILED || !message_id_is_none(position));
    t->answers++;
}

static enum registered enter(struct test *t, const char *name, const char *id, const char *value,
                             bool is_restore) {
    const struct registration what = {bytes_str(name), bytes_str(id), bytes_str(value), is_restore};
    registry_register(t->registry, &what, on_registered, t);
    wait(t);
    return t->result;
}

static void leave(struct test *t, const char *name, const char *id, const char *value,
                  const char *cause) {
    registry_unregister(t->registry, bytes_str(name), bytes_str(id), bytes_str(value),
                        bytes_str(cause));
    for (int i = 0; i < 200 && registry_pending(t->registry) > 0; i++)
        bus_room_turn(&t->room, 5);
    assert_int_equal(registry_pending(t->registry), 0);
}

/* The types of the events in `in`. */
static void expect_events(struct test *t, const char *types) {
    char have[32] = "";
    const char *all = bus_room_ask(&t->room, "XRANGE sb:{%s}:in - +", partition_tag(0));
    for (const char *at = all; (at = strstr(at, " t ")) != NULL; at += 3)
        strncat(have, at + 3, 1);
    assert_string_equal(have, types);
}

static void on_rows(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct test *t = ctx;
    size_t at = 0;
    t->status = status;
    t->rows[0] = '\0';
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(t->rows + at, sizeof(t->rows) - at, "%s%.*s/%.*s=%.*s",
                               i > 0 ? " " : "", BYTES_FMT(rows[i].name),
                               BYTES_FMT(rows[i].client_id), BYTES_FMT(rows[i].value));
    t->answers++;
}

static void expect_rows(struct test *t, const char *rows) {
    wait(t);
    assert_int_equal(t->status, 0);
    assert_string_equal(t->rows, rows);
}

static void a_newer_connection_takes_over(void **state) {
    struct test *t = *state;
    assert_int_equal(enter(t, "N", "a", "g:1:1|", false), REGISTERED_OK);
    expect_events(t, "C");
    assert_int_equal(enter(t, "N", "a", "g:2:2|", false), REGISTERED_OK);
    expect_events(t, "CDC");
    leave(t, "N", "a", "g:1:1|", "client:1000:late"); /* the old one is not registered any more */
    expect_events(t, "CDC");
    registry_find(t->registry, BYTES_LIT("N"), BYTES_LIT("a"), on_rows, t);
    expect_rows(t, "N/a=g:2:2|");
    leave(t, "N", "a", "g:2:2|", "client:1000:bye");
    expect_events(t, "CDCD");
    registry_find(t->registry, BYTES_LIT("N"), BYTES_LIT("a"), on_rows, t);
    expect_rows(t, "");
}

/* --- details: what a value does not say (envelope.h) --- */

static struct buf details_of(const char *value, struct message_id changed, const char *groups) {
    struct bytes items[4], rest = bytes_str(groups);
    struct buf out = {0};
    size_t count = 0;
    while (rest.len > 0)
        items[count++] = bytes_split(&rest, ' ');
    conn_details_encode(&out, &(struct conn_details){.value = bytes_str(value),
                                                     .changed = changed,
                                                     .data = BYTES_LIT("{}"),
                                                     .groups = {items, count}});
    return out;
}

static enum registered enter_with(struct test *t, const char *id, const char *value,
                                  struct message_id changed, const char *groups, bool is_restore) {
    struct buf details = details_of(value, changed, groups);
    const struct registration what = {.name = BYTES_LIT("N"),
                                      .client_id = bytes_str(id),
                                      .value = bytes_str(value),
                                      .is_restore = is_restore,
                                      .details = buf_bytes(&details)};
    registry_register(t->registry, &what, on_registered, t);
    buf_deinit(&details);
    wait(t);
    return t->result;
}

/* As on_rows; the groups of each instead of its value. */
static void on_details(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct test *t = ctx;
    struct buf text = {0};
    t->status = status;
    for (size_t i = 0; i < count; i++) {
        struct conn_details d;
        conn_details_read(rows[i].value, rows[i].details, &d);
        buf_printf(&text, "%s%.*s", i > 0 ? " " : "", BYTES_FMT(rows[i].client_id));
        for (size_t k = 0; k < d.groups.count; k++)
            buf_printf(&text, "%c%.*s", k > 0 ? '+' : '=', BYTES_FMT(d.groups.items[k]));
        buf_append(&text, d.data);
        conn_details_free(&d);
    }
    snprintf(t->rows, sizeof(t->rows), "%.*s", BYTES_FMT(buf_bytes(&text)));
    buf_deinit(&text);
    t->answers++;
}

static void expect_details(struct test *t, const char *rows) {
    registry_list(t->registry, BYTES_LIT("N"), on_details, t);
    expect_rows(t, rows);
}

/* How many events name details, of which value. */
static size_t events_with_details(struct test *t) {
    size_t count = 0;
    const char *all = bus_room_ask(&t->room, "XRANGE sb:{%s}:in - +", partition_tag(0));
    for (const char *at = all; (at = strstr(at, " x ")) != NULL; at += 3)
        count++;
    return count;
}

static void details_come_and_go_with_their_connection(void **state) {
    struct test *t = *state;
    enter_with(t, "a", "g:1:1|red", MESSAGE_ID_NONE, "red blue", false);
    enter(t, "N", "b", "g:2:1|red", false);
    enter_with(t, "", "g:3:1|", MESSAGE_ID_NONE, "", false);
    expect_details(t, "{} a=red+blue{} b=red");
    registry_find(t->registry, BYTES_LIT("N"), BYTES_LIT("a"), on_details, t);
    expect_rows(t, "a=red+blue{}");
    registry_find_id(t->registry, BYTES_LIT("a"), 2, on_details, t);
    expect_rows(t, "a=red+blue{}");
    assert_int_equal(events_with_details(t), 2);
    enter(t, "N", "a", "g:4:1|green", false); /* takes over: the D has them, the C has none */
    assert_int_equal(events_with_details(t), 3);
    expect_details(t, "{} a=green b=red");
    leave(t, "N", "", "g:3:1|", "client:1000:bye");
    assert_int_equal(events_with_details(t), 4);
    leave(t, "N", "a", "g:4:1|green", "client:1000:bye");
    leave(t, "N", "b", "g:2:1|red", "client:1000:bye");
    assert_int_equal(events_with_details(t), 4);
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{%s}:c:N", partition_tag(0)), "0");
}

/* Its gateway knows them; but the registry may know a later change. */
static void restored_details_are_the_later_ones(void **state) {
    static const struct {
        struct message_id changed;
        const char *groups, *expected;
    } cases[] = {
        {{0, 0}, "red", "a=red{}"},          {{5, 9}, "red blue", "a=red+blue{}"},
        {{5, 8}, "green", "a=red+blue{}"},   {{5, 10}, "red black", "a=red+black{}"},
        {{4, 99}, "green", "a=red+black{}"}, {{6, 0}, "", "a{}"},
    };
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(enter_with(t, "a", "g:1:1|red", cases[i].changed, cases[i].groups, true),
                         REGISTERED_OK);
        expect_details(t, cases[i].expected);
    }
    expect_events(t, "");
}

static int64_t life(struct test *t, const char *key) {
    return strtoll(bus_room_ask(&t->room, "TTL sb:{%s}:%s:N", partition_tag(0), key), NULL, 10);
}

/* What a Name leaves in Redis ends soon after its last connection, and not before. */
static void a_name_leaves_nothing_for_long(void **state) {
    struct test *t = *state;
    const char *const keys[] = {"l", "s"};
    int64_t most = bus_settings(t->bus)->history_seconds + REGISTRY_MEMBER_MARGIN_S;
    enter(t, "N", "a", "g:1:1|", false);
    enter(t, "N", "b", "g:2:1|", false);
    leave(t, "N", "a", "g:1:1|", "client:1000:bye");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(life(t, keys[i]), -1);
    leave(t, "N", "b", "g:2:1|", "client:1000:bye");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_in_range(life(t, keys[i]), most - 5, most);
    enter(t, "N", "a", "g:3:1|", false);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(life(t, keys[i]), -1);
}

static void a_restored_connection_takes_nothing_over(void **state) {
    struct test *t = *state;
    assert_int_equal(enter(t, "N", "a", "g:1:1|", true), REGISTERED_OK);
    expect_events(t, "");
    assert_int_equal(enter(t, "N", "a", "g:2:2|", true), REGISTERED_ELSEWHERE);
    registry_find(t->registry, BYTES_LIT("N"), BYTES_LIT("a"), on_rows, t);
    expect_rows(t, "N/a=g:1:1|");
    leave(t, "N", "a", "g:1:1|", ""); /* it has had its Disconnect */
    expect_events(t, "");
}

static void questions(void **state) {
    struct test *t = *state;
    enter(t, "B", "x", "g:1:1|", false);
    enter(t, "B", "a", "g:2:1|", false);
    enter(t, "A", "x", "g:3:1|", false);
    registry_list(t->registry, BYTES_LIT("B"), on_rows, t);
    expect_rows(t, "B/a=g:2:1| B/x=g:1:1|");
    registry_names(t->registry, on_rows, t);
    expect_rows(t, "A/= B/=");
    registry_find_name(t->registry, BYTES_LIT("A"), on_rows, t);
    expect_rows(t, "A/=");
    registry_find_name(t->registry, BYTES_LIT("none"), on_rows, t);
    expect_rows(t, "");
    registry_list(t->registry, BYTES_LIT("none"), on_rows, t);
    expect_rows(t, "");
}

static void expect_id(struct test *t, const char *id, unsigned most, const char *rows) {
    registry_find_id(t->registry, bytes_str(id), most, on_rows, t);
    expect_rows(t, rows);
}

/* The index knows each connection as long as it is registered, and no other. */
static void an_id_alone(void **state) {
    struct test *t = *state;
    enter(t, "A", "x", "g:1:1|", false);
    enter(t, "B", "x", "g:2:1|", false);
    enter(t, "B", "xx", "g:3:1|", true);
    enter(t, "B", "", "g:4:1|", false);
    expect_id(t, "x", 9, "A/x=g:1:1| B/x=g:2:1|");
    expect_id(t, "x", 1, "A/x=g:1:1|");
    expect_id(t, "xx", 9, "B/xx=g:3:1|");
    expect_id(t, "nobody", 9, "");
    enter(t, "A", "x", "g:5:2|", false); /* takes over */
    leave(t, "A", "x", "g:1:1|", "client:1000:late");
    expect_id(t, "x", 9, "A/x=g:5:2| B/x=g:2:1|");
    leave(t, "A", "x", "g:5:2|", "client:1000:bye");
    leave(t, "B", "xx", "g:3:1|", "");
    expect_id(t, "x", 9, "B/x=g:2:1|");
    expect_id(t, "xx", 9, "");
    leave(t, "B", "x", "g:2:1|", "client:1000:bye");
    leave(t, "B", "", "g:4:1|", "client:1000:bye");
    assert_string_equal(bus_room_ask(&t->room, "EXISTS sb:{%s}:i", partition_tag(0)), "0");
}

struct counts {
    unsigned fine, busy;
};

static void on_counted_rows(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct counts *c = ctx;
    (void)rows;
    assert_true(status == -EBUSY || (status == 0 && count == 1));
    c->fine += status == 0;
    c->busy += status == -EBUSY;
}

/* Many lists at once are read a few at a time; those beyond the line are refused, and look-ups are
 * not. */
static void lists_take_turns(void **state) {
    enum { PLACES = REGISTRY_LISTS_MAX + REGISTRY_LISTS_WAITING_MAX };
    struct test *t = *state;
    struct counts counts = {0};
    enter(t, "N", "a", "g:1:1|", false);
    for (int i = 0; i < PLACES + 5; i++)
        registry_list(t->registry, BYTES_LIT("N"), on_counted_rows, &counts);
    expect_id(t, "a", 1, "N/a=g:1:1|");
    bus_room_until(&t->room, &counts.fine, PLACES, 20000);
    assert_int_equal(counts.fine, PLACES);
    assert_int_equal(counts.busy, 5);
    registry_names(t->registry, on_rows, t);
    expect_rows(t, "N/=");
}

struct parts {
    unsigned parts, ends;
    size_t rows;
    int status;
    char last[32];
};

static void on_part(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct parts *p = ctx;
    p->status = status;
    p->ends += status != REGISTRY_PART;
    p->parts += status == REGISTRY_PART;
    p->rows += count;
    assert_true(count <= REGISTRY_PART_ROWS || status == 0);
    for (size_t i = 0; i < count; i++) {
        char id[sizeof(p->last)];
        struct bytes text = rows[i].client_id.len > 0 ? rows[i].client_id : rows[i].name;
        snprintf(id, sizeof(id), "%.*s", BYTES_FMT(text));
        assert_true(strcmp(p->last, id) < 0); /* sorted, and each once */
        memcpy(p->last, id, sizeof(id));
    }
}

static void crowd(struct test *t, unsigned from, unsigned to) {
    bus_room_ask(&t->room, "EVAL %s 0 sb:{%s}:c:N %u %u",
                 "for\ti=ARGV[2],ARGV[3]-1\tdo\tredis.call('HSET',ARGV[1],tostring(i):reverse(),'g:"
                 "1:1|')\tend",
                 partition_tag(0), from, to);
}

/* A crowd comes in parts, in order; who wants it at once is told that it is too large. */
static void a_crowd_comes_in_parts(void **state) {
    enum { MOST = REGISTRY_LIST_MAX };
    struct test *t = *state;
    struct parts parts = {0}, whole = {0}, beyond = {0};
    crowd(t, 0, MOST);
    registry_list_in_parts(t->registry, BYTES_LIT("N"), on_part, &parts);
    bus_room_until(&t->room, &parts.ends, 1, 20000);
    assert_int_equal(parts.status, 0);
    assert_int_equal(parts.parts, MOST / REGISTRY_PART_ROWS);
    assert_int_equal(parts.rows, MOST);
    registry_list(t->registry, BYTES_LIT("N"), on_part, &whole);
    bus_room_until(&t->room, &whole.ends, 1, 20000);
    assert_int_equal(whole.rows, MOST);
    /* Details are no connections, whoever wrote them. */
    bus_room_ask(&t->room, "EVAL %s 0 sb:{%s}:c:N",
                 "redis.call('HSET',ARGV[1],'\\0'..'0','x','\\0'..'nobody','x')", partition_tag(0));
    whole = (struct parts){0};
    registry_list(t->registry, BYTES_LIT("N"), on_part, &whole);
    bus_room_until(&t->room, &whole.ends, 1, 20000);
    assert_int_equal(whole.rows, MOST);
    crowd(t, MOST, MOST + 1);
    registry_list(t->registry, BYTES_LIT("N"), on_part, &beyond);
    bus_room_until(&t->room, &beyond.ends, 1, 20000);
    assert_int_equal(beyond.status, -E2BIG);
}

static void name_a_crowd(struct test *t, unsigned from, unsigned to) {
    bus_room_ask(&t->room, "EVAL %s 0 sb:{%s}:c: %u %u",
                 "for\ti=ARGV[2],ARGV[3]-1\tdo\tredis.call('HSET',ARGV[1]..tostring(i):reverse(),"
                 "'a','g:1:1|')\tend",
                 partition_tag(0), from, to);
}

static void many_names_come_in_parts(void **state) {
    enum { MOST = REGISTRY_NAMES_MAX };
    struct test *t = *state;
    struct parts parts = {0}, whole = {0}, beyond = {0};
    name_a_crowd(t, 0, MOST);
    registry_names_in_parts(t->registry, on_part, &parts);
    bus_room_until(&t->room, &parts.ends, 1, 20000);
    assert_int_equal(parts.status, 0);
    assert_int_equal(parts.parts, MOST / REGISTRY_PART_ROWS);
    assert_int_equal(parts.rows, MOST);
    registry_names(t->registry, on_part, &whole);
    bus_room_until(&t->room, &whole.ends, 1, 20000);
    assert_int_equal(whole.rows, MOST);
    name_a_crowd(t, MOST, MOST + 1);
    registry_names(t->registry, on_part, &beyond);
    bus_room_until(&t->room, &beyond.ends, 1, 20000);
    assert_int_equal(beyond.status, -EFBIG);
}

static void on_dead(void *ctx, const char *gateway, unsigned partition, bool is_dead) {
    struct test *t = ctx;
    assert_string_equal(gateway, "g");
    assert_int_equal(partition, REAP_ALL_PARTITIONS);
    t->is_dead = is_dead;
    t->answers++;
}

static void declare_dead(struct test *t, const char *counter) {
    reap_declare_dead(t->bus, "g", counter, on_dead, t);
    wait(t);
}

static void a_gateway_that_beats_is_not_declared_dead(void **state) {
    struct test *t = *state;
    bus_room_ask(&t->room, "HSET sb:{sb}:gw g 8");
    declare_dead(t, "7");
    assert_false(t->is_dead);
    reap_ask_dead(t->bus, "g", REAP_ALL_PARTITIONS, on_dead, t);
    wait(t);
    assert_false(t->is_dead);
    declare_dead(t, "8");
    assert_true(t->is_dead);
    reap_ask_dead(t->bus, "g", REAP_ALL_PARTITIONS, on_dead, t);
    wait(t);
    assert_true(t->is_dead);
    assert_string_equal(bus_room_ask(&t->room, "HEXISTS sb:{sb}:gw g"), "0");
}

static void what_a_dead_gateway_registered_is_reaped(void **state) {
    struct test *t = *state;
    struct reaps *reaps = reaps_new(t->bus);
    enter(t, "N", "a", "g:1:1|", false);
    enter(t, "N", "b", "g:2:1|", false);
    enter(t, "N", "c", "other:1:1|", false);
    reap_start(reaps, 0, BYTES_LIT("g"));
    reap_start(reaps, 0, BYTES_LIT("g")); /* is under way */
    for (int i = 0;
         i < 200 &&
         strcmp(bus_room_ask(&t->room, "SISMEMBER sb:{%s}:gws g", partition_tag(0)), "0") != 0;
         i++)
        bus_room_turn(&t->room, 5);
    expect_events(t, "CCCDD");
    expect_id(t, "a", 9, "");
    expect_id(t, "c", 9, "N/c=other:1:1|");
    registry_list(t->registry, BYTES_LIT("N"), on_rows, t);
    expect_rows(t, "N/c=other:1:1|");
    assert_int_equal(enter(t, "N", "a", "g:3:1|", false), REGISTERED_FAILED); /* fenced */
    assert_int_equal(enter(t, "N", "a", "other:2:1|", false), REGISTERED_OK);
    reaps_free(reaps);
}

static unsigned number(struct test *t, const char *command) {
    return (unsigned)strtoul(bus_room_ask(&t->room, "%s sb:{%s}:gws g", command, partition_tag(0)),
                             NULL, 10);
}

/* Registrations of the gateway g, as register.lua writes them: so many, named from i1 on. */
static void fill(struct test *t, unsigned count) {
    static const char script[] = /* without a space, which ends an argument */
        "for\ti=1,ARGV[1]\tdo\tlocal\tv='g:'..i..':1|'\tlocal\tid='i'..i\t"
        "redis.call('SADD',KEYS[1],'N\\0'..id..'\\0'..v)redis.call('HSET',KEYS[2],id,v)end\t"
        "redis.call('SADD',KEYS[3],'g')";
    const char *tag = partition_tag(0);
    bus_room_ask(&t->room, "EVAL %s 3 sb:{%s}:g:g sb:{%s}:c:N sb:{%s}:gws %u", script, tag, tag,
                 tag, count);
}

static void on_pong(void *ctx, struct redisReply *reply) {
    (void)reply;
    ++*(unsigned *)ctx;
}

static void reap_all(struct test *t) {
    struct reaps *reaps = reaps_new(t->bus);
    struct command ping = command_begin("PING");
    unsigned pongs = 0;
    reap_start(reaps, 0, BYTES_LIT("g"));
    for (int i = 0; i < 2000 && number(t, "SISMEMBER") != 0; i++)
        bus_room_turn(&t->room, 5);
    assert_int_equal(number(t, "SISMEMBER"), 0);
    bus_send(t->bus, 0, &ping, on_pong, &pongs);
    bus_room_until(&t->room, &pongs, 1, 2000); /* no other answer can come any more */
    reaps_free(reaps);
}

/* A reply of SSCAN names some 500 members: none, one, a page, one beyond, and several pages. */
static void a_dead_gateway_is_reaped_to_its_last_page(void **state) {
    static const unsigned counts[] = {0, 1, 500, 501, 2600};
    struct test *t = *state;
    const char *tag = partition_tag(0);
    unsigned gone = 0;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        fill(t, counts[i]);
        reap_all(t);
        gone += counts[i];
        assert_string_equal(bus_room_ask(&t->room, "HLEN sb:{%s}:c:N", tag), "0");
        assert_string_equal(bus_room_ask(&t->room, "SCARD sb:{%s}:g:g", tag), "1"); /* fence */
        assert_int_equal(atoi(bus_room_ask(&t->room, "XLEN sb:{%s}:in", tag)), gone);
    }
}

/* One Disconnect cannot be written: the gateway is not forgotten, and the next sweep ends it. */
static void a_reaping_that_breaks_off_is_taken_up_again(void **state) {
    struct test *t = *state;
    const char *tag = partition_tag(0);
    struct reaps *reaps = reaps_new(t->bus);
    fill(t, 3);
    bus_room_ask(&t->room, "SET sb:{%s}:in text", tag);
    reap_start(reaps, 0, BYTES_LIT("g"));
    for (int i = 0; i < 400 && atoi(bus_room_ask(&t->room, "SCARD sb:{%s}:g:g", tag)) != 1; i++)
        bus_room_turn(&t->room, 5);
    bus_room_turn(&t->room, 50);
    assert_int_equal(number(t, "SISMEMBER"), 1);
    reaps_free(reaps);
    bus_room_ask(&t->room, "DEL sb:{%s}:in", tag);
    reap_all(t);
}

static unsigned calls_of(struct test *t, const char *command) {
    char name[32];
    snprintf(name, sizeof(name), "cmdstat_%s:calls=", command);
    const char *at = strstr(bus_room_ask(&t->room, "INFO commandstats"), name);
    return at != NULL ? (unsigned)strtoul(at + strlen(name), NULL, 10) : 0;
}

/* The same one under way is not begun again; another gateway's, and the same afterwards, are. */
static void a_reaping_under_way_is_one(void **state) {
    struct test *t = *state;
    struct reaps *reaps = reaps_new(t->bus);
    enter(t, "N", "a", "g:1:1|", false);
    enter(t, "N", "b", "h:1:1|", false);
    bus_room_ask(&t->room, "CONFIG RESETSTAT");
    reap_start(reaps, 0, BYTES_LIT("g"));
    reap_start(reaps, 0, BYTES_LIT("g"));
    reap_start(reaps, 0, BYTES_LIT("h"));
    for (int i = 0;
         i < 200 && *bus_room_ask(&t->room, "EXISTS sb:{%s}:gws", partition_tag(0)) != '0'; i++)
        bus_room_turn(&t->room, 5);
    bus_room_turn(&t->room, 20);
    assert_int_equal(calls_of(t, "sscan"), 2);
    expect_events(t, "CCDD");
    reap_start(reaps, 0, BYTES_LIT("g"));
    bus_room_turn(&t->room, 50);
    assert_int_equal(calls_of(t, "sscan"), 3);
    reaps_free(reaps);
    reaps_free(NULL);
}

static void on_gateway(void *ctx, unsigned partition, struct bytes gateway) {
    struct test *t = ctx;
    assert_int_equal(partition, 0);
    snprintf(t->rows + strlen(t->rows), 20, "%.*s ", BYTES_FMT(gateway));
    t->count++;
}

static void on_dead_there(void *ctx, const char *gateway, unsigned partition, bool is_dead) {
    struct test *t = ctx;
    assert_string_equal(gateway, "h");
    assert_int_equal(partition, 3);
    t->is_dead = is_dead;
    t->answers++;
}

static void who_ever_registered_is_listed(void **state) {
    struct test *t = *state;
    enter(t, "N", "a", "g:1:1|", false);
    enter(t, "M", "a", "h:1:1|", false);
    leave(t, "N", "a", "g:1:1|", "client:1000:bye");
    t->rows[0] = '\0';
    reap_list_gateways(t->bus, 0, on_gateway, t);
    bus_room_until(&t->room, &t->count, 2, 2000);
    assert_non_null(strstr(t->rows, "g "));
    assert_non_null(strstr(t->rows, "h "));
    for (int is_dead = 0; is_dead < 2; is_dead++) {
        reap_ask_dead(t->bus, "h", 3, on_dead_there, t);
        wait(t);
        assert_int_equal(t->is_dead, is_dead);
        bus_room_ask(&t->room, "SET sb:{sb}:dead:h 1");
    }
}

/* What Redis refuses is asked again each second, and what it is slow to answer is not. */
static void an_unregistration_is_asked_until_it_is_answered(void **state) {
    struct test *t = *state;
    enter(t, "N", "a", "g:1:1|", false);
    enter(t, "N", "b", "g:2:1|", false);
    bus_room_ask(&t->room, "ACL SETUSER default -evalsha");
    registry_unregister(t->registry, BYTES_LIT("N"), BYTES_LIT("a"), BYTES_LIT("g:1:1|"),
                        BYTES_LIT("x"));
    bus_room_turn(&t->room, 100);
    assert_int_equal(registry_pending(t->registry), 1);
    bus_room_ask(&t->room, "ACL SETUSER default +evalsha");
    for (int i = 0; i < 300 && registry_pending(t->registry) > 0; i++)
        bus_room_turn(&t->room, 5);
    assert_int_equal(registry_pending(t->registry), 0);
    expect_events(t, "CCD");
    bus_room_ask(&t->room, "CLIENT PAUSE 1500");
    registry_unregister(t->registry, BYTES_LIT("N"), BYTES_LIT("b"), BYTES_LIT("g:2:1|"),
                        BYTES_LIT("x"));
    bus_room_turn(&t->room, 1400); /* the timer comes in between */
    for (int i = 0; i < 300 && registry_pending(t->registry) > 0; i++)
        bus_room_turn(&t->room, 5);
    bus_room_turn(&t->room, 50);
    assert_int_equal(registry_pending(t->registry), 0);
    expect_events(t, "CCDD");
}

/* Also over a connection that is made again. */
static void an_unregistration_outlives_its_connection(void **state) {
    struct test *t = *state;
    enter(t, "N", "a", "g:1:1|", false);
    bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
    for (int i = 0; i < 300 && bus_can_send(t->bus); i++)
        bus_room_turn(&t->room, 2);
    registry_unregister(t->registry, BYTES_LIT("N"), BYTES_LIT("a"), BYTES_LIT("g:1:1|"),
                        BYTES_LIT("x"));
    for (int i = 0; i < 1000 && registry_pending(t->registry) > 0; i++)
        bus_room_turn(&t->room, 5);
    assert_int_equal(registry_pending(t->registry), 0);
    expect_events(t, "CD");
    registry_unregister(t->registry, BYTES_LIT("N"), BYTES_LIT("a"), BYTES_LIT("g:1:1|"),
                        BYTES_LIT("x")); /* goes with the registry */
}

/* Only what concerns all clients keeps them away. */
static void a_refused_registration_is_trouble(void **state) {
    static const struct {
        const char *before, *after;
        bool is_trouble;
    } rows[] = {{"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", true},
                {"SET sb:{%s}:c:N text", "DEL sb:{%s}:c:N", false},
                {"SADD sb:{%s}:g:g %s", "DEL sb:{%s}:g:g", false}};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (i == 2)
            redis_server_do(&t->room.redis, "EVAL redis.call('SADD',KEYS[1],'') 1 fence");
        if (i == 2)
            bus_room_ask(&t->room, "RENAME fence sb:{%s}:g:g", partition_tag(0));
        else
            bus_room_ask(&t->room, rows[i].before, partition_tag(0));
        assert_int_equal(enter(t, "N", "a", "g:1:1|", false), REGISTERED_FAILED);
        assert_int_equal(metrics_get(METRIC_trouble_registering), rows[i].is_trouble);
        assert_true(*bus_refusals(t->bus) != '\0');
        bus_room_ask(&t->room, rows[i].after, partition_tag(0));
        assert_int_equal(enter(t, "N", "a", "g:1:1|", false), REGISTERED_OK);
        assert_int_equal(metrics_get(METRIC_trouble_registering), 0);
        leave(t, "N", "a", "g:1:1|", "x");
    }
}

static void a_cancelled_registration_calls_nobody(void **state) {
    const struct registration what = {BYTES_LIT("N"), BYTES_LIT("a"), BYTES_LIT("g:1:1|"), false};
    struct test *t = *state;
    unsigned other = 0;
    registry_register(t->registry, &what, on_registered, t);
    registry_register(t->registry, &what, on_registered, &other);
    registry_cancel(t->registry, &other);
    wait(t);
    bus_room_turn(&t->room, 30);
    assert_int_equal(t->answers, 0);
    assert_int_equal(t->result, REGISTERED_OK);
}

static void expect_failure(struct test *t, int status) {
    wait(t);
    assert_int_equal(t->status, status);
    assert_string_equal(t->rows, "");
}

/* Each question, refused, cut off, and asked while Redis is away. */
static void questions_that_redis_does_not_answer(void **state) {
    struct test *t = *state;
    enter(t, "N", "a", "g:1:1|", false);
    for (int how = 0; how < 3; how++) {
        if (how == 0)
            bus_room_ask(&t->room, "ACL SETUSER default -hmget -hscan -scan -zrangebylex -exists");
        if (how == 1)
            bus_room_ask(&t->room, "ACL SETUSER default +@all");
        if (how == 2) {
            redis_server_kill(&t->room.redis);
            for (int i = 0; i < 300 && bus_can_send(t->bus); i++)
                bus_room_turn(&t->room, 5);
        }
        for (int what = 0; what < 5; what++) {
            if (how == 1 && what == 4)
                continue; /* the bus hangs up but once */
            if (what == 0)
                registry_find(t->registry, BYTES_LIT("N"), BYTES_LIT("a"), on_rows, t);
            else if (what == 1)
                registry_find_name(t->registry, BYTES_LIT("N"), on_rows, t);
            else if (what == 2)
                registry_find_id(t->registry, BYTES_LIT("a"), 9, on_rows, t);
            else if (what == 3)
                registry_list(t->registry, BYTES_LIT("N"), on_rows, t);
            else
                registry_names(t->registry, on_rows, t);
            assert_int_equal(t->answers, 0); /* on a later turn */
            if (how == 1) {
                bus_room_ask(&t->room, "CLIENT KILL TYPE normal SKIPME yes");
                bus_room_until(&t->room, &t->answers, 1, 2000);
                t->answers = 0;
                for (int i = 0; i < 500 && !bus_can_send(t->bus); i++)
                    bus_room_turn(&t->room, 10);
                continue; /* Redis may have answered before */
            }
            expect_failure(t, -ENOTCONN);
        }
    }
}

static void each_failure_has_its_words(void **state) {
    static const struct {
        int status;
        const char *says;
    } rows[] = {{-EBUSY, "too many lists"},
                {-E2BIG, "has too many connections"},
                {-EMSGSIZE, "too long to be read now"},
                {-ENOTCONN, "no Redis"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_non_null(strstr(registry_failure(rows[i].status), rows[i].says));
}

/* In parts: as many as are in one, and one beyond. */
static void parts_are_full_before_the_next(void **state) {
    static const struct {
        unsigned count, parts;
    } rows[] = {{0, 0}, {1, 1}, {REGISTRY_PART_ROWS, 1}, {REGISTRY_PART_ROWS + 1, 2}};
    struct test *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parts parts = {0};
        bus_room_ask(&t->room, "FLUSHALL");
        crowd(t, 0, rows[i].count);
        registry_list_in_parts(t->registry, BYTES_LIT("N"), on_part, &parts);
        bus_room_until(&t->room, &parts.ends, 1, 5000);
        assert_int_equal(parts.status, 0);
        assert_int_equal(parts.parts, rows[i].parts);
        assert_int_equal(parts.rows, rows[i].count);
    }
}

static void on_own(void *ctx, const struct registry_row *row) {
    struct test *t = ctx;
    size_t at = strlen(t->rows);
    snprintf(t->rows + at, sizeof(t->rows) - at, "%.*s/%.*s=%.*s ", BYTES_FMT(row->name),
             BYTES_FMT(row->client_id), BYTES_FMT(row->value));
}

static void on_own_end(void *ctx, bool is_complete) {
    struct test *t = ctx;
    t->status = is_complete ? 0 : -1;
    t->answers++;
}

/* I5, F11: a connection whose client id another one took while Redis had older data is in the set of
 * its gateway alone. */
static void own_registrations_show_what_the_registry_hides(void **state) {
    struct test *t = *state;
    struct own_registrations walk;
    char value[64], mine[128];
    snprintf(value, sizeof(value), "%s:1:1|", bus_id(t->bus));
    snprintf(mine, sizeof(mine), "N/a=%s ", value);
    enter(t, "N", "a", value, false);
    enter(t, "N", "a", "other:1:1|", false);
    registry_list(t->registry, BYTES_LIT("N"), on_rows, t);
    expect_rows(t, "N/a=other:1:1|");
    t->rows[0] = '\0';
    own_registrations_read(&walk, t->bus, on_own, on_own_end, t);
    expect_rows(t, mine);
    leave(t, "N", "a", value, "");
    t->rows[0] = '\0';
    own_registrations_read(&walk, t->bus, on_own, on_own_end, t);
    expect_rows(t, "");
}

static void on_counted(void *ctx, const struct registry_row *row) {
    struct test *t = ctx;
    assert_string_equal(row->name.ptr, "N");
    t->count++;
}

/* More than one page, in more than one partition; the mark of a fence and what is no member are
 * passed over. */
static void own_registrations_are_read_page_by_page(void **state) {
    static const char fill[] = /* without a space, which ends an argument */
        "for\ti=1,2500\tdo\tredis.call('SADD',KEYS[1],'N\\0'..i..'\\0v')end\t"
        "redis.call('SADD',KEYS[1],'','garbage')";
    struct test *t = *state;
    struct own_registrations walk;
    char key[64];
    snprintf(key, sizeof(key), "sb:{%s}:g:%s", partition_tag(0), bus_id(t->bus));
    bus_room_ask(&t->room, "EVAL %s 1 %s", fill, key);
    own_registrations_read(&walk, t->bus, on_counted, on_own_end, t);
    expect_rows(t, "");
    assert_in_range(t->count, 2500, 3000); /* SSCAN may repeat some */
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(a_newer_connection_takes_over),
        WITH_REDIS(a_name_leaves_nothing_for_long),
        WITH_REDIS(a_restored_connection_takes_nothing_over),
        WITH_REDIS(details_come_and_go_with_their_connection),
        WITH_REDIS(restored_details_are_the_later_ones),
        WITH_REDIS(questions),
        WITH_REDIS(an_id_alone),
        WITH_REDIS(a_crowd_comes_in_parts),
        WITH_REDIS(many_names_come_in_parts),
        WITH_REDIS(lists_take_turns),
        WITH_REDIS(a_gateway_that_beats_is_not_declared_dead),
        WITH_REDIS(what_a_dead_gateway_registered_is_reaped),
        WITH_REDIS(a_dead_gateway_is_reaped_to_its_last_page),
        WITH_REDIS(a_reaping_that_breaks_off_is_taken_up_again),
        WITH_REDIS(a_reaping_under_way_is_one),
        WITH_REDIS(who_ever_registered_is_listed),
        WITH_REDIS(an_unregistration_is_asked_until_it_is_answered),
        WITH_REDIS(an_unregistration_outlives_its_connection),
        WITH_REDIS(a_refused_registration_is_trouble),
        WITH_REDIS(a_cancelled_registration_calls_nobody),
        WITH_REDIS(questions_that_redis_does_not_answer),
        cmocka_unit_test(each_failure_has_its_words),
        WITH_REDIS(parts_are_full_before_the_next),
        WITH_REDIS(own_registrations_show_what_the_registry_hides),
        WITH_REDIS(own_registrations_are_read_page_by_page),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
