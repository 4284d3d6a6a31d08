/* What fails in the teardown of a group fails the test binary. The failures printed are meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static int is_fine(void **state) {
    (void)state;
    return 0;
}

static int says_no(void **state) {
    (void)state;
    return -1;
}

static int asserts(void **state) {
    (void)state;
    assert_true(false);
    return 0;
}

static void passes(void **state) {
    (void)state;
}

static void fails(void **state) {
    (void)state;
    assert_true(false);
}

int main(void) {
    static const struct {
        void (*test)(void **);
        CMFixtureFunction setup, teardown;
        int failed;
    } rows[] = {
        {passes, NULL, NULL, 0},    {passes, is_fine, is_fine, 0}, {passes, NULL, says_no, 1},
        {passes, NULL, asserts, 1}, {fails, NULL, is_fine, 1},     {fails, NULL, asserts, 2},
        {passes, NULL, is_fine, 0}, {fails, NULL, NULL, 1},        {passes, is_fine, says_no, 1}};
    int wrong = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(rows[i].test)};
        int failed = cmocka_run_group_tests(tests, rows[i].setup, rows[i].teardown);
        if (failed != rows[i].failed) {
            fprintf(stderr, "row %zu: %d failed, not %d\n", i, failed, rows[i].failed);
            wrong++;
        }
    }
    return wrong;
}
