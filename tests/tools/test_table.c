/* test_table.c - what clients chose does not reach a terminal as it is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/table.h"

static void test_control_bytes_are_shown(void **state) {
    static const char *const rows[][2] = {
        {"plain", "plain"},
        {"h\xc3\xa9 \xe2\x82\xac", "h\xc3\xa9 \xe2\x82\xac"},
        {"\x1b[31mred\n", "\\x1b[31mred\\x0a"},
        {"\x7f\t", "\\x7f\\x09"},
        {"a\xc2\x9b"
         "31m",
         "a\\x9b31m"}, /* CSI in one character */
        {"\xc2\xa0", "\xc2\xa0"},
        {"\x9b"
         "31m",
         "\\x9b31m"}, /* CSI of a terminal that reads no UTF-8 */
        {"\xff\xc3z\xed\xa0\x80\xe2\x82", "\\xff\\xc3z\\xed\\xa0\\x80\\xe2\\x82"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        table_append_shown(&out, bytes_str(rows[i][0]));
        buf_append_char(&out, '\0');
        assert_string_equal(out.ptr, rows[i][1]);
        buf_deinit(&out);
    }
}

static void test_widths_count_characters(void **state) {
    static const char *const names[] = {"A", "B"};
    struct table t;
    (void)state;
    table_init(&t, 2, names);
    assert_int_equal(t.count, 2); /* the heading */
    table_cell(&t, BYTES_LIT("\xe2\x82\xac\xe2\x82\xac"));
    table_cell(&t, BYTES_LIT("x"));
    assert_int_equal(t.count, 4);
    assert_int_equal(t.widths[0], 2);
    buf_deinit(&t.cells);
}

/* Two blanks between columns, none behind the last; without rows nothing. */
static void test_columns_stand_below_one_another(void **state) {
    static const char *const names[] = {"A", "LONG", "C"};
    static const char *const cells[] = {
        "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", "x", "1", "", "longer", "2"};
    char text[200] = "";
    struct table t;
    (void)state;
    for (size_t count = 0; count <= 6; count += 6) {
        FILE *file = tmpfile();
        int out = dup(STDOUT_FILENO);
        fflush(stdout);
        dup2(fileno(file), STDOUT_FILENO);
        table_init(&t, 3, names);
        for (size_t i = 0; i < count; i++)
            table_cell(&t, bytes_str(cells[i]));
        table_print(&t);
        fflush(stdout);
        dup2(out, STDOUT_FILENO);
        close(out);
        rewind(file);
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
        assert_string_equal(text, count == 0 ? ""
                                             : "A    LONG    C\n"
                                               "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac  x       1\n"
                                               "     longer  2\n");
    }
}

static void test_a_member_of_a_line(void **state) {
    struct buf out = {0};
    (void)state;
    table_append_member(&out, "empty", BYTES_LIT(""));
    table_append_member(&out, "name", BYTES_LIT("x\n"));
    table_append_member(&out, "other", BYTES_LIT("y"));
    assert_true(bytes_equal_str(buf_bytes(&out), " name=x\\x0a other=y"));
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_control_bytes_are_shown),
                                       cmocka_unit_test(test_widths_count_characters),
                                       cmocka_unit_test(test_columns_stand_below_one_another),
                                       cmocka_unit_test(test_a_member_of_a_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
