/* test_utf8.c - the validator against known cases, and against a slow reference over random bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/must.h"
#include "common/base/utf8.h"

#define RAW(text)                                                                                  \
    { "" text, sizeof(text) - 1 }

enum { VALID = -1, CUT = -2 };

static const struct {
    const char *name;
    struct bytes text;
    int bad_at; /* offset of the first byte that cannot be; or VALID; or CUT within a character */
} cases[] = {
    {"empty", RAW(""), VALID},
    {"ascii", RAW("Hello, world"), VALID},
    {"ascii of nine", RAW("123456789"), VALID},
    {"NUL", RAW("\0"), VALID},
    {"DEL", RAW("\x7F"), VALID},
    {"greek", RAW("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"), VALID},
    {"U+0080", RAW("\xC2\x80"), VALID},
    {"U+07FF", RAW("\xDF\xBF"), VALID},
    {"U+0800", RAW("\xE0\xA0\x80"), VALID},
    {"U+D7FF", RAW("\xED\x9F\xBF"), VALID},
    {"U+E000", RAW("\xEE\x80\x80"), VALID},
    {"U+FFFD", RAW("\xEF\xBF\xBD"), VALID},
    {"U+FFFE, no character but valid", RAW("\xEF\xBF\xBE"), VALID},
    {"U+FFFF", RAW("\xEF\xBF\xBF"), VALID},
    {"U+10000", RAW("\xF0\x90\x80\x80"), VALID},
    {"U+10FFFF", RAW("\xF4\x8F\xBF\xBF"), VALID},
    {"ascii, then two", RAW("12345678\xC3\xA4"), VALID},
    {"cut after one of two", RAW("\xC2"), CUT},
    {"cut after one of three", RAW("a\xE2"), CUT},
    {"cut after two of three", RAW("\xE2\x82"), CUT},
    {"cut after three of four", RAW("\xF0\x9F\x98"), CUT},
    {"stray continuation", RAW("\x80"), 0},
    {"stray continuation after text", RAW("ab\xBF"), 2},
    {"stray after a whole character", RAW("\xC3\xA4\x80"), 2},
    {"stray after eight", RAW("12345678\x80"), 8},
    {"overlong of one, C0", RAW("\xC0\x80"), 0},
    {"overlong of one, C1", RAW("\xC1\xBF"), 0},
    {"overlong of two", RAW("\xE0\x80\xAF"), 1},
    {"overlong of two, last", RAW("\xE0\x9F\xBF"), 1},
    {"overlong of three", RAW("\xF0\x80\x80\xAF"), 1},
    {"overlong of three, last", RAW("\xF0\x8F\xBF\xBF"), 1},
    {"first surrogate", RAW("\xED\xA0\x80"), 1},
    {"last surrogate", RAW("\xED\xBF\xBF"), 1},
    {"pair of surrogates", RAW("\xED\xA0\x80\xED\xB0\x80"), 1},
    {"U+110000", RAW("\xF4\x90\x80\x80"), 1},
    {"F5", RAW("\xF5\x80\x80\x80"), 0},
    {"five bytes", RAW("\xF8\x88\x80\x80\x80"), 0},
    {"six bytes", RAW("\xFC\x84\x80\x80\x80\x80"), 0},
    {"FE", RAW("\xFE"), 0},
    {"FF", RAW("a\xFF"), 1},
    {"missing continuation", RAW("\xE2\x82z"), 2},
    {"lead after lead", RAW("\xC3\xC3"), 1},
};

/* The offset at which feeding byte by byte fails. */
static int first_bad(struct bytes text) {
    struct utf8 u;
    utf8_init(&u);
    for (size_t i = 0; i < text.len; i++)
        if (!utf8_feed(&u, bytes_of(text.ptr + i, 1)))
            return (int)i;
    return utf8_is_complete(&u) ? VALID : CUT;
}

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (first_bad(cases[i].text) != cases[i].bad_at)
            fail_msg("%s: bad at %d", cases[i].name, first_bad(cases[i].text));
        assert_int_equal(utf8_is_valid(cases[i].text), cases[i].bad_at == VALID);
    }
}

static void test_every_split(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t cut = 0; cut <= cases[i].text.len; cut++) {
            struct utf8 u;
            utf8_init(&u);
            bool is_good = utf8_feed(&u, bytes_head(cases[i].text, cut)) &&
                           utf8_feed(&u, bytes_from(cases[i].text, cut));
            assert_int_equal(is_good, cases[i].bad_at < 0);
            if (is_good)
                assert_int_equal(utf8_is_complete(&u), cases[i].bad_at == VALID);
        }
    }
}

/* By decoding, not by tables: the value must need just that many bytes and be a scalar value. */
static bool reference(const unsigned char *p, size_t len) {
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < len;) {
        int more = p[i] < 0x80             ? 0
                   : (p[i] & 0xE0) == 0xC0 ? 1
                   : (p[i] & 0xF0) == 0xE0 ? 2
                   : (p[i] & 0xF8) == 0xF0 ? 3
                                           : -1;
        if (more < 0 || len - i <= (size_t)more)
            return false;
        uint32_t value = more == 0 ? p[i] : p[i] & (0x3Fu >> more);
        for (int k = 1; k <= more; k++) {
            if ((p[i + (size_t)k] & 0xC0) != 0x80)
                return false;
            value = value << 6 | (p[i + (size_t)k] & 0x3F);
        }
        if (value < least[more] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
            return false;
        i += 1 + (size_t)more;
    }
    return true;
}

static uint32_t seed = 1;

static uint32_t draw(uint32_t below) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

/* Bytes near the borders of the grammar, so that long valid runs do happen. */
static void test_random_against_reference(void **state) {
    (void)state;
    static const char *const parts[] = {"a",
                                        "12345678",
                                        "\xC3\xA4",
                                        "\xE2\x82\xAC",
                                        "\xF0\x9F\x98\x80",
                                        "\xED\x9F\xBF",
                                        "\xE0\xA0\x80",
                                        "\x80",
                                        "\xF4\x8F\xBF\xBF",
                                        "\xED\xA0\x80"};
    size_t valid = 0;
    for (int round = 0; round < 200000; round++) {
        unsigned char text[128];
        size_t len = 0;
        for (uint32_t n = draw(10); n > 0; n--) {
            const char *part = parts[draw(draw(8) == 0 ? ARRAY_LEN(parts) : 7)];
            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        if (len > 0 && draw(4) == 0)
            text[draw((uint32_t)len)] = (unsigned char)draw(256);
        if (len > 0 && draw(8) == 0)
            len -= 1;
        bool want = reference(text, len);
        valid += want;
        assert_int_equal(utf8_is_valid(bytes_of(text, len)), want);
    }
    assert_true(valid > 50000 && valid < 195000);
}

/* All texts of up to three bytes, and those of four that start with a lead of four. */
static void test_exhaustive(void **state) {
    (void)state;
    for (uint32_t value = 0; value < 1u << 24; value++) {
        unsigned char text[3] = {(unsigned char)(value >> 16), (unsigned char)(value >> 8),
                                 (unsigned char)value};
        if (utf8_is_valid(bytes_of(text, 3)) != reference(text, 3))
            fail_msg("%06x", value);
    }
    for (uint32_t value = 0; value < 1u << 27; value += 7) {
        unsigned char text[4] = {(unsigned char)(0xF0 | value >> 24), (unsigned char)(value >> 16),
                                 (unsigned char)(value >> 8), (unsigned char)value};
        if (utf8_is_valid(bytes_of(text, 4)) != reference(text, 4))
            fail_msg("f%07x", value);
    }
}

static void test_head(void **state) {
    (void)state;
    static const struct {
        struct bytes text;
        size_t max_bytes, want;
    } heads[] = {
        {RAW("hello"), 10, 5},    {RAW("hello"), 3, 3},       {RAW("hello"), 0, 0},
        {RAW("a\xC3\xA4"), 3, 3}, {RAW("a\xC3\xA4"), 2, 1},   {RAW("\xF0\x9F\x98\x80"), 3, 0},
        {RAW("ok\xFFno"), 10, 2}, {RAW("ok\xE2\x82"), 10, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        assert_int_equal(utf8_head(heads[i].text, heads[i].max_bytes).len, heads[i].want);
}

static void test_from_latin1(void **state) {
    (void)state;
    struct buf out = {0};
    utf8_from_latin1(BYTES_LIT("a\x7F\x80\xBF\xC0\xE9\xFF"), &out);
    assert_true(bytes_equal_str(buf_bytes(&out), "a\x7F\xC2\x80\xC2\xBF\xC3\x80\xC3\xA9\xC3\xBF"));
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_random_against_reference),
        cmocka_unit_test(test_exhaustive),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_from_latin1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
