/* test_gap.c - what shows that a message is missing, and when a suspicion becomes a loss. */
#include "common/bus/log/gap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

#define ID(term, seq) ((struct message_id){term, seq})

static void predecessors(void **state) {
    static const struct {
        struct message_id at, prev;
        bool is_gap;
    } cases[] = {
        {{5, 3}, {5, 3}, false}, /* the next one */
        {{5, 3}, {5, 2}, false}, /* its predecessor was passed by the other log */
        {{5, 3}, {5, 4}, true},  {{5, 3}, {6, 1}, true},
        {{5, 3}, {0, 0}, false}, /* the predecessor is not known */
        {{5, 3}, {6, 0}, false}, /* the log began in term 6 */
        {{0, 0}, {5, 1}, true},  {{5, UINT64_MAX}, {6, 1}, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(gap_is_before(cases[i].at, cases[i].prev), cases[i].is_gap);
}

static void either_log_may_be_behind(void **state) {
    const struct message_id at[LOG_COUNT] = {{5, 3}, {5, 7}};
    (void)state;
    assert_false(gap_is_behind(at, (struct message_id[]){ID(5, 3), ID(5, 7)}));
    assert_true(gap_is_behind(at, (struct message_id[]){ID(5, 4), ID(5, 7)}));
    assert_true(gap_is_behind(at, (struct message_id[]){ID(5, 3), ID(5, 8)}));
    assert_false(gap_is_behind(at, (struct message_id[]){ID(6, 0), MESSAGE_ID_NONE}));
}

struct test {
    struct gap_suspicions all;
    struct gap_suspicion first, second;
};

static void a_suspicion_waits_for_its_heartbeat(void **state) {
    struct test t = {.first = {.is_open = false}};
    const struct message_id last[] = {ID(5, 4), ID(5, 7)}, later[] = {ID(5, 9), ID(5, 9)};
    (void)state;
    TAILQ_INIT(&t.all);
    gap_suspect(&t.all, &t.first, last, 10);
    gap_suspect(&t.all, &t.first, later, 11); /* open already */
    gap_suspect(&t.all, &t.second, later, 11);
    assert_null(gap_next_certain(&t.all, 9));
    assert_ptr_equal(gap_next_certain(&t.all, 10), &t.first);
    assert_true(t.first.is_certain && !t.first.is_open);
    assert_true(message_id_compare(t.first.last[LOG_OWN], ID(5, 4)) == 0);
    assert_null(gap_next_certain(&t.all, 10));
    gap_forget(&t.all, &t.second);
    assert_null(gap_next_certain(&t.all, UINT64_MAX));
}

static void only_a_certain_suspicion_is_a_loss(void **state) {
    struct test t = {.first = {.is_open = false}};
    const struct message_id last[] = {ID(5, 4), ID(5, 7)};
    struct message_id at[] = {ID(5, 3), ID(5, 8)};
    (void)state;
    TAILQ_INIT(&t.all);
    gap_suspect(&t.all, &t.first, last, 1);
    assert_false(gap_settle(&t.first, at));
    assert_true(message_id_compare(at[LOG_OWN], ID(5, 3)) == 0);
    gap_next_certain(&t.all, 1);
    assert_true(gap_settle(&t.first, at));
    assert_true(message_id_compare(at[LOG_OWN], ID(5, 4)) == 0);
    assert_true(message_id_compare(at[LOG_EVERY], ID(5, 8)) == 0);
    assert_false(gap_settle(&t.first, at)); /* reported once */
}

static void what_came_meanwhile_is_no_loss(void **state) {
    struct test t = {.first = {.is_open = false}};
    const struct message_id last[] = {ID(5, 4), MESSAGE_ID_NONE};
    struct message_id at[] = {ID(5, 4), ID(5, 4)};
    (void)state;
    TAILQ_INIT(&t.all);
    gap_suspect(&t.all, &t.first, last, 1);
    gap_next_certain(&t.all, 1);
    assert_false(gap_settle(&t.first, at));
    const struct message_id later[] = {ID(5, 9), MESSAGE_ID_NONE};
    gap_suspect(&t.all, &t.first, later, 2); /* a new one is not certain by the old one */
    assert_false(gap_settle(&t.first, at));
    gap_forget(&t.all, &t.first);
    gap_forget(&t.all, &t.first);
}

struct audited {
    unsigned answers;
    uint64_t asked_ms;
    struct message_id own, every;
};

static void on_audit(void *subject, const struct gap_audited *said) {
    struct audited *a = subject;
    a->answers++;
    a->own = said->last[LOG_OWN];
    a->every = said->last[LOG_EVERY];
    assert_in_range(said->asked_ms, a->asked_ms, a->asked_ms + 3000);
}

/* Each subject has its own answer, in the order of the questions; one that is gone has none. */
static void an_audit_asks_for_each(void **state) {
    struct bus_room room;
    struct audited subjects[GAP_AUDIT_ROUND] = {{0}};
    (void)state;
    bus_room_init(&room, 4);
    struct bus *bus = bus_room_join(&room, BUS_TOOL);
    struct gap_audit *audit = gap_audit_new(bus, on_audit);
    for (unsigned p = 0; p < 4; p++)
        bus_room_ask(&room, "SET sb:{%s}:l* 9-%u", partition_tag(p), p);
    for (unsigned i = 0; i < GAP_AUDIT_ROUND; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        unsigned p = partition_of(bytes_str(name), 4);
        if (i != 3) /* of that one nothing is known */
            bus_room_ask(&room, "SET sb:{%s}:l:%s 7-%u", partition_tag(p), name, i);
        assert_true(gap_audit_has_room(audit));
        subjects[i].asked_ms = uv_now(&room.loop);
        gap_audit_ask(audit, bytes_str(name), &subjects[i]);
    }
    assert_false(gap_audit_has_room(audit));
    gap_audit_forget(audit, &subjects[1]);
    bus_room_until(&room, &subjects[GAP_AUDIT_ROUND - 1].answers, 1, 3000);
    for (unsigned i = 0; i < GAP_AUDIT_ROUND; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(subjects[i].answers, i != 1);
        if (i == 1)
            continue;
        assert_int_equal(subjects[i].own.seq, i == 3 ? 0 : i);
        assert_int_equal(subjects[i].own.term, i == 3 ? 0 : 7);
        assert_int_equal(subjects[i].every.seq, partition_of(bytes_str(name), 4));
    }
    assert_true(gap_audit_has_room(audit));
    gap_audit_ask(audit, BYTES_LIT("n5"), &subjects[5]); /* and again */
    bus_room_until(&room, &subjects[5].answers, 2, 3000);
    bus_room_ask(&room, "DEL sb:{%s}:l*", partition_tag(partition_of(BYTES_LIT("n5"), 4)));
    bus_room_ask(&room, "LPUSH sb:{%s}:l* x", partition_tag(partition_of(BYTES_LIT("n5"), 4)));
    assert_string_equal(bus_refusals(bus), "");
    gap_audit_ask(audit, BYTES_LIT("n5"), &subjects[5]);
    bus_room_until(&room, &subjects[5].answers, 3, 3000);
    assert_true(message_id_is_none(subjects[5].every)); /* what is no id says nothing */
    assert_non_null(strstr(bus_refusals(bus), "GET: WRONGTYPE"));
    gap_audit_ask(audit, BYTES_LIT("n5"), &subjects[5]);
    bus_hang_up(bus); /* no answer is none */
    assert_int_equal(subjects[5].answers, 3);
    assert_true(gap_audit_has_room(audit));
    bus_close(bus);
    bus_room_turn(&room, 10);
    gap_audit_free(audit);
    bus_room_deinit(&room);
}

int main(void) {
    if (!redis_server_is_installed())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predecessors),
        cmocka_unit_test(either_log_may_be_behind),
        cmocka_unit_test(a_suspicion_waits_for_its_heartbeat),
        cmocka_unit_test(only_a_certain_suspicion_is_a_loss),
        cmocka_unit_test(what_came_meanwhile_is_no_loss),
        cmocka_unit_test(an_audit_asks_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
