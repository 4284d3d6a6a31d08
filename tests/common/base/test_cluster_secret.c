/* The cluster's secret: what is taken from the file, and that each purpose has its own key. */
#include "common/base/cluster_secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96];

static int read_text(struct cluster_secret *s, const char *text, char *why) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return cluster_secret_read(s, path, why);
}

static void hex(const unsigned char *key, char out[65]) {
    for (int i = 0; i < CLUSTER_SECRET_KEY; i++)
        snprintf(out + i * 2, 3, "%02x", key[i]);
}

static void none_is_known_without_a_file(void **state) {
    struct cluster_secret s = {.is_known = true};
    char why[SECRET_FILE_WHY];
    (void)state;
    assert_int_equal(cluster_secret_read(&s, "", why), 0);
    assert_false(s.is_known);
}

static void a_short_or_absent_one_is_refused(void **state) {
    struct cluster_secret s;
    char why[SECRET_FILE_WHY];
    (void)state;
    assert_int_equal(read_text(&s, "123456789012345\n", why), -EINVAL);
    assert_non_null(strstr(why, "fewer than 16 bytes"));
    assert_false(s.is_known);
    assert_int_equal(read_text(&s, "1234567890123456\n", why), 0);
    assert_true(s.is_known);
    char longest[SECRET_FILE_MAX + 2];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(read_text(&s, longest, why), -E2BIG);
    longest[SECRET_FILE_MAX] = '\0';
    assert_int_equal(read_text(&s, longest, why), 0);
    assert_int_equal(cluster_secret_read(&s, "/nonexistent/file", why), -ENOENT);
    assert_false(s.is_known);
}

/* Computed by another implementation: HKDF(SHA256, salt "signalbox cluster"). */
static void each_purpose_has_its_own_key(void **state) {
    static const struct {
        const char *purpose, *key;
    } cases[] = {
        {"rules", "15b664eb22ed83319c2e3a67fdc0a3a6a46598124228fd59094de8f4676d0758"},
        {"tls tickets", "54d951841097c4fc5f5773b239f8b359a640a1805332e734d8868ef87a24d252"},
    };
    struct cluster_secret s;
    char why[SECRET_FILE_WHY], text[65];
    unsigned char key[CLUSTER_SECRET_KEY];
    (void)state;
    assert_int_equal(read_text(&s, "0123456789abcdef\n", why), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cluster_secret_derive(&s, cases[i].purpose, key);
        hex(key, text);
        assert_string_equal(text, cases[i].key);
    }
}

static void a_signature_depends_on_secret_purpose_and_data(void **state) {
    struct cluster_secret a, b;
    char why[SECRET_FILE_WHY], first[45], other[45];
    (void)state;
    assert_int_equal(read_text(&a, "0123456789abcdef\n", why), 0);
    assert_int_equal(read_text(&b, "0123456789abcdeF\n", why), 0);
    cluster_secret_sign(&a, "rules", BYTES_LIT("data"), first);
    cluster_secret_sign(&a, "rules", BYTES_LIT("data"), other);
    assert_string_equal(first, other);
    cluster_secret_sign(&b, "rules", BYTES_LIT("data"), other);
    assert_string_not_equal(first, other);
    cluster_secret_sign(&a, "notices", BYTES_LIT("data"), other);
    assert_string_not_equal(first, other);
    cluster_secret_sign(&a, "rules", BYTES_LIT("datb"), other);
    assert_string_not_equal(first, other);
}

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/test_cluster_secret.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/secret", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_known_without_a_file),
        cmocka_unit_test(a_short_or_absent_one_is_refused),
        cmocka_unit_test(each_purpose_has_its_own_key),
        cmocka_unit_test(a_signature_depends_on_secret_purpose_and_data),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
