/* test_buf.c - a growing buffer: growth, consumption, ownership. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"

static void test_grows_and_keeps_its_content(void **state) {
    (void)state;
    struct buf b = {0};
    char expected[5000];
    for (int i = 0; i < 5000; i++) {
        expected[i] = (char)('a' + i % 26);
        buf_append_char(&b, expected[i]);
        assert_true(b.cap >= b.len);
    }
    assert_true(bytes_equal(buf_bytes(&b), bytes_of(expected, sizeof(expected))));
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_true(b.cap >= 5000); /* the memory is kept */
    buf_release(&b);
    assert_null(b.ptr);
    assert_int_equal(b.cap, 0);
}

/* 64 bytes are the smallest room: one byte beyond a full buffer must find new room. */
static void test_room_at_the_boundary(void **state) {
    (void)state;
    struct buf b = {0};
    char full[64];
    memset(full, 'x', sizeof(full));
    buf_append(&b, bytes_of(full, sizeof(full)));
    assert_int_equal(b.cap, 64);
    memset(buf_reserve(&b, 1), 'y', 1);
    buf_added(&b, 1);
    assert_int_equal(b.len, 65);
    assert_int_equal(b.cap, 128);
    assert_int_equal(b.ptr[63], 'x');
    assert_int_equal(b.ptr[64], 'y');
    buf_deinit(&b);
}

static void test_nothing_needs_no_memory(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_append(&b, BYTES_NONE);
    buf_append_str(&b, "");
    assert_null(buf_reserve(&b, 0));
    assert_null(b.ptr);
    buf_consume(&b, 0);
    buf_deinit(&b);
}

static void test_printf_of_any_length(void **state) {
    (void)state;
    struct buf b = {0};
    char text[300];
    memset(text, 'z', 299);
    text[299] = '\0';
    buf_printf(&b, "%d-%s", 7, "ab");
    buf_printf(&b, "%s", text);
    assert_int_equal(b.len, 4 + 299);
    assert_memory_equal(b.ptr, "7-abzz", 6);
    buf_deinit(&b);
}

static void test_consume(void **state) {
    (void)state;
    struct buf b = {0};
    buf_append_str(&b, "abcdef");
    buf_consume(&b, 2);
    assert_true(bytes_equal_str(buf_bytes(&b), "cdef"));
    buf_consume(&b, 4);
    assert_int_equal(b.len, 0);
    buf_append_str(&b, "g");
    assert_true(bytes_equal_str(buf_bytes(&b), "g"));
    buf_deinit(&b);
}

static void test_take(void **state) {
    (void)state;
    struct buf b = {0};
    buf_append_str(&b, "mine");
    char *text = buf_take(&b);
    assert_string_equal(text, "mine");
    free(text);
    assert_null(b.ptr);
    text = buf_take(&b);
    assert_string_equal(text, "");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_keeps_its_content),
        cmocka_unit_test(test_room_at_the_boundary),
        cmocka_unit_test(test_nothing_needs_no_memory),
        cmocka_unit_test(test_printf_of_any_length),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
