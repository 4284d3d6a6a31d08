/* test_certificate_set.c - which certificates a client is shown, and what a reload keeps. The files
 * are made by openssl(1). */
#include "common/net/certificate_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/net/certificate.h"
#include "common/net/tls.h"
#include "tests/common/net/made_files.h"

/* Each for these names, with a key of this kind; the place in the array is its number. */
static const struct {
    const char *names, *key;
} made[] = {
    {"DNS:a.example,DNS:www.a.example", "rsa:2048"},
    {"DNS:a.example", "ec"},
    {"DNS:*.b.example,DNS:b.example", "ec"},
    {"DNS:deep.b.example", "ec"},
    {"DNS:*.b.example", "rsa:2048"},
    {"DNS:b.example", "ec"}, /* one kind of key, one name: the first counts */
    {"DNS:*.org,DNS:x*.c.example,DNS:*.*.c.example,DNS:*", "ec"},
    {"DNS:UPPER.Example,IP:127.0.0.1", "ec"},
    {"IP:127.0.0.1", "ec"},
};
enum { MADE = ARRAY_LEN(made) };

static char paths[MADE][100];

static void make(size_t i, const char *names, const char *key) {
    char line[600];
    bool is_ec = strcmp(key, "ec") == 0;
    snprintf(line, sizeof(line),
             "openssl req -x509 -newkey %s %s -nodes -keyout %s -out %s.crt -subj /CN=cn.example "
             "-days 30 -addext subjectAltName=%s >%s/log 2>&1 && cat %s.crt >>%s",
             key, is_ec ? "-pkeyopt ec_paramgen_curve:P-256" : "", paths[i], paths[i], names,
             made_folder, paths[i], paths[i]);
    assert_int_equal(system(line), 0);
}

static int make_files(void **state) {
    (void)state;
    made_folder_begin("test_certificate_set");
    for (size_t i = 0; i < MADE; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/%zu.pem", made_folder, i);
        make(i, made[i].names, made[i].key);
    }
    return 0;
}

static struct certificate_set *read_all(const struct certificate_set *old, char **error_out) {
    struct tls_files files[MADE] = {0};
    for (size_t i = 0; i < MADE; i++)
        files[i].certificate = paths[i];
    return certificate_set_new(files, MADE, old, error_out);
}

/* Their numbers, as in "01". */
static void numbers(const struct certificate_set *s, const char *host, char out[16]) {
    const struct certificate *chosen[CERTIFICATE_KINDS];
    size_t count = certificate_set_choose(s, host, chosen), at = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < certificate_set_count(s); k++)
            if (certificate_set_at(s, k) == chosen[i])
                out[at++] = (char)('0' + k);
    out[at] = '\0';
}

static void the_host_decides(void **state) {
    static const struct {
        const char *host, *numbers;
    } cases[] = {
        {"a.example", "01"},
        {"A.EXAMPLE", "01"},
        {"a.example.", "01"},
        {"www.a.example", "0"},
        {"b.example", "2"},
        {"B.Example", "2"},
        {"X.B.EXAMPLE.", "24"},
        {"x.b.example", "24"},
        {"deep.b.example", "3"}, /* itself before the wildcard */
        {"x.y.b.example", "01"}, /* a wildcard is one label */
        {".b.example", "01"},
        {"upper.example", "7"},
        {"x.org", "01"}, /* wildcards that are too wide, or partial, count for nothing */
        {"xy.c.example", "01"},
        {"x.y.c.example", "01"},
        {"*.b.example", "01"},
        {"cn.example", "01"}, /* the subject is no host */
        {"127.0.0.1", "01"},
        {"nobody.example", "01"},
        {"org", "01"},
        {"", "01"},
        {".", "01"},
        {NULL, "01"},
    };
    char *error, found[16], longest[TLS_SERVER_NAME_MAX + 2];
    static const char wildcard[] = ".b.example";
    struct certificate_set *s = read_all(NULL, &error);
    (void)state;
    assert_non_null(s);
    assert_null(error);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        numbers(s, cases[i].host, found);
        if (strcmp(found, cases[i].numbers) != 0)
            fail_msg("%s: %s", cases[i].host, found);
    }
    memset(longest, 'x', sizeof(longest));
    longest[TLS_SERVER_NAME_MAX + 1] = '\0';
    strcpy(longest + TLS_SERVER_NAME_MAX + 1 - strlen(wildcard), wildcard);
    numbers(s, longest, found);
    assert_string_equal(found, "01");
    numbers(s, longest + 1, found); /* one less is a host */
    assert_string_equal(found, "24");
    certificate_set_free(s);
}

/* Whoever names no host is shown the first one, with those of other kinds for the same name only.
 */
static void the_first_one_is_the_default(void **state) {
    static const struct {
        size_t first, second;
        const char *numbers;
    } cases[] = {{0, 1, "01"}, {1, 0, "01"}, {0, 2, "0"}, {8, 0, "0"}, {8, 8, "0"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_files files[] = {{.certificate = paths[cases[i].first]},
                                    {.certificate = paths[cases[i].second]}};
        char *error, found[16];
        struct certificate_set *s = certificate_set_new(files, 2, NULL, &error);
        assert_non_null(s);
        numbers(s, NULL, found);
        assert_string_equal(found, cases[i].numbers);
        certificate_set_free(s);
    }
}

static void a_bad_one_leaves_the_old(void **state) {
    char *error;
    struct certificate_set *old = read_all(NULL, &error), *fresh;
    (void)state;
    assert_int_equal(truncate(paths[2], 0), 0);
    assert_int_equal(unlink(paths[3]), 0);
    assert_null(read_all(NULL, &error));
    assert_non_null(strstr(error, "2.pem: the file is empty"));
    free(error);
    fresh = read_all(old, &error);
    assert_non_null(fresh);
    assert_non_null(strstr(error, "2.pem: the file is empty; certificate"));
    assert_non_null(strstr(error, "3.pem: No such file"));
    free(error);
    assert_ptr_equal(certificate_set_at(fresh, 2)->x509, certificate_set_at(old, 2)->x509);
    assert_ptr_not_equal(certificate_set_at(fresh, 1)->x509, certificate_set_at(old, 1)->x509);
    certificate_set_free(old);
    char found[16];
    numbers(fresh, "deep.b.example", found);
    assert_string_equal(found, "3");
    certificate_set_free(fresh);
    make(2, made[2].names, made[2].key);
    make(3, made[3].names, made[3].key);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_host_decides),
                                       cmocka_unit_test(the_first_one_is_the_default),
                                       cmocka_unit_test(a_bad_one_leaves_the_old)};
    return cmocka_run_group_tests(tests, make_files, made_folder_end);
}
