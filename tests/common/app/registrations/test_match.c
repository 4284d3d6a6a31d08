/* test_match.c - which route and which signal route a path finds. S103, S107, S111, S112 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/app/registrations/registrations.h"
#include "common/base/must.h"

static void test_patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool is_match;
    } rows[] = {
        {"/Date", "/date", true},     {"/date", "/date/", false},  {"/room/*", "/room/2", true},
        {"/room/*", "/room/", true},  {"/room/*", "/room", false}, {"*", "/anything", true},
        {"/a*b*c", "/aXXbYYc", true}, {"/a*b*c", "/abbbb", false}, {"/*/x", "/a/b/x", true},
        {"/r/:id", "/r/7", false},    {"/r/:id", "/r/:ID", true},  {"/a.b", "/axb", false},
        {"/a**", "/a", true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(signal_route_matches(rows[i].pattern, rows[i].path), rows[i].is_match);
}

/* A pattern made to be slow is not. */
static void test_hostile_pattern_is_linear(void **state) {
    (void)state;
    char pattern[402], path[20002];
    for (int i = 0; i < 400; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[400] = 'b';
    pattern[401] = '\0';
    memset(path, 'a', 20000);
    path[20000] = '\0';
    assert_false(signal_route_matches(pattern, path));
}

static void test_signal_routes(void **state) {
    (void)state;
    struct signal_route items[] = {{"/room/*", NULL, 1, 0},
                                   {"/room/1", NULL, 2, 0},
                                   {"/room/1", "main", 3, 0},
                                   {"/only", "main", 4, 0},
                                   {"/onl*", NULL, 5, 0}};
    struct registrations r = {.signal_routes = {items, ARRAY_LEN(items)}};
    assert_int_equal(registrations_signal_route(&r, "/room/1", NULL)->function, 2);
    assert_int_equal(registrations_signal_route(&r, "/room/1", "MAIN")->function, 3);
    assert_int_equal(registrations_signal_route(&r, "/room/1", "other")->function, 2);
    assert_int_equal(registrations_signal_route(&r, "/room/2", "main")->function, 1);
    assert_int_equal(registrations_signal_route(&r, "/only", "main")->function, 4);
    assert_null(
        registrations_signal_route(&r, "/only", "other")); /* the first matching key decides */
    assert_null(registrations_signal_route(&r, "/none", NULL));
}

static void test_routes(void **state) {
    (void)state;
    struct route items[] = {{"GET", "/users/:id", NULL, 1}, {"GET", "/users/me", NULL, 2},
                            {"GET", "/files/*", NULL, 3},   {"POST", "/", NULL, 4},
                            {"*", "/any", NULL, 5},         {"GET", "/e", "api", 6},
                            {"GET", "/u/:a/p/:b", NULL, 7}};
    struct registrations r = {.routes = {items, ARRAY_LEN(items)}};
    struct route_param params[ROUTE_PARAMS_MAX];
    size_t count;
    bool other;
    assert_int_equal(
        registrations_route(&r, "GET", "/users/7", NULL, params, &count, &other)->function, 1);
    assert_int_equal(count, 1);
    assert_memory_equal(params[0].value, "7", 1);
    assert_memory_equal(params[0].name, "id", 2);
    assert_int_equal(
        registrations_route(&r, "GET", "/users/me", NULL, params, &count, &other)->function, 2);
    assert_int_equal(
        registrations_route(&r, "HEAD", "/users/me", NULL, params, &count, &other)->function, 2);
    assert_int_equal(
        registrations_route(&r, "GET", "/files/a/b", NULL, params, &count, &other)->function, 3);
    assert_null(registrations_route(&r, "GET", "/", NULL, params, &count, &other));
    assert_true(other);
    assert_int_equal(
        registrations_route(&r, "DELETE", "/any", NULL, params, &count, &other)->function, 5);
    assert_null(registrations_route(&r, "GET", "/e", NULL, params, &count, &other));
    assert_false(other);
    assert_int_equal(registrations_route(&r, "GET", "/e", "api", params, &count, &other)->function,
                     6);
    assert_int_equal(
        registrations_route(&r, "GET", "/u/1/p/22", NULL, params, &count, &other)->function, 7);
    assert_int_equal(count, 2);
    assert_int_equal(params[1].value_len, 2);
    assert_null(registrations_route(&r, "GET", "/users/", NULL, params, &count, &other));
    assert_null(registrations_route(&r, "GET", "/users/7/x", NULL, params, &count, &other));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_hostile_pattern_is_linear),
        cmocka_unit_test(test_signal_routes),
        cmocka_unit_test(test_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
