/* test_address.c - what an address may be, what a send may cost, and lists that are given or not. */
#include "common/send/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void texts_have_bounds(void **state) {
    char text[ADDRESS_BYTES_MAX + 1];
    (void)state;
    memset(text, 'x', sizeof(text));
    assert_null(address_fault(bytes_of(text, 0)));
    assert_null(address_fault(bytes_of(text, ADDRESS_BYTES_MAX)));
    assert_string_equal(address_fault(bytes_of(text, ADDRESS_BYTES_MAX + 1)),
                        "has more than 1024 bytes");
    for (int i = 0; i < 3; i++)
        assert_string_equal(address_fault(bytes_of(&"a\rb\nc\0"[2 * i], 2)),
                            "has a line end or a NUL in it");
    assert_string_equal(address_fault(BYTES_LIT("\xc3")), "is not valid UTF-8");
    assert_null(address_fault(BYTES_LIT("\xc3\xa4 \t*")));
}

/* Each Name costs the data and the address. */
static void the_cost_has_a_bound(void **state) {
    struct bytes items[256] = {{"g", 1}};
    struct bytes_list names = {items, 256}, one = {items, 1}, none = {0};
    size_t each = ADDRESS_COST_MAX / 256;
    struct buf why = {0};
    (void)state;
    assert_true(address_is_affordable(names, none, none, each, &why));
    assert_false(address_is_affordable(names, none, none, each + 1, &why));
    size_t lists = 2 * (1 + ADDRESS_ELEMENT_BYTES);
    assert_true(address_is_affordable(names, one, one, each - lists, &why));
    assert_false(address_is_affordable(names, one, one, each - lists + 1, &why));
    assert_true(address_is_affordable(one, one, one, 2 * ADDRESS_COST_MAX, &why));
    assert_true(address_is_affordable(none, none, none, SIZE_MAX, &why)); /* to every Name */
    buf_deinit(&why);
}

static void an_empty_list_is_not_an_absent_one(void **state) {
    struct texts t = {0};
    char text[] = "a";
    (void)state;
    assert_false(bytes_list_is_given(texts_list(&t)));
    texts_give(&t);
    assert_true(bytes_list_is_nobody(texts_list(&t)));
    for (int i = 0; i < 3; i++, text[0]++)
        texts_add(&t, bytes_str(text)); /* copied */
    assert_int_equal(t.count, 3);
    assert_true(bytes_equal_str(t.items[0], "a") && bytes_equal_str(t.items[2], "c"));
    texts_deinit(&t);
    assert_false(bytes_list_is_given(texts_list(&t)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_bounds),
        cmocka_unit_test(the_cost_has_a_bound),
        cmocka_unit_test(an_empty_list_is_not_an_absent_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
