/* Which answers to INFO are the same server with the same data. */
#include "common/bus/redis/server_info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"

#define ZERO "0000000000000000000000000000000000000000"

static struct server_info read_text(const char *run_id, const char *role, const char *id,
                                    const char *before) {
    char text[400];
    struct server_info info;
    snprintf(text, sizeof(text),
             "# Server\r\nredis_version:7.0.15\r\nrun_id:%s\r\n\r\n# Replication\r\nrole:%s\r\n"
             "master_replid:%s\r\nmaster_replid2:%s\r\nsecond_repl_offset:-1\r\n",
             run_id, role, id, before);
    assert_true(server_info_read(&info, bytes_str(text)));
    return info;
}

static void says_what_is_the_same(void **state) {
    (void)state;
    static const struct {
        const char *what, *run_id, *id, *before;
        bool is_same;
    } rows[] = {
        {"nothing changed", "r1", "aa", ZERO, true},
        {"its first replica came", "r1", "bb", ZERO, true},
        {"restarted", "r2", "aa", ZERO, false},
        {"demoted and promoted again", "r1", "bb", "aa", false},
    };
    struct server_info first = read_text("r1", "master", "aa", ZERO);
    assert_true(first.is_master);
    assert_string_equal(first.run_id, "r1");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server_info now = read_text(rows[i].run_id, "master", rows[i].id, rows[i].before);
        if ((strcmp(now.identity, first.identity) == 0) != rows[i].is_same)
            fail_msg("%s: %s and %s", rows[i].what, first.identity, now.identity);
    }
    struct server_info once = read_text("r1", "master", "bb", "aa"),
                       twice = read_text("r1", "master", "cc", "bb");
    assert_string_not_equal(once.identity, twice.identity);
    assert_string_equal(read_text("r1", "master", "bb", "1" ZERO).identity, "r1/bb");
    assert_string_equal(read_text("r1", "master", "bb", ZERO "1").identity, "r1/bb");
    assert_string_equal(read_text("r1", "master", "bb", ZERO).identity, "r1/");
    assert_false(read_text("r1", "slave", "aa", ZERO).is_master);
}

static void a_value_is_found_by_its_whole_name(void **state) {
    static const char text[] = "a:1\r\nab:2\r\n\r\nxa:3\r\nb:\r\nc:4:5\r\nd\r\ne: 6 \nf:7";
    static const struct {
        const char *name, *value; /* NULL: there is none */
    } rows[] = {{"a", "1"},   {"ab", "2"}, {"xa", "3"}, {"b", ""},   {"c", "4:5"},
                {"e", " 6 "}, {"f", "7"},  {"x", NULL}, {"A", NULL}, {"", NULL}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes value = server_info_value(bytes_str(text), rows[i].name);
        if (rows[i].value != NULL && !bytes_equal_str(value, rows[i].value))
            fail_msg("%s: %.*s", rows[i].name, BYTES_FMT(value));
        if (rows[i].value == NULL)
            assert_int_equal(value.len, 0);
    }
}

/* The longest run id that is one, and one beyond; a replication id beyond says nothing. */
static void ids_have_a_length(void **state) {
    char id[SERVER_RUN_ID_TEXT + 1];
    struct server_info info;
    char text[200];
    (void)state;
    memset(id, 'x', sizeof(id));
    for (size_t len = SERVER_RUN_ID_TEXT - 1; len <= SERVER_RUN_ID_TEXT; len++) {
        snprintf(text, sizeof(text), "run_id:%.*s\r\nrole:master\r\n", (int)len, id);
        assert_int_equal(server_info_read(&info, bytes_str(text)), len < SERVER_RUN_ID_TEXT);
        snprintf(text, sizeof(text), "run_id:r\r\nmaster_replid:%.*s\r\nmaster_replid2:1\r\n",
                 (int)len, id);
        assert_true(server_info_read(&info, bytes_str(text)));
        assert_false(info.is_master);
        assert_int_equal(strlen(info.identity), 2 + (len < SERVER_RUN_ID_TEXT ? len : 0));
    }
}

static void what_is_no_answer_is_refused(void **state) {
    (void)state;
    char longest[200];
    struct server_info info;
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memcpy(longest, "run_id:", 7);
    const char *const texts[] = {"", "run_id", "run_id:", "run_id:\r\n", "xrun_id:1\r\n", longest};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(server_info_read(&info, bytes_str(texts[i])));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(says_what_is_the_same),
                                       cmocka_unit_test(a_value_is_found_by_its_whole_name),
                                       cmocka_unit_test(ids_have_a_length),
                                       cmocka_unit_test(what_is_no_answer_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
