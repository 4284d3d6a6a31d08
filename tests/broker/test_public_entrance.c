/* The public stream and the public channel: what becomes of a message, and what is refused. */
#include "broker/public_entrance.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/heard_takes.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/log/ingest.h"
#include "common/bus/partition.h"
#include "tests/broker/broker_room.h"

enum { LEASE_MS = 60000, WAIT_MS = 5000 };

/* Of partition 0 are n2 and n6, of 2 are n0 and Shut, of 3 is n1. */
static const char app_text[] = "signalbox.broadcast_level('Shut', 'client_id')";

struct test {
    struct broker_room room;
    struct lease *lease;
    struct heard_takes *heard;
    unsigned taken;
    uint64_t terms[ROOM_PARTITIONS + 1];
    struct in_entry *entry;
    struct processing p;
    struct buf came;
};

static struct test t;

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    (void)ctx;
    t.taken++;
    t.terms[slot] = grant->term;
    heard_takes_taken(t.heard, slot, grant->term);
}

static void on_slot(void *ctx, unsigned slot) {
    (void)ctx;
    (void)slot;
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    (void)ctx;
    (void)slot;
    (void)why;
}

static void on_released(void *ctx) {
    (void)ctx;
}

static int setup(void **state) {
    static const struct lease_events events = {on_taken, on_slot, on_lost, on_released};
    (void)state;
    memset(&t, 0, sizeof(t));
    broker_room_init(&t.room, app_text, NULL);
    t.room.slot = ROOM_PARTITIONS;
    t.lease = lease_new(t.room.bus, LEASE_MS, &events, NULL);
    t.heard = heard_takes_new(t.room.bus, ROOM_PARTITIONS + 1);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    in_entry_unref(t.entry);
    lease_free(t.lease);
    buf_deinit(&t.came);
    broker_room_deinit(&t.room);
    heard_takes_free(t.heard);
    return 0;
}

/* What take_partition.lua publishes. */
static void publish_take(const char *slot, const char *term, char between) {
    bus_room_ask(
        &t.room.bus_room,
        "EVAL return(redis.call('PUBLISH',KEYS[1],ARGV[1]..string.char(ARGV[3])..ARGV[2])) "
        "1 %s %s %s %d",
        fleet_channel(CHANNEL_TAKEN), slot, term, between);
    bus_room_turn(&t.room.bus_room, 10);
}

/* Again until the feed listens. */
static void hear_take(unsigned slot, uint64_t term) {
    char texts[2][24];
    snprintf(texts[0], sizeof(texts[0]), "%u", slot);
    snprintf(texts[1], sizeof(texts[1]), "%" PRIu64, term);
    for (int i = 0; i < WAIT_MS / 10 && !heard_takes_has(t.heard, slot); i++)
        publish_take(texts[0], texts[1], ' ');
    assert_true(heard_takes_has(t.heard, slot));
}

static void take_all(void) {
    lease_on_commands(t.lease);
    bus_room_until(&t.room.bus_room, &t.taken, ROOM_PARTITIONS + 1, WAIT_MS);
    for (unsigned slot = 0; slot <= ROOM_PARTITIONS; slot++)
        hear_take(slot, t.terms[slot]);
}

/* What is in the partitions' streams, then what was refused and why; both are emptied. */
static const char *what_came(void) {
    char refused[1024];
    const char *stream = fleet_key(KEY_PUBLIC_REFUSED), *at;
    buf_clear(&t.came);
    for (int i = 0; i < 500 && ingest_count(t.room.parts.free_sends) > 0; i++)
        bus_room_turn(&t.room.bus_room, 10);
    bus_room_turn(&t.room.bus_room, 20);
    for (unsigned p = 0; p < ROOM_PARTITIONS; p++) {
        const char *in = broker_room_in(&t.room, p);
        if (*in != '\0')
            buf_printf(&t.came, "in%u: %s", p, in);
    }
    snprintf(refused, sizeof(refused), "%s",
             bus_room_ask(&t.room.bus_room, "XRANGE %s - +", stream));
    bus_room_ask(&t.room.bus_room, "DEL %s", stream);
    at = strstr(refused, "reason ");
    if (at != NULL)
        buf_printf(&t.came, "refused: %.*s\n", (int)(strstr(at, " at ") - at), at);
    buf_append_char(&t.came, '\0');
    return t.came.ptr;
}

static void process_fields(const struct bytes *fields, size_t count) {
    in_entry_unref(t.entry);
    t.entry =
        in_entry_new(ENTRY_READER_TEXT, (struct message_id){++t.room.cursor, 0}, fields, count);
    t.p = broker_room_begin(&t.room, t.entry);
    t.p.is_public = true;
    public_entrance_process(&t.p);
}

static void process(const char *text) {
    const struct bytes fields[] = {BYTES_LIT("m"), bytes_str(text)};
    process_fields(fields, 2);
}

#define NAMELESS(what) "in0: " what "in1: " what "in2: " what "in3: " what

static const struct row {
    const char *text, *came;
    int refused_input, refused_level;
} rows[] = {
    {"{\"data\":\"x\",\"name\":\"n2\"}", "in0: send names=n2 flags=2 x\n", 0, 0},
    {"{\"data\":7,\"name\":[\"n2\",\"n0\",\"n6\"]}",
     "in0: send names=n2,n6 flags=10 7\nin2: send names=n0 flags=10 7\n", 0, 0},
    {"{\"data\":\"x\",\"name\":\"n2\",\"group\":\"g\",\"clientId\":\"c\"}",
     "in0: send names=n2 groups=g clients=c flags=2 x\n", 0, 0},
    {"{\"data\":\"x\",\"clientId\":\"c\"}", NAMELESS("send clients=c flags=18 x\n"), 0, 0},
    {"{\"data\":\"x\",\"name\":\"n2\",\"receipt\":\"tok\"}",
     "in0: send names=n2 from=tok flags=34 x\n", 0, 0},
    {"{\"op\":\"close\",\"name\":\"Shut\",\"code\":4000,\"reason\":\"r\"}",
     "in2: close names=Shut flags=2 4000 r\n", 0, 0},
    /* correct, and nothing to do */
    {"{\"data\":\"\",\"name\":\"n2\"}", "", 0, 0},
    {"{\"data\":\"x\",\"name\":\"n2\",\"clientId\":[]}", "", 0, 0},
    {"{\"data\":\"x\",\"name\":\"Shut\",\"clientId\":[]}", "", 0, 0},
    /* refused */
    {"{\"data\":\"x\",\"name\":\"shut\",\"group\":\"g\"}",
     "refused: reason Signal failed to broadcast due to defined Signal broadcast level for shut: "
     "clientid m {\"data\":\"x\",\"name\":\"shut\",\"group\":\"g\"}\n",
     0, 1},
    {"{\"data\":\"x\",\"nam\":\"n2\"}",
     "refused: reason unknown key \"nam\"; known are name, group, clientId, data, binary, "
     "compress, id, op m "
     "{\"data\":\"x\",\"nam\":\"n2\"}\n",
     1, 0},
    {"[]", "refused: reason it must be a JSON object m []\n", 1, 0},
};

static void run_rows(void (*submit)(const char *text)) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t input = metrics_get(METRIC_refused_input);
        int64_t level = metrics_get(METRIC_refused_level);
        submit(rows[i].text);
        assert_string_equal(what_came(), rows[i].came);
        assert_int_equal(metrics_get(METRIC_refused_input), input + rows[i].refused_input);
        assert_int_equal(metrics_get(METRIC_refused_level), level + rows[i].refused_level);
    }
}

static void what_the_stream_leads_to(void **state) {
    (void)state;
    run_rows(process);
}

/* What stands beside m may have been meant to say to whom it goes. */
static void an_entry_has_one_field(void **state) {
    const struct bytes beside[] = {BYTES_LIT("m"), BYTES_LIT("{\"data\":1}"), BYTES_LIT("name"),
                                   BYTES_LIT("n2")};
    const struct bytes other[] = {BYTES_LIT("message"), BYTES_LIT("{\"data\":1}")};
    char longer[81];
    (void)state;
    process_fields(beside, 4);
    assert_non_null(strstr(what_came(), "refused: reason unknown field \"name\": an entry has the "
                                        "field m, once, and no other m "));
    process_fields(other, 2);
    assert_non_null(strstr(what_came(), "refused: reason unknown field \"message\": "));
    memset(longer, 'x', 80);
    longer[80] = '\0';
    const struct bytes long_field[] = {bytes_str(longer), BYTES_LIT("1")};
    process_fields(long_field, 2);
    longer[64] = '\0';
    const char *came = what_came(), *shown = strstr(came, longer);
    assert_non_null(shown);
    assert_int_equal(shown[64], '"'); /* 64 bytes of its name are enough */
}

static void an_entry_that_was_not_read_is_refused(void **state) {
    const struct bytes fields[] = {BYTES_LIT("m"), BYTES_LIT("{\"data\":\"x\",\"name\":\"n2\"}")};
    (void)state;
    t.entry = in_entry_new(ENTRY_READER_TEXT, (struct message_id){7, 0}, fields, 2);
    t.entry->unread_bytes = 123;
    t.p = broker_room_begin(&t.room, t.entry);
    t.p.is_public = true;
    public_entrance_process(&t.p);
    assert_string_equal(what_came(),
                        "refused: reason the entry has 123 bytes, more than a message may have m "
                        "{\"data\":\"x\",\"name\":\"n2\"}\n");
}

/* A send that would need more outputs than one entry may lead to. */
static void too_many_names_are_refused(void **state) {
    int64_t before = metrics_get(METRIC_refused_input);
    const struct bytes fields[] = {BYTES_LIT("m"), BYTES_LIT("{\"data\":\"x\",\"name\":\"n2\"}")};
    (void)state;
    t.entry = in_entry_new(ENTRY_READER_TEXT, (struct message_id){7, 0}, fields, 2);
    t.p = broker_room_begin(&t.room, t.entry);
    t.p.is_public = true;
    t.p.count = PROCESSING_OUTPUTS_MAX - 1;
    public_entrance_process(&t.p);
    assert_string_equal(what_came(),
                        "refused: reason too many names m {\"data\":\"x\",\"name\":\"n2\"}\n");
    assert_int_equal(metrics_get(METRIC_refused_input), before + 1);
}

/* 1,024 bytes of the message are kept. */
static void what_is_kept_is_cut(void **state) {
    struct buf text = {0};
    char length[32];
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        buf_clear(&text);
        buf_append_char(&text, '[');
        while (text.len < 1023 + more)
            buf_append_char(&text, ' ');
        buf_append(&text, bytes_of("]\0", 2));
        process(text.ptr);
        bus_room_turn(&t.room.bus_room, 20);
        snprintf(length, sizeof(length), "%s",
                 bus_room_ask(&t.room.bus_room,
                              "EVAL return(#redis.call('XRANGE',KEYS[1],'-','+')[1][2][4]) 1 %s",
                              fleet_key(KEY_PUBLIC_REFUSED)));
        assert_string_equal(length, "1024");
        bus_room_ask(&t.room.bus_room, "DEL %s", fleet_key(KEY_PUBLIC_REFUSED));
    }
    buf_deinit(&text);
}

/* The time of a message is that of its id, unless that is more than a minute ahead. */
static void when_a_message_came(void **state) {
    static const struct {
        int64_t ahead_ms;
        bool is_of_id;
    } times[] = {{-3600000, true}, {0, true}, {59000, true}, {62000, false}, {3600000, false}};
    const struct bytes fields[] = {BYTES_LIT("m"), BYTES_LIT("{\"data\":\"x\",\"name\":\"n2\"}")};
    (void)state;
    t.room.slot = 0; /* its own partition: the output shows the time */
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        uint64_t now = clock_wall_ms(), id = (uint64_t)((int64_t)now + times[i].ahead_ms);
        in_entry_unref(t.entry);
        t.entry = in_entry_new(ENTRY_READER_TEXT, (struct message_id){id, 0}, fields, 2);
        t.p = broker_room_begin(&t.room, t.entry);
        public_entrance_process(&t.p);
        const char *line = broker_room_log(&t.room, BYTES_LIT("n2"));
        assert_string_equal(line, "data x\n");
        assert_int_equal(t.room.told_ms == id, times[i].is_of_id);
        assert_true(times[i].is_of_id || (t.room.told_ms >= now && t.room.told_ms < now + 5000));
    }
}

/* --- the channel --- */

static void publish(const char *text) {
    public_entrance_on_published(&t.room.parts, t.lease, t.heard, bytes_str(text));
}

static void what_the_channel_leads_to(void **state) {
    (void)state;
    take_all();
    run_rows(publish);
}

/* Each broker takes the shares of its partitions; what is for every Name, and what is refused, is
 * for one alone. */
static void a_broker_without_partitions_takes_nothing(void **state) {
    (void)state;
    lease_shutdown(t.lease);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        publish(rows[i].text);
        assert_string_equal(what_came(), "");
    }
}

static void a_broker_takes_the_shares_of_its_own(void **state) {
    (void)state;
    take_all();
    lease_drop(t.lease, 0);
    publish("{\"data\":\"x\",\"name\":[\"n2\",\"n0\",\"n1\"]}");
    assert_string_equal(what_came(),
                        "in2: send names=n0 flags=2 x\nin3: send names=n1 flags=2 x\n");
    publish("{\"data\":\"x\",\"name\":[\"n2\",\"Shut\"]}"); /* n2's owner says it */
    assert_string_equal(what_came(), "");
    publish("{\"data\":\"x\",\"name\":[\"Shut\",\"n2\"]}");
    assert_non_null(strstr(what_came(), "refused: reason Signal failed"));
    publish("{\"data\":\"x\",\"clientId\":\"c\"}");
    assert_string_equal(what_came(), NAMELESS("send clients=c flags=18 x\n"));
    lease_drop(t.lease, ROOM_PARTITIONS);
    publish("{\"data\":\"x\",\"clientId\":\"c\"}");
    assert_string_equal(what_came(), "");
    publish("[]");
    assert_string_equal(what_came(), "");
}

/* Its feed may lag: what was published before it took a slot is the previous owner's. */
static void what_was_published_before_is_anothers(void **state) {
    static const struct {
        const char *slot, *term;
        char between;
    } others[] = {{"0", "998", ' '}, {"0", "1000", ' '},         {"9", "999", ' '},
                  {"5", "999", ' '}, {"4294967296", "999", ' '}, {"x", "999", ' '},
                  {"0", "x", ' '},   {"0", "999", ':'}};
    (void)state;
    take_all();
    heard_takes_taken(t.heard, 0, 999);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        publish_take(others[i].slot, others[i].term, others[i].between);
        publish("{\"data\":\"x\",\"name\":\"n2\"}");
        publish("{\"data\":\"x\",\"name\":[\"n0\",\"n2\"]}");
        assert_string_equal(what_came(), "in2: send names=n0 flags=2 x\n");
    }
    hear_take(0, 999);
    publish("{\"data\":\"x\",\"name\":\"n2\"}");
    assert_string_equal(what_came(), "in0: send names=n2 flags=2 x\n");
}

/* The term may be published while the feed is not subscribed yet; a later heartbeat says as much. */
static void a_heartbeat_says_it_too(void **state) {
    (void)state;
    take_all();
    uint64_t beat = bus_next_beat(t.room.bus);
    heard_takes_taken(t.heard, 0, 999);
    heard_takes_passed(t.heard, beat - 1);
    assert_false(heard_takes_has(t.heard, 0));
    assert_true(heard_takes_has(t.heard, 1));
    heard_takes_passed(t.heard, beat);
    assert_true(heard_takes_has(t.heard, 0));
}

/* With a key of its own a message is there once, for each Name in which it stands first. */
static void a_key_makes_a_repetition_harmless(void **state) {
    (void)state;
    take_all();
    for (int i = 0; i < 2; i++) {
        publish("{\"data\":\"x\",\"name\":\"n2\",\"id\":\"k\"}");
        assert_string_equal(what_came(), i == 0 ? "in0: send names=n2 flags=2 x\n" : "");
        publish("{\"data\":\"x\",\"clientId\":\"c\",\"id\":\"k\"}");
        assert_string_equal(what_came(), i == 0 ? NAMELESS("send clients=c flags=18 x\n") : "");
        process("{\"data\":\"x\",\"name\":[\"n6\",\"n0\"],\"id\":\"k\"}");
        assert_string_equal(what_came(), i == 0 ? "in0: send names=n6 flags=2 x\n"
                                                  "in2: send names=n0 flags=2 x\n"
                                                : "");
    }
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_the_stream_leads_to),
        TEST(an_entry_has_one_field),
        TEST(an_entry_that_was_not_read_is_refused),
        TEST(too_many_names_are_refused),
        TEST(what_is_kept_is_cut),
        TEST(when_a_message_came),
        TEST(what_the_channel_leads_to),
        TEST(a_broker_without_partitions_takes_nothing),
        TEST(a_broker_takes_the_shares_of_its_own),
        TEST(what_was_published_before_is_anothers),
        TEST(a_heartbeat_says_it_too),
        TEST(a_key_makes_a_repetition_harmless),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
