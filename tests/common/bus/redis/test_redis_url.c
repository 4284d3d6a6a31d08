#include "common/bus/redis/redis_url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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
        "redis+sentinel://a/main/x",
        "redis+sentinel://a/main?db=1",
        "redis+sentinel://a/main?sentinel_password=SECRET%0",
        "rediss+sentinel://a"};
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

static void bounds(void **state) {
    static const struct {
        const char *fits, *does_not;
    } rows[] = {
        {"redis+sentinel://1,2,3,4,5,6,7,8/m", "redis+sentinel://1,2,3,4,5,6,7,8,9/m"},
        {"redis://h/65535", "redis://h/65536"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct redis_url url;
        char error[200];
        assert_int_equal(redis_url_parse(&url, rows[i].fits, error), 0);
        assert_int_equal(redis_url_parse(&url, rows[i].does_not, error), -EINVAL);
    }
}

/* What a part holds at most, and one beyond; %s stands for it. */
static void lengths(void **state) {
    static const struct {
        const char *format;
        size_t most;
    } rows[] = {{"redis://%s:p@h", 127},
                {"redis://%s/1", 255},
                {"redis://u:%s@h", SECRET_FILE_MAX},
                {"redis+sentinel://h/%s", 127},
                {"unix:///%s", 106},
                {"unix:///a?user=%s", 127},
                {"unix:///a?password=%s", SECRET_FILE_MAX},
                {"redis+sentinel://h/m?sentinel_user=%s", 127},
                {"redis+sentinel://h/m?sentinel_password=%s", SECRET_FILE_MAX}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t beyond = 0; beyond <= 1; beyond++) {
            struct redis_url url;
            char error[200], part[SECRET_FILE_MAX + 2], text[SECRET_FILE_MAX + 100];
            memset(part, 'x', rows[i].most + beyond);
            part[rows[i].most + beyond] = '\0';
            snprintf(text, sizeof(text), rows[i].format, part);
            if (redis_url_parse(&url, text, error) != (beyond ? -EINVAL : 0))
                fail_msg("%s with %zu bytes: %s", rows[i].format, strlen(part), error);
        }
    }
}

static void escapes(void **state) {
    static const struct {
        const char *escaped, *password; /* NULL: refused */
    } rows[] = {{"a%41%5a", "aAZ"}, {"%20%7e%7E", " ~~"}, {"%ff%C3%A4", "\xff\xc3\xa4"},
                {"%25", "%"},       {"%2541", "%41"},     {"%1f", NULL},
                {"%7f", NULL},      {"%00", NULL},        {"%", NULL},
                {"%4", NULL},       {"%4g", NULL},        {"%g4", NULL}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct redis_url url;
        char error[200], text[100];
        snprintf(text, sizeof(text), "redis://:%s@h", rows[i].escaped);
        int result = redis_url_parse(&url, text, error);
        if (result != (rows[i].password == NULL ? -EINVAL : 0))
            fail_msg("%s: %s", text, error);
        if (rows[i].password != NULL)
            assert_string_equal(url.password, rows[i].password);
    }
}

static void sentinels_with_a_login(void **state) {
    struct redis_url url;
    char error[200], shown[600];
    (void)state;
    assert_int_equal(redis_url_parse(&url, "redis+sentinel://u:p@a,b/main/2", error), 0);
    assert_false(url.has_sentinel_login || url.is_tls);
    assert_int_equal(redis_url_parse(&url,
                                     "rediss+sentinel://u:p@a,b/main/2?sentinel_user=s"
                                     "&sentinel_password=a%26b",
                                     error),
                     0);
    assert_true(url.has_sentinel_login && url.is_tls);
    assert_string_equal(url.user, "u");
    assert_string_equal(url.password, "p");
    assert_string_equal(url.sentinel_user, "s");
    assert_string_equal(url.sentinel_password, "a&b");
    assert_string_equal(url.master, "main");
    assert_int_equal(url.db, 2);
    assert_int_equal(url.host_count, 2);
    redis_url_show(&url, shown);
    assert_string_equal(shown, "rediss+sentinel://u@a:26379,b:26379/main/2");
}

static void fingerprint(const char *text, const char *prefix, char out[FLEET_FINGERPRINT_SIZE]) {
    struct redis_url url;
    char error[200];
    assert_int_equal(redis_url_parse(&url, text, error), 0);
    redis_url_fingerprint(&url, prefix, out);
    assert_int_equal(strlen(out), FLEET_FINGERPRINT_SIZE - 1);
    assert_null(strchr(out, '/'));
}

static void fingerprints(void **state) {
    static const struct {
        const char *url, *prefix, *other_url, *other_prefix;
        bool is_same;
    } rows[] = {
        {"redis://h", "", "redis://H:6379/0", "", true},
        {"redis://h", "", "redis://joe:secret@h", "", true},
        {"redis://localhost", "", "redis://127.0.0.1", "", true},
        {"redis://localhost", "", "redis://[::1]", "", true},
        {"unix:///proc/self/cwd/a.sock", "", "unix:///proc/self/cwd/./a.sock", "", true},
        {"unix:///proc/self/root/a.sock", "", "unix:///a.sock", "", true},
        {"unix:///proc/../a.sock", "", "unix:///a.sock", "", true},
        {"unix:///nowhere/x.sock?password=a", "", "unix:///nowhere/x.sock", "", true},
        {"redis+sentinel://a,b:1/m", "", "redis+sentinel://b:1,a:26379/m", "", true},
        {"redis://LOCALHOST", "", "redis://127.255.0.9", "", true},
        {"redis+sentinel://a:2,a:1/m", "", "redis+sentinel://A:1,a:2/m", "", true},
        {"redis://localhost:1", "", "redis://localhost", "", false},
        {"redis://localhostx", "", "redis://localhost", "", false},
        {"redis://128.0.0.1", "", "redis://localhost", "", false},
        {"redis+sentinel://a,b/m", "", "redis+sentinel://a/m", "", false},
        {"redis+sentinel://a/M", "", "redis+sentinel://a/m", "", false},
        {"redis://h/1", "2", "redis://h/12", "", false},
        {"redis://h", "", "redis://h/1", "", false},
        {"redis://h", "", "redis://h", "a:", false},
        {"redis://h", "", "redis://h:6380", "", false},
        {"redis://h", "", "redis://g", "", false},
        {"redis+sentinel://a/m", "", "redis+sentinel://a/n", "", false},
        {"unix:///nowhere/x.sock", "", "unix:///nowhere/y.sock", "", false},
        {"unix:///nowhere/x.sock", "", "unix:///nowhere/x.sock?db=2", "", false},
    };
    char one[FLEET_FINGERPRINT_SIZE], other[FLEET_FINGERPRINT_SIZE];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fingerprint(rows[i].url, rows[i].prefix, one);
        fingerprint(rows[i].other_url, rows[i].other_prefix, other);
        if ((strcmp(one, other) == 0) != rows[i].is_same)
            fail_msg("%s and %s", rows[i].url, rows[i].other_url);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_urls),
                                       cmocka_unit_test(lists_sentinels),
                                       cmocka_unit_test(bad_urls),
                                       cmocka_unit_test(bounds),
                                       cmocka_unit_test(lengths),
                                       cmocka_unit_test(escapes),
                                       cmocka_unit_test(sentinels_with_a_login),
                                       cmocka_unit_test(fingerprints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
