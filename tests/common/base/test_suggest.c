/* test_suggest.c - near words are found, far ones are not. */
#include "common/base/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const known[] = {"send",  "tail",  "names", "clients", "close",
                                    "level", "drain", "check", "ready",   "max-message-bytes"};

static void the_nearest_word_is_found(void **state) {
    static const struct {
        const char *word, *meant;
    } cases[] = {{"snd", "send"},
                 {"sned", "send"},
                 {"Send", "send"},
                 {"client", "clients"},
                 {"clsoe", "close"},
                 {"lvel", "level"},
                 {"max-mesage-byte", "max-message-bytes"},
                 {"drian", "drain"},
                 {"nonsense", NULL},
                 {"", NULL},
                 {"x", NULL},
                 {"send", "send"},
                 {"exec", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct suggestion s;
        suggestion_init(&s, cases[i].word);
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
            suggestion_offer(&s, known[k]);
        if (cases[i].meant == NULL)
            assert_null(suggestion_best(&s));
        else
            assert_string_equal(suggestion_best(&s), cases[i].meant);
    }
}

/* One letter of a short word, a third of a long one; the first of two that are as near. */
static void so_much_may_be_wrong(void **state) {
    static const struct {
        const char *word, *known;
        bool is_meant;
    } cases[] = {{"ab", "a", true},
                 {"ab", "c", false},
                 {"abc", "abd", true},
                 {"abc", "axy", false},
                 {"abcd", "abce", true},
                 {"abcd", "abef", false},
                 {"abcde", "abcfg", false},
                 {"abcdef", "abcdxy", true},
                 {"abcdef", "abcxyz", false},
                 {"abcdefgh", "abcdefxy", true},
                 {"abcdefgh", "abcdexyz", false},
                 {"abcdefghi", "abcdefxyz", true},
                 {"abcdefghi", "abcdewxyz", false},
                 {"abcdef", "bacdfe", true},
                 {"abcdef", "abcdefxy", true},
                 {"abcdef", "cdef", true},
                 {"abc", "cba", false},
                 {"ba", "ab", true},
                 {"a", "", true}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct suggestion s;
        suggestion_init(&s, cases[i].word);
        suggestion_offer(&s, cases[i].known);
        if ((suggestion_best(&s) != NULL) != cases[i].is_meant)
            fail_msg("%s for %s", cases[i].known, cases[i].word);
        suggestion_offer(&s, cases[i].known);
    }
    struct suggestion s;
    suggestion_init(&s, "abcd");
    suggestion_offer(&s, "abce");
    suggestion_offer(&s, "abcf");
    assert_string_equal(suggestion_best(&s), "abce");
    suggestion_offer(&s, "abcd");
    assert_string_equal(suggestion_best(&s), "abcd");
}

static void long_words_are_bounded(void **state) {
    char word[1000];
    struct suggestion s;
    (void)state;
    memset(word, 'a', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    suggestion_init(&s, word);
    suggestion_offer(&s, word);
    assert_null(suggestion_best(&s));
    word[SUGGEST_WORD_MAX] = '\0';
    suggestion_offer(&s, word);
    assert_string_equal(suggestion_best(&s), word);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_word_is_found),
        cmocka_unit_test(so_much_may_be_wrong),
        cmocka_unit_test(long_words_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
