/* test_registrations.c - which route and which signal route a path finds. S103, S107, S111, S112 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/app/registrations/registrations.h"
#include "common/base/must.h"

static bool matches(const char *pattern, const char *path) {
    struct signal_route route = {(char *)pattern, NULL, 1, 0};
    struct registrations r = {.signal_routes = {&route, 1}};
    return registrations_signal_route(&r, path, NULL) != NULL;
}

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
        assert_int_equal(matches(rows[i].pattern, rows[i].path), rows[i].is_match);
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
    assert_false(matches(pattern, path));
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
    struct route_match m;
    m = registrations_route(&r, "GET", "/users/7", NULL);
    assert_int_equal(m.route->function, 1);
    assert_int_equal(m.param_count, 1);
    assert_memory_equal(m.params[0].value, "7", 1);
    assert_memory_equal(m.params[0].name, "id", 2);
    m = registrations_route(&r, "GET", "/users/me", NULL);
    assert_int_equal(m.route->function, 2);
    m = registrations_route(&r, "HEAD", "/users/me", NULL);
    assert_int_equal(m.route->function, 2);
    m = registrations_route(&r, "GET", "/files/a/b", NULL);
    assert_int_equal(m.route->function, 3);
    m = registrations_route(&r, "GET", "/", NULL);
    assert_null(m.route);
    assert_true(m.has_other_method);
    m = registrations_route(&r, "DELETE", "/any", NULL);
    assert_int_equal(m.route->function, 5);
    m = registrations_route(&r, "GET", "/e", NULL);
    assert_null(m.route);
    assert_false(m.has_other_method);
    m = registrations_route(&r, "GET", "/e", "api");
    assert_int_equal(m.route->function, 6);
    m = registrations_route(&r, "GET", "/u/1/p/22", NULL);
    assert_int_equal(m.route->function, 7);
    assert_int_equal(m.param_count, 2);
    assert_int_equal(m.params[1].value_len, 2);
    m = registrations_route(&r, "GET", "/users/", NULL);
    assert_null(m.route);
    m = registrations_route(&r, "GET", "/users/7/x", NULL);
    assert_null(m.route);
}

/* What a pattern's segment takes: nothing, one letter, one too many. */
static void test_segments(void **state) {
    static const struct {
        char *pattern;
        const char *path;
        int params; /* -1: does not match */
    } cases[] = {
        {"/:", "/:", 0},     {"/:", "/x", -1},       {"/:a", "/x", 1},     {"/:a", "/", -1},
        {"/:a", "/:a", 1},   {"/*", "/", 0},         {"/*", "/a/b", 0},    {"/a*", "/ab", -1},
        {"/a*", "/a*", 0},   {"/*/b", "/a/b", -1},   {"/ab", "/AB", 0},    {"/ab", "/abc", -1},
        {"/abc", "/ab", -1}, {"/a/:b", "/a/b/", -1}, {"/:a/*", "/x/y", 1}, {"/", "/", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route route = {.method = "GET", .path = cases[i].pattern, .function = 1};
        struct registrations r = {.routes = {&route, 1}};
        struct route_match m = registrations_route(&r, "GET", cases[i].path, NULL);
        int params = m.route != NULL ? (int)m.param_count : -1;
        if (params != cases[i].params)
            fail_msg("%s against %s: %d", cases[i].pattern, cases[i].path, params);
    }
}

/* Of two that are as exact the first one counts; HEAD is answered by what answers GET. */
static void test_which_route_counts(void **state) {
    static const struct {
        const char *method, *path;
        int function; /* 0: none */
        bool has_other_method;
    } rows[] = {
        {"GET", "/a/x", 1, false},  {"GET", "/b", 3, false},     {"HEAD", "/p", 0, true},
        {"POST", "/p", 5, false},   {"post", "/p", 5, false},    {"HEAD", "/g", 6, true},
        {"GET", "/g", 6, true},     {"PUT", "/g", 0, true},      {"HEAD", "/all", 8, false},
        {"GET", "/none", 0, false}, {"HEAD", "/none", 0, false}, {"GET", "/c/d", 9, false},
    };
    struct route items[] = {
        {"GET", "/a/:x", NULL, 1},  {"GET", "/a/:y", NULL, 2}, {"GET", "/b", NULL, 3},
        {"GET", "/b", NULL, 4},     {"POST", "/p", NULL, 5},   {"GET", "/g", NULL, 6},
        {"POST", "/g", NULL, 7},    {"*", "/all", NULL, 8},    {"GET", "/c/d", NULL, 9},
        {"GET", "/c/:d", NULL, 10}, {"GET", "/c/*", NULL, 11},
    };
    struct registrations r = {.routes = {items, ARRAY_LEN(items)}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route_match m = registrations_route(&r, rows[i].method, rows[i].path, NULL);
        int function = m.route != NULL ? m.route->function : 0;
        if (function != rows[i].function || m.has_other_method != rows[i].has_other_method)
            fail_msg("%s %s: %d", rows[i].method, rows[i].path, function);
    }
}

static void test_placeholders_have_a_bound(void **state) {
    char pattern[200] = "", path[200] = "";
    (void)state;
    for (int i = 0; i <= ROUTE_PARAMS_MAX; i++) {
        struct route route = {.method = "GET", .path = pattern, .function = 1};
        struct registrations r = {.routes = {&route, 1}};
        strcat(pattern, "/:a");
        strcat(path, "/x");
        struct route_match m = registrations_route(&r, "GET", path, NULL);
        assert_int_equal(m.route != NULL, i < ROUTE_PARAMS_MAX);
        if (m.route != NULL)
            assert_int_equal(m.param_count, i + 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_hostile_pattern_is_linear),
        cmocka_unit_test(test_signal_routes),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_which_route_counts),
        cmocka_unit_test(test_placeholders_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
