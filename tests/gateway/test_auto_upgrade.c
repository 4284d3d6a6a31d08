/* test_auto_upgrade.c - the Name of a path, as the reference observed it. */
#include "gateway/auto_upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_name(const char *path, const char *expected) {
    struct buf name = {0};
    auto_upgrade_name(bytes_str(path), &name);
    buf_append_char(&name, '\0');
    assert_string_equal(name.ptr, expected);
    buf_deinit(&name);
}

static void names_of_paths(void **state) {
    (void)state;
    assert_name("/messages", "/messages");
    assert_name("/", "/");
    assert_name("/a/../b", "/b");
    assert_name("/a/./b/", "/a/b/");
    assert_name("/..", "/");
    assert_name("/a/b/..", "/a/");
    assert_name("/%41bc", "/Abc");
    assert_name("/a%2Fb", "/a%2Fb");
    assert_name("/a%20b", "/a%20b");
    assert_name("/x%zz", "/x%25zz");
    assert_name("/x%4", "/x%254");
    assert_name("/Case", "/Case");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_of_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
