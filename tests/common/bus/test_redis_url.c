#include "common/bus/redis_url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void good_urls(void **state) {
    (void)state;
    static const struct {
        const char *text, *path, *host, *master, *user, *password, *shown;
        int port, db, is_tls;
    } cases[] = {
        {"redis://h", "", "h", "", "", "", "redis://h:6379", 6379, 0, 0},
        {"redis://h/", "", "h", "", "", "", "redis://h:6379", 6379, 0, 0},
        {"redis://127.0.0.1:17/3", "", "127.0.0.1", "", "", "", "redis://127.0.0.1:17/3", 17, 3, 0},
        {"redis://:pass@h", "", "h", "", "", "pass", "redis://h:6379", 6379, 0, 0},
        {"redis://joe:a%2fb%40c:d@h:1", "", "h", "", "joe", "a/b@c:d", "redis://joe@h:1", 1, 0, 0},
        {"redis://joe:p@ss@h", "", "h", "", "joe", "p@ss", "redis://joe@h:6379", 6379, 0, 0},
        {"redis://joe@h", "", "h", "", "joe", "", "redis://joe@h:6379", 6379, 0, 0},
        {"rediss://h:6380", "", "h", "", "", "", "rediss://h:6380", 6380, 0, 1},
        {"redis://[::1]", "", "::1", "", "", "", "redis://[::1]:6379", 6379, 0, 0},
        {"redis://[fe80::1]:7/2", "", "fe80::1", "", "", "", "redis://[fe80::1]:7/2", 7, 2, 0},
        {"unix:///run/redis.sock", "/run/redis.sock", "", "", "", "", "unix:///run/redis.sock", 0,
         0, 0},
        {"unix:///a%20b?db=4&password=x%26y&user=joe", "/a b", "", "", "joe", "x&y",
         "unix:///a b?db=4", 0, 4, 0},
        {"redis+sentinel://s1/main", "", "s1", "main", "", "", "redis+sentinel://s1:26379/main",
         26379, 0, 0},
        {"redis+sentinel://u:p@s1,s2:7,[::1]:8/main/5", "", "s1", "main", "u", "p",
         "redis+sentinel://u@s1:26379,s2:7,[::1]:8/main/5", 26379, 5, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct redis_url url;
        char error[200], shown[600];
        assert_int_equal(redis_url_parse(&url, cases[i].text, error), 0);
        assert_string_equal(error, "");
        assert_string_equal(url.path, cases[i].path);
        assert_string_equal(url.hosts[0].host, cases[i].host);
        assert_int_equal(url.hosts[0].port, cases[i].port);
        assert_string_equal(url.master, cases[i].master);
        assert_string_equal(url.user, cases[i].user);
        assert_string_equal(url.password, cases[i].password);
        assert_int_equal(url.db, cases[i].db);
        assert_int_equal(url.is_tls, cases[i].is_tls);
        redis_url_show(&url, shown);
        assert_string_equal(shown, cases[i].shown);
    }
}

static void lists_sentinels(void **state) {
    (void)state;
    struct redis_url url;
    char error[200];
    assert_int_equal(redis_url_parse(&url, "redis+sentinel://a,b:7,[::1]:8/main", error), 0);
    assert_int_equal(url.host_count, 3);
    assert_string_equal(url.hosts[1].host, "b");
    assert_int_equal(url.hosts[1].port, 7);
    assert_string_equal(url.hosts[2].host, "::1");
    assert_int_equal(url.hosts[2].port, 8);
}

static void bad_urls(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        "h:6379",
        "http://h",
        "redis://",
        "redis:///0",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h:",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/0/1",
        "redis://h/65536",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[]",
        "redis://:SECRET%2@h",
        "redis://:SECRET%zz@h",
        "redis://:SECRET%00@h",
        "redis://:SECRET@",
        "redis://a b%0a",
        "redis://a,b",
        "unix://",
        "unix://relative",
        "unix:///",
        "unix:///a?port=SECRET",
        "unix:///a?password=SECRET%0",
        "unix:///a?db=x",
        "unix:///"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "redis+sentinel://",
        "redis+sentinel://h",
        "redis+sentinel://h/",
        "redis+sentinel:///main",
        "redis+sentinel://a,,b/main",
        "redis+sentinel://a,/main",
        "redis+sentinel://1,2,3,4,5,6,7,8,9/m",
        "redis+sentinel://a/main/x"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct redis_url url;
        char error[200] = "";
        if (redis_url_parse(&url, cases[i], error) != -EINVAL)
            fail_msg("taken: %s", cases[i]);
        assert_true(error[0] != '\0');
        assert_null(strchr(error, '\n'));
        assert_null(strstr(error, "SECRET"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls), cmocka_unit_test(lists_sentinels), cmocka_unit_test(bad_urls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
