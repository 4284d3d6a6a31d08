/* Structured strings, and those that come without their quotes. */
#include "common/http/http_string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void what_they_mean(void **state) {
    static const struct {
        const char *value, *meant; /* NULL: malformed */
    } rows[] = {
        {"abc", "abc"},
        {"\"abc\"", "abc"},
        {" \"abc\" ", "abc"},
        {"\"a \\\"b\\\" \\\\c\"", "a \"b\" \\c"},
        {"\"\"", ""},
        {"", ""},
        {"a\\b", "a\\b"},
        {"J\xc3\xbcrgen", "J\xc3\xbcrgen"},
        {"\" ~\"", " ~"},
        {"\"", NULL},
        {"\"abc", NULL},
        {"abc\"", NULL},
        {"a\"b", NULL},
        {"\"a\"b\"", NULL},
        {"\"abc\\", NULL},
        {"\"abc\\\"", NULL},
        {"\"a\\bc\"", NULL},
        {"\"abc\"x", NULL},
        {"\"abc\";p=1", NULL},
        {"\"a\", \"b\"", NULL},
        {"\"J\xc3\xbcrgen\"", NULL},
        {"\"a\tb\"", NULL},
        {"\"a\x7f\"", NULL},
        {"\"a\\\x7f\"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        bool is_fine = http_string_read(bytes_str(rows[i].value), &out);
        if (is_fine != (rows[i].meant != NULL) ||
            (is_fine && !bytes_equal_str(buf_bytes(&out), rows[i].meant)))
            fail_msg("%s: %d %.*s", rows[i].value, is_fine, BYTES_FMT(buf_bytes(&out)));
        buf_deinit(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_they_mean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
