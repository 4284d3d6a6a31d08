/* test_model.c - what no real server can be compared with: data that are copied and put back, a
 * server that restarts, changes its part or refuses. See model.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/world/redis/model.h"

static struct redis_model *model;
static struct buf out;
static struct redis_session *sessions[4];
static unsigned session_count, closed, unblocked;

static void on_output(void *ctx, struct bytes bytes) {
    (void)ctx;
    buf_append(&out, bytes);
}

static void on_close(void *ctx) {
    (void)ctx;
    closed++;
}

static void on_unblocked(void *ctx) {
    (void)ctx;
    unblocked++;
}

static const struct redis_events events = {on_output, on_close, on_unblocked};

static void set_time(int64_t ms) {
    redis_model_set_time(model, ms * 1000, (uint64_t)ms * 1000);
}

static int begin(void **state) {
    (void)state;
    model = redis_model_new(7);
    closed = unblocked = 0;
    set_time(1000000);
    return 0;
}

/* The commands, one a line; what they answered, with line ends as spaces. */
static const char *say(struct redis_session *s, const char *lines) {
    buf_clear(&out);
    redis_session_feed(s, bytes_str(lines));
    while (redis_session_step(s))
        continue;
    size_t len = 0;
    for (size_t i = 0; i < out.len; i++)
        if (out.ptr[i] != '\r')
            out.ptr[len++] = out.ptr[i] == '\n' ? ' ' : out.ptr[i];
    out.len = len;
    buf_append_char(&out, '\0');
    out.len--;
    return out.ptr;
}

static struct redis_session *meet(void) {
    return sessions[session_count++] = redis_session_new(model, "10.0.0.1:1", &events, NULL);
}

static void part(void) {
    while (session_count > 0)
        redis_session_free(sessions[--session_count]);
}

static int end(void **state) {
    (void)state;
    part();
    redis_model_free(model);
    buf_release(&out);
    return 0;
}

#define FILL                                                                                       \
    "SET s 1\r\nHSET h f v\r\nSADD t m\r\nZADD z 0 m\r\nXADD x 5-1 f v\r\nPEXPIRE h 1000\r\n"
#define LOOK                                                                                       \
    "GET s\r\nHGET h f\r\nSMEMBERS t\r\nZSCORE z m\r\nXRANGE x - +\r\nPTTL h\r\nMEMORY USAGE "     \
    "x\r\n"

static void test_a_copy_is_whole_and_apart(void **state) {
    struct redis_session *s = meet();
    (void)state;
    say(s, FILL);
    char *before = strdup(say(s, LOOK));
    size_t memory = redis_model_memory(model);
    struct data *copy = redis_model_copy_data(model);
    say(s, "SET s 2\r\nHSET h f w\r\nSREM t m\r\nZREM z m\r\nXADD x 6-1 f v\r\nXDEL x 5-1\r\n"
           "PERSIST h\r\n");
    assert_string_not_equal(say(s, LOOK), before);
    redis_model_set_data(model, copy);
    assert_string_equal(say(s, LOOK), before);
    assert_int_equal(redis_model_memory(model), memory);
    assert_string_equal(say(s, "XADD x 5-1 f v\r\n"),
                        "-ERR The ID specified in XADD is equal or smaller than the target stream "
                        "top item ");
    redis_model_set_data(model, NULL);
    assert_string_equal(say(s, "DBSIZE\r\n"), ":0 ");
    free(before);
}

static void test_a_restart_forgets_what_is_no_data(void **state) {
    struct redis_session *s = meet();
    (void)state;
    char *run_id = strdup(strstr(say(s, "INFO server\r\n"), "run_id:"));
    say(s, "SET s 1\r\nCLIENT ID\r\n");
    say(s, "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$8\r\nreturn 1\r\n");
    assert_string_equal(say(s, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0\r\n"), ":1 ");
    part();
    redis_model_restart(model, redis_model_copy_data(model));
    s = meet();
    assert_string_equal(say(s, "CLIENT ID\r\nGET s\r\n"), ":1 $1 1 ");
    assert_string_equal(say(s, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0\r\n"),
                        "-NOSCRIPT No matching script. Please use EVAL. ");
    assert_int_not_equal(
        strncmp(strstr(say(s, "INFO server\r\n"), "run_id:"), run_id, strlen("run_id:") + 40), 0);
    free(run_id);
}

static void test_who_waits_is_cut_off_by_a_demotion(void **state) {
    struct redis_session *waits = meet(), *stays = meet();
    (void)state;
    assert_string_equal(say(waits, "XREAD BLOCK 5000 STREAMS x $\r\n"), "");
    assert_int_equal(redis_model_due(model), 1005000000);
    redis_model_demote(model);
    assert_int_equal(closed, 1);
    assert_int_equal(memcmp(out.ptr, "-UNBLOCKED ", 11), 0);
    assert_int_equal(redis_model_due(model), UINT64_MAX);
    assert_string_equal(say(stays, "SET a b\r\nGET a\r\n"),
                        "-READONLY You can't write against a read only replica. $-1 ");
    assert_non_null(strstr(say(stays, "INFO replication\r\n"), "role:slave"));
    redis_model_promote(model);
    assert_string_equal(say(stays, "SET a b\r\n"), "+OK ");
    assert_null(strstr(say(stays, "INFO replication\r\n"), "replid2:00000000"));
}

static void test_a_wait_ends_in_time(void **state) {
    struct redis_session *s = meet();
    (void)state;
    say(s, "XREAD BLOCK 5 STREAMS x $\r\nPING\r\n");
    set_time(1000004);
    assert_int_equal(unblocked, 0);
    set_time(1000005);
    assert_int_equal(unblocked, 1);
    assert_string_equal(say(s, ""), "+PONG ");
}

static void test_refusals(void **state) {
    static const struct {
        enum redis_refusal refusal;
        const char *get, *set, *ping, *select; /* the beginning of each answer */
    } cases[] = {
        {REDIS_FINE, "$-1", "+OK", "+PONG", "+OK"},
        {REDIS_LOADING, "-LOADING ", "-LOADING ", "-LOADING ", "+OK"},
        {REDIS_BUSY, "-BUSY ", "-BUSY ", "-BUSY ", "-BUSY "},
        {REDIS_MISCONF, "$-1", "-MISCONF Redis is", "-MISCONF Redis is", "+OK"},
        {REDIS_MISCONF_AOF, "$-1", "-MISCONF Errors", "-MISCONF Errors", "+OK"},
        {REDIS_NOREPLICAS, "$-1", "-NOREPLICAS ", "+PONG", "+OK"},
        {REDIS_MASTERDOWN, "-MASTERDOWN ", "-MASTERDOWN ", "-MASTERDOWN ", "+OK"},
    };
    struct redis_session *s = meet();
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const said[] = {"GET a\r\n", "SET b 1\r\n", "PING\r\n", "SELECT 0\r\n"};
        const char *const expected[] = {cases[i].get, cases[i].set, cases[i].ping, cases[i].select};
        redis_model_refuse(model, cases[i].refusal);
        for (int j = 0; j < 4; j++) {
            const char *answer = say(s, said[j]);
            if (strncmp(answer, expected[j], strlen(expected[j])) != 0)
                fail_msg("refusal %d: %s is answered by %s", (int)cases[i].refusal, said[j],
                         answer);
        }
    }
    redis_model_refuse(model, REDIS_BUSY);
    assert_string_equal(say(s, "SCRIPT KILL\r\nPING\r\n"), "+OK +PONG ");
}

static void test_a_full_server_trims(void **state) {
    struct redis_session *s = meet();
    (void)state;
    say(s, FILL);
    redis_model_set_maxmemory(model, redis_model_memory(model) - 1);
    assert_int_equal(memcmp(say(s, "XADD x * f v\r\n"), "-OOM ", 5), 0);
    assert_string_equal(say(s, "XTRIM x MAXLEN 0\r\n"), ":1 ");
    assert_int_equal(memcmp(say(s, "XADD x * f v\r\n"), "$", 1), 0);
}

/* The clock may go back: ids of a stream do not. */
static void test_ids_rise_over_a_clock_that_falls(void **state) {
    struct redis_session *s = meet();
    (void)state;
    assert_string_equal(say(s, "XADD x * f v\r\n"), "$9 1000000-0 ");
    set_time(900000);
    assert_string_equal(say(s, "XADD x * f v\r\n"), "$9 1000000-1 ");
    assert_string_equal(say(s, "TIME\r\n"), "*2 $3 900 $1 0 ");
}

static void test_keys_expire_by_themselves(void **state) {
    struct redis_session *s = meet();
    (void)state;
    say(s, "SET a b PX 100\r\nSET c d\r\n");
    set_time(1000100);
    assert_string_equal(say(s, "DBSIZE\r\n"), ":2 ");
    set_time(1002000);
    assert_string_equal(say(s, "DBSIZE\r\n"), ":1 ");
}

static void on_publish(void *ctx, struct bytes channel, struct bytes payload) {
    buf_printf(ctx, "%.*s=%.*s;", BYTES_FMT(channel), BYTES_FMT(payload));
}

static void test_onlookers(void **state) {
    struct redis_session *s = meet();
    struct buf heard = {0}, reply = {0};
    const struct bytes get[] = {BYTES_LIT("GET"), BYTES_LIT("a")};
    (void)state;
    redis_model_tap(model, on_publish, &heard);
    say(s, "PUBLISH a x\r\nSET a b\r\nMULTI\r\nPUBLISH c d\r\nEXEC\r\n");
    assert_true(bytes_equal_str(buf_bytes(&heard), "a=x;c=d;"));
    redis_model_refuse(model, REDIS_LOADING);
    redis_model_ask(model, get, 2, &reply);
    assert_true(bytes_equal_str(buf_bytes(&reply), "$1\r\nb\r\n"));
    buf_deinit(&heard);
    buf_deinit(&reply);
}

/* The order of a large set follows from the seed. */
static void test_the_seed_decides_the_order(void **state) {
    char *orders[3];
    const uint64_t seeds[] = {1, 1, 2};
    (void)state;
    for (int i = 0; i < 3; i++) {
        redis_model_free(model);
        model = redis_model_new(seeds[i]);
        struct redis_session *s = meet();
        say(s, "SADD s a b c d e f g h i j k l m n o p\r\n");
        orders[i] = strdup(say(s, "SMEMBERS s\r\nINFO server\r\nSCAN 0\r\n"));
        part();
    }
    assert_string_equal(orders[0], orders[1]);
    assert_string_not_equal(orders[0], orders[2]);
    for (int i = 0; i < 3; i++)
        free(orders[i]);
}

/* What a connection sent and has not been carried out ends with it. */
static void test_a_killed_connection_runs_nothing_more(void **state) {
    struct redis_session *victim = meet(), *killer = meet();
    (void)state;
    redis_session_feed(victim, bytes_str("SET a b\r\n"));
    assert_true(redis_session_has_command(victim));
    assert_string_equal(say(killer, "CLIENT KILL ID 1\r\n"), ":1 ");
    assert_int_equal(closed, 1);
    assert_false(redis_session_step(victim));
    assert_string_equal(say(killer, "EXISTS a\r\n"), ":0 ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_copy_is_whole_and_apart, begin, end),
        cmocka_unit_test_setup_teardown(test_a_restart_forgets_what_is_no_data, begin, end),
        cmocka_unit_test_setup_teardown(test_who_waits_is_cut_off_by_a_demotion, begin, end),
        cmocka_unit_test_setup_teardown(test_a_wait_ends_in_time, begin, end),
        cmocka_unit_test_setup_teardown(test_refusals, begin, end),
        cmocka_unit_test_setup_teardown(test_a_full_server_trims, begin, end),
        cmocka_unit_test_setup_teardown(test_ids_rise_over_a_clock_that_falls, begin, end),
        cmocka_unit_test_setup_teardown(test_keys_expire_by_themselves, begin, end),
        cmocka_unit_test_setup_teardown(test_onlookers, begin, end),
        cmocka_unit_test_setup_teardown(test_the_seed_decides_the_order, begin, end),
        cmocka_unit_test_setup_teardown(test_a_killed_connection_runs_nothing_more, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
