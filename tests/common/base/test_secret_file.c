/* One reader for every secret in a file: what it takes, and what it refuses with which words. */
#include "common/base/secret_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/bytes.h"

static char folder[64], path[96];

static void write_file(struct bytes content) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content.ptr, 1, content.len, file), content.len);
    fclose(file);
}

static int read_back(struct bytes content, char *text, char *why) {
    write_file(content);
    return secret_file_read(path, text, why);
}

static void takes_the_first_line(void **state) {
    static const struct {
        struct bytes content;
        const char *secret;
    } cases[] = {
        {BYTES_LIT("secret"), "secret"},
        {BYTES_LIT("secret\n"), "secret"},
        {BYTES_LIT("secret\r\n"), "secret"},
        {BYTES_LIT("secret\r"), "secret"},
        {BYTES_LIT("secret\nanother line\n"), "secret"},
        {BYTES_LIT("\xef\xbb\xbfsecret\r\n"), "secret"},
        {BYTES_LIT(" se cret \n"), " se cret "},
        {BYTES_LIT("se\rcret\n"), "se\rcret"},
        {BYTES_LIT("s\xc3\xa9same\n"), "s\xc3\xa9same"},
    };
    char text[SECRET_FILE_MAX + 1], why[SECRET_FILE_WHY];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(read_back(cases[i].content, text, why), 0);
        assert_string_equal(text, cases[i].secret);
    }
}

static void refuses_with_a_reason(void **state) {
    static const struct {
        struct bytes content;
        int result;
        const char *why;
    } cases[] = {
        {BYTES_LIT(""), -ENODATA, "its first line is empty"},
        {BYTES_LIT("\nsecret\n"), -ENODATA, "its first line is empty"},
        {BYTES_LIT("\r\n"), -ENODATA, "its first line is empty"},
        {BYTES_LIT("\xef\xbb\xbf"), -ENODATA, "its first line is empty"},
        {BYTES_LIT("s\0e\0c\0"), -EINVAL, "its first line holds a NUL byte: is it UTF-16?"},
    };
    char text[SECRET_FILE_MAX + 1], why[SECRET_FILE_WHY];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(read_back(cases[i].content, text, why), cases[i].result);
        assert_string_equal(why, cases[i].why);
        assert_string_equal(text, "");
    }
}

/* At the bound it is whole, one byte beyond it is refused, with any line end. */
static void is_whole_or_refused(void **state) {
    static const char *const ends[] = {"", "\n", "\r\n", "\nmore\n"};
    char content[SECRET_FILE_MAX + 16], text[SECRET_FILE_MAX + 1], why[SECRET_FILE_WHY];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        for (size_t len = SECRET_FILE_MAX; len > 200; len /= 2) {
            memset(content, 'x', len);
            memcpy(content + len, ends[i], strlen(ends[i]));
            struct bytes all = bytes_of(content, len + strlen(ends[i]));
            assert_int_equal(read_back(all, text, why), 0);
            assert_int_equal(strlen(text), len);
        }
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        memset(content, 'x', SECRET_FILE_MAX + 1);
        memcpy(content + SECRET_FILE_MAX + 1, ends[i], strlen(ends[i]));
        struct bytes all = bytes_of(content, SECRET_FILE_MAX + 1 + strlen(ends[i]));
        assert_int_equal(read_back(all, text, why), -E2BIG);
        assert_string_equal(why, "its first line is longer than 4096 bytes");
    }
}

static void says_what_the_system_says(void **state) {
    char text[SECRET_FILE_MAX + 1], why[SECRET_FILE_WHY];
    (void)state;
    assert_int_equal(secret_file_read("/nowhere/at/all", text, why), -ENOENT);
    assert_string_equal(why, "No such file or directory");
    assert_int_equal(secret_file_read(folder, text, why), -EISDIR);
    assert_string_equal(why, "Is a directory");
    assert_int_equal(secret_file_read("/dev/null", text, why), -ENODATA);
    assert_true(secret_file_read("/dev/zero", text, why) < 0);
}

static void expect_made(const char *secret, int result, const char *text) {
    char have[SECRET_FILE_MAX + 1], why[SECRET_FILE_WHY];
    assert_int_equal(secret_file_make(path, secret, why), result);
    assert_int_equal(secret_file_read(path, have, why), 0);
    assert_string_equal(have, text);
}

static void the_first_one_makes_it(void **state) {
    char why[SECRET_FILE_WHY], nowhere[96];
    struct stat found;
    (void)state;
    unlink(path);
    expect_made("first", 1, "first");
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    assert_int_equal(found.st_nlink, 1); /* nothing else is left */
    expect_made("second", 0, "first");
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(secret_file_make(path, "third", why), -ENODATA);
    assert_string_equal(why, "its first line is empty");
    snprintf(nowhere, sizeof(nowhere), "%s/no/secret", folder);
    assert_int_equal(secret_file_make(nowhere, "fourth", why), -ENOENT);
    assert_string_equal(why, "No such file or directory");
}

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/secret-file.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/secret", folder);
    return 0;
}

static int drop_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_first_line),   cmocka_unit_test(refuses_with_a_reason),
        cmocka_unit_test(is_whole_or_refused),    cmocka_unit_test(says_what_the_system_says),
        cmocka_unit_test(the_first_one_makes_it),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
