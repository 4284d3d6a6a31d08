/* test_redis_access.c - what the settings say about the way into Redis, and files that are replaced
 * meanwhile. TLS itself is in tests/e2e/test_redis_access.py. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/settings.h"
#include "common/bus/redis/redis_access.h"

static char folder[64], file[80], other[80];

static void write_file(const char *path, const char *text) {
    char fresh[100];
    snprintf(fresh, sizeof(fresh), "%s.fresh", path);
    FILE *f = fopen(fresh, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
    assert_int_equal(rename(fresh, path), 0);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/signalbox-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/password", folder);
    snprintf(other, sizeof(other), "%s/sentinel", folder);
    write_file(file, "one\n");
    write_file(other, "watch\n");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(file);
    unlink(other);
    return rmdir(folder);
}

static void read_access(struct redis_url *out, const char *url, const struct settings *s) {
    char error[REDIS_ACCESS_ERROR];
    if (redis_access_read(out, url, s, error) != 0)
        fail_msg("%s", error);
}

static void assert_login(const struct redis_url *url, bool is_sentinel, const char *user,
                         const char *password) {
    struct redis_login login;
    assert_true(redis_access_login(url, is_sentinel, &login));
    assert_string_equal(login.user, user);
    assert_string_equal(login.password, password);
}

/* Settings that were never parsed are empty. */
static void needs_no_login(void **state) {
    struct settings none = {0};
    struct redis_url url;
    struct redis_login login;
    (void)state;
    read_access(&url, "redis://h", &none);
    assert_false(redis_access_login(&url, false, &login));
    read_access(&url, "redis+sentinel://a/m", &none);
    assert_false(redis_access_login(&url, true, &login));
}

static void sentinels_are_told_the_servers_login(void **state) {
    struct settings none = {0};
    struct settings own = {.redis_sentinel_user = "guest", .redis_sentinel_password_file = other};
    struct redis_url url;
    (void)state;
    read_access(&url, "redis+sentinel://u:p@a/m", &none);
    assert_login(&url, false, "u", "p");
    assert_login(&url, true, "u", "p");
    read_access(&url, "redis+sentinel://u:p@a/m?sentinel_password=s", &none);
    assert_login(&url, false, "u", "p");
    assert_login(&url, true, "", "s");
    read_access(&url, "redis+sentinel://u:p@a/m?sentinel_user=x&sentinel_password=s", &own);
    assert_login(&url, false, "u", "p");
    assert_login(&url, true, "guest", "watch");
}

/* The file wins over the URL, and is read at each login; what cannot be read leaves the last. */
static void passwords_are_read_again(void **state) {
    struct settings s = {.redis_password_file = file};
    struct redis_url url;
    (void)state;
    read_access(&url, "redis://u:p@h", &s);
    assert_login(&url, false, "u", "one");
    write_file(file, "two\n");
    assert_login(&url, false, "u", "two");
    assert_null(redis_access_reload(&url));
    unlink(file);
    assert_login(&url, false, "u", "two");
    char *error = redis_access_reload(&url);
    assert_non_null(strstr(error, "--redis-password-file="));
    free(error);
    write_file(file, "\n");
    assert_login(&url, false, "u", "two");
    write_file(file, "three\n");
    assert_login(&url, false, "u", "three");
}

static bool is_same(const struct redis_access_stamp *a, const struct redis_access_stamp *b) {
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void stamps_tell_files_apart(void **state) {
    struct settings s = {.redis_ca = file};
    struct redis_url url;
    struct redis_access_stamp first, second, third;
    (void)state;
    read_access(&url, "rediss://h", &s);
    redis_access_stamp(&url, &first);
    redis_access_stamp(&url, &second);
    assert_true(is_same(&first, &second));
    write_file(file, "one\n");
    redis_access_stamp(&url, &second);
    assert_false(is_same(&first, &second));
    free(redis_access_reload(&url));
    redis_access_stamp(&url, &third);
    assert_false(is_same(&second, &third));
}

static void what_does_not_fit(void **state) {
    char long_path[REDIS_FILE_MAX + 1];
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    const struct {
        const char *url;
        struct settings s;
        const char *error;
    } rows[] = {
        {"http://h", {0}, "--redis: the Redis URL is wrong: it begins with"},
        {"redis://h", {.redis_cert = file}, "a client certificate needs rediss://"},
        {"rediss://h", {.redis_key = file}, "needs --redis-cert"},
        {"redis://h", {.redis_sentinel_user = "x"}, "is for redis+sentinel:// only"},
        {"redis://h", {.redis_sentinel_password_file = other}, "is for redis+sentinel:// only"},
        {"redis+sentinel://h/m", {.redis_sentinel_user = long_path}, "longer than 127 bytes"},
        {"rediss://h", {.redis_ca = long_path}, "the path is longer than 511 bytes"},
        {"redis://h", {.redis_password_file = "/nowhere"}, "=/nowhere: No such file"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct redis_url url;
        char error[REDIS_ACCESS_ERROR];
        assert_int_equal(redis_access_read(&url, rows[i].url, &rows[i].s, error), -EINVAL);
        if (strstr(error, rows[i].error) == NULL)
            fail_msg("%s instead of %s", error, rows[i].error);
    }
}

static void the_longest_path_fits(void **state) {
    char path[REDIS_FILE_MAX], error[REDIS_ACCESS_ERROR] = "";
    struct redis_url url;
    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    struct settings s = {.redis_ca = path};
    if (redis_access_read(&url, "rediss://h", &s, error) != 0)
        assert_null(strstr(error, "longer than"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_no_login),
        cmocka_unit_test(sentinels_are_told_the_servers_login),
        cmocka_unit_test(passwords_are_read_again),
        cmocka_unit_test(stamps_tell_files_apart),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(the_longest_path_fits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
