#include "common/bus/redis/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"

#include "common/bus/redis/scripts.h"

static void expect(struct command *c, const char *text) {
    struct buf b = command_finish(c);
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(b.ptr, text, b.len);
    assert_null(c->buf.ptr);
    assert_int_equal(c->argc, 0);
    buf_deinit(&b);
}

static void writes_resp(void **state) {
    (void)state;
    struct command c = command_begin("PING");
    expect(&c, "*1\r\n$4\r\nPING\r\n");
    c = command_begin("SET");
    command_bytes(&c, BYTES_LIT("a\r\n\0b"));
    command_text(&c, "");
    struct buf b = command_finish(&c);
    static const char text[] = "*3\r\n$3\r\nSET\r\n$5\r\na\r\n\0b\r\n$0\r\n\r\n";
    assert_int_equal(b.len, sizeof(text) - 1);
    assert_memory_equal(b.ptr, text, b.len);
    buf_deinit(&b);
}

static void writes_numbers(void **state) {
    (void)state;
    struct command c = command_begin("X");
    command_number(&c, 0);
    command_number(&c, INT64_MIN);
    expect(&c, "*3\r\n$1\r\nX\r\n$1\r\n0\r\n$20\r\n-9223372036854775808\r\n");
}

static void absent_bytes_are_empty(void **state) {
    (void)state;
    struct command c = command_begin("X");
    command_bytes(&c, BYTES_NONE);
    command_text(&c, NULL);
    expect(&c, "*3\r\n$1\r\nX\r\n$0\r\n\r\n$0\r\n\r\n");
}

static void counts_many_arguments(void **state) {
    (void)state;
    struct command c = command_begin("SUBSCRIBE");
    for (int i = 0; i < 12345; i++)
        command_number(&c, i);
    struct buf b = command_finish(&c);
    assert_memory_equal(b.ptr, "*12346\r\n$9\r\nSUBSCRIBE\r\n$1\r\n0\r\n", 30);
    assert_memory_equal(b.ptr + b.len - 11, "$5\r\n12344\r\n", 11);
    buf_deinit(&b);
}

static void carries_large_arguments(void **state) {
    (void)state;
    size_t len = 16 * 1024 * 1024;
    char *large = mem_alloc(len);
    memset(large, 'x', len);
    struct command c = command_begin("ECHO");
    command_bytes(&c, bytes_of(large, len));
    struct buf b = command_finish(&c);
    assert_memory_equal(b.ptr, "*2\r\n$4\r\nECHO\r\n$16777216\r\n", 25);
    assert_int_equal(b.len, 25 + len + 2);
    assert_memory_equal(b.ptr + 25, large, len);
    buf_deinit(&b);
    free(large);
}

static void calls_scripts(void **state) {
    (void)state;
    char text[200];
    struct command c = command_script(SCRIPT_heartbeat, 2);
    command_text(&c, "k1");
    snprintf(text, sizeof(text), "*4\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n2\r\n$2\r\nk1\r\n",
             script_sha(SCRIPT_heartbeat));
    expect(&c, text);
}

/* Of all arguments, wherever it stands. */
static void knows_its_largest_argument(void **state) {
    static const struct {
        const char *name, *first, *second;
        size_t largest;
    } rows[] = {{"GET", "a", "b", 3},
                {"GET", "abcde", "b", 5},
                {"GET", "abcde", "abcdefg", 7},
                {"EXISTS", "abcdef", "abc", 6}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct command c = command_begin(rows[i].name);
        command_text(&c, rows[i].first);
        command_text(&c, rows[i].second);
        assert_int_equal(c.largest, rows[i].largest);
        command_drop(&c);
        assert_int_equal(c.largest, 0);
    }
}

static void may_be_dropped(void **state) {
    (void)state;
    struct command c = command_begin("PING");
    command_drop(&c);
    command_drop(&c);
    assert_null(c.buf.ptr);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_resp),
                                       cmocka_unit_test(writes_numbers),
                                       cmocka_unit_test(absent_bytes_are_empty),
                                       cmocka_unit_test(counts_many_arguments),
                                       cmocka_unit_test(carries_large_arguments),
                                       cmocka_unit_test(calls_scripts),
                                       cmocka_unit_test(knows_its_largest_argument),
                                       cmocka_unit_test(may_be_dropped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
