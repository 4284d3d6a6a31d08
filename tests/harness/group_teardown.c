/*
 * cmocka prints that a group's teardown failed, and counts it as nothing. Linked into each unit test
 * (cmake/testing.cmake), this stands in front of it and counts such a failure as one more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static CMFixtureFunction torn_down;
static bool is_down;

static int tear_down(void **state) {
    int result = torn_down(state); /* or a failed assertion leaves from in there */
    is_down = result == 0;
    return result;
}

int __real__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);

int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown) {
    torn_down = teardown;
    is_down = teardown == NULL;
    int failed = __real__cmocka_run_group_tests(name, tests, count, setup,
                                                teardown != NULL ? tear_down : NULL);
    return failed + !is_down;
}
