/* test_fold.c - texts without case, in every script that has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fold.h"
#include "common/base/utf8.h"

static bool is_equal_folded(struct bytes a, struct bytes b) {
    struct buf x = {0}, y = {0};
    fold_append(&x, a);
    fold_append(&y, b);
    bool is_equal = bytes_equal(buf_bytes(&x), buf_bytes(&y));
    buf_deinit(&x);
    buf_deinit(&y);
    return is_equal;
}

static void test_pairs(void **state) {
    static const struct {
        const char *a, *b;
        bool is_equal;
    } rows[] = {
        {"", "", true},
        {"A", "", false},
        {"Staff", "STAFF", true},
        {"staff", "staffs", false},
        {"@[`{", "`{@[", false}, /* neighbours of the letters */
        {"ÄÖÜ", "äöü", true},
        {"É", "é", true},
        {"É", "e", false},
        {"Ÿ", "ÿ", true},
        {"ĀĂĄ", "āăą", true},
        {"ā", "ă", false},
        {"ΣΊΣΥΦΟΣ", "σίσυφος", true}, /* the sigma of the end is one too */
        {"МОСКВА", "москва", true},
        {"ЂЃ", "ђѓ", true},
        {"ՀԱՅ", "հայ", true},
        {"ᲐᲑ", "აბ", true}, /* Georgian */
        {"ꭰ", "Ꭰ", true},     /* Cherokee folds to its capitals */
        {"𐐀", "𐐨", true},       /* Deseret: beyond 16 bits */
        {"𞤀", "𞤢", true}, /* Adlam */
        {"ＡＢ", "ａｂ", true},
        {"Ⅷ", "ⅷ", true},
        {"ẞ", "ß", true},
        {"ß", "ss", false},
        {"İ", "i", false},
        {"ı", "I", false},
        {"\xe2\x84\xaa", "k", false}, /* the Kelvin sign */
        {"\xc5\xbf", "s", false},     /* the long s */
        {"\xe2\x84\xab", "å", true},  /* the Angstrom sign */
        {"µ", "μ", true},
        {"东京", "东京", true},
        {"东京", "东", false},
        {"×", "÷", false},
        {"e\xcc\x81", "é", false}, /* not composed */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes a = bytes_str(rows[i].a), b = bytes_str(rows[i].b);
        if (fold_equal(a, b) != rows[i].is_equal || fold_equal(b, a) != rows[i].is_equal ||
            is_equal_folded(a, b) != rows[i].is_equal)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
    }
}

/* Bytes that are no characters stay what they are, and swallow nothing behind them. */
static void test_what_is_not_utf8(void **state) {
    static const struct {
        struct bytes text, folded;
    } rows[] = {
        {{"\xff"
          "A",
          2},
         {"\xff"
          "a",
          2}},
        {{"\xc3", 1}, {"\xc3", 1}},
        {{"\xc3"
          "A",
          2},
         {"\xc3"
          "a",
          2}},
        {{"\xe2\x84", 2}, {"\xe2\x84", 2}},
        {{"\x80\xbf", 2}, {"\x80\xbf", 2}},
        {{"\xc1\x81", 2}, {"\xc1\x81", 2}}, /* an overlong A */
        {{"A\0B", 3}, {"a\0b", 3}},
        {{"\xf0\x90", 2}, {"\xf0\x90", 2}},
        {{"\xe0\x81\xa1", 3}, {"\xe0\x81\xa1", 3}}, /* an overlong a */
        {{"\xed\xa0\x80", 3}, {"\xed\xa0\x80", 3}}, /* a surrogate */
        {{"\xf4\x90\x80\x80", 4}, {"\xf4\x90\x80\x80", 4}},
        {{"\xf5\x80\x80\x80", 4}, {"\xf5\x80\x80\x80", 4}},
    };
    struct buf out = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_clear(&out);
        fold_append(&out, rows[i].text);
        assert_int_equal(out.len, rows[i].folded.len);
        assert_memory_equal(out.ptr, rows[i].folded.ptr, out.len);
    }
    buf_deinit(&out);
    assert_false(fold_equal(BYTES_LIT("\xc3"), BYTES_LIT("\xe3")));
    assert_false(fold_equal(BYTES_LIT("\xe0\x81\xa1"), BYTES_LIT("a")));
}

static size_t encode(uint32_t c, char out[4]) {
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(len == 1 ? c : (0xf00u >> len & 0xf0) | c);
    return len;
}

/* Folding twice is folding once, gives UTF-8, and never an ASCII letter for what is none. */
static void test_all_characters(void **state) {
    struct buf once = {0}, twice = {0};
    size_t changed = 0;
    (void)state;
    for (uint32_t c = 1; c < 0x110000; c++) {
        char text[4];
        if (c >= 0xd800 && c < 0xe000)
            continue;
        struct bytes all = bytes_of(text, encode(c, text));
        buf_clear(&once);
        buf_clear(&twice);
        fold_append(&once, all);
        fold_append(&twice, buf_bytes(&once));
        if (!bytes_equal(buf_bytes(&once), buf_bytes(&twice)) || !utf8_is_valid(buf_bytes(&once)) ||
            (c >= 0x80 && once.len == 1) || !fold_equal(all, buf_bytes(&once)))
            fail_msg("U+%04X", (unsigned)c);
        changed += !bytes_equal(all, buf_bytes(&once));
    }
    assert_int_equal(changed, 26 + 1426);
    buf_deinit(&once);
    buf_deinit(&twice);
}

static void test_order(void **state) {
    (void)state;
    assert_true(fold_compare(BYTES_LIT("a"), BYTES_LIT("B")) < 0);
    assert_true(fold_compare(BYTES_LIT("B"), BYTES_LIT("a")) > 0);
    assert_true(fold_compare(BYTES_LIT("a"), BYTES_LIT("AB")) < 0);
    assert_true(fold_compare(BYTES_LIT("Ä"), BYTES_LIT("ä")) == 0);
    assert_true(fold_compare(BYTES_LIT("Z"), BYTES_LIT("ä")) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_what_is_not_utf8),
        cmocka_unit_test(test_all_characters),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
