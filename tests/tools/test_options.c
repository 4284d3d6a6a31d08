/* test_options.c - the times of the command line; the rest of it is in test_cli.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "tools/options.h"
#include "tools/tool.h"
#include "tools/verb.h"

/* As --timeout of a verb that speaks to Redis. */
static bool parse(const char *text, int64_t *ms_out) {
    static const struct verb verb = {.name = "test", .arguments = "", .flags = VERB_REDIS};
    struct tool t = {.verb = &verb};
    char argument[64], *arguments[] = {argument, NULL};
    snprintf(argument, sizeof(argument), "--timeout=%s", text);
    enum options_result result = options_parse(&t, NULL, 1, arguments);
    *ms_out = t.timeout_ms;
    return result == OPTIONS_OK;
}

static void test_durations(void **state) {
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused, and the initial 5 s stay */
    } rows[] = {{"0", 0},      {"250", 250},   {"200ms", 200},      {"2s", 2000},
                {"1m", 60000}, {"1.5s", 1500}, {"2h", 7200000},     {"", -1},
                {"s", -1},     {"-1s", -1},    {"1 s", -1},         {"1d", -1},
                {"nan", -1},   {"inf", -1},    {"99999999999", -1}, {"1s1s", -1}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = -1;
        assert_int_equal(parse(rows[i].text, &ms), rows[i].ms >= 0);
        assert_int_equal(ms, rows[i].ms >= 0 ? rows[i].ms : 5000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_durations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
