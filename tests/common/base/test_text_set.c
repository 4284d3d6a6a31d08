/* test_text_set.c - a text is there once, however often it is added. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/text_set.h"

static void each_text_is_added_once(void **state) {
    enum { TEXTS = 3000 };
    static char texts[TEXTS][8];
    struct text_set s = {0};
    (void)state;
    for (int i = 0; i < TEXTS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%d", i);
        assert_false(text_set_has(&s, bytes_str(texts[i])));
        assert_true(text_set_add(&s, bytes_str(texts[i])));
    }
    for (int i = 0; i < TEXTS; i++)
        assert_false(text_set_add(&s, bytes_str(texts[i])));
    assert_true(text_set_add(&s, BYTES_LIT("")));
    assert_false(text_set_add(&s, BYTES_NONE));
    assert_false(text_set_has(&s, BYTES_LIT("x")));
    text_set_clear(&s);
    assert_false(text_set_has(&s, BYTES_LIT("1")));
    assert_true(text_set_add(&s, BYTES_LIT("1")));
    text_set_clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_text_is_added_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
