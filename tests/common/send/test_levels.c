/* test_levels.c - the truth table of reference section 8, overrides both ways, and sends to every
 * Name. S129–S140 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/send/levels.h"

static bool allows(struct levels *l, const char *name, bool group, bool client) {
    struct bytes item = bytes_str(name);
    return levels_allow(l, (struct bytes_list){&item, name == NULL ? 0 : 1}, group, client, NULL);
}

static void test_truth_table_S132_S133_S134(void **state) {
    (void)state;
    static const struct {
        enum level level;
        bool ok[4]; /* name only, +group, +client, +both */
    } rows[] = {
        {LEVEL_NAME, {1, 1, 1, 1}}, {LEVEL_GROUP, {0, 1, 1, 1}}, {LEVEL_CLIENT_ID, {0, 0, 1, 1}}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct levels *l = levels_new();
        levels_set(l, LEVEL_FROM_APP, BYTES_NONE, rows[i].level);
        for (int k = 0; k < 4; k++)
            assert_int_equal(allows(l, "N", k & 1, k & 2), rows[i].ok[k]);
        levels_free(l);
    }
}

static void test_named_entry_wins_both_ways_S131(void **state) {
    (void)state;
    struct levels *l = levels_new();
    levels_set(l, LEVEL_FROM_APP, BYTES_NONE, LEVEL_CLIENT_ID);
    levels_set(l, LEVEL_FROM_APP, BYTES_LIT("Loose"), LEVEL_NAME);
    assert_true(allows(l, "lOOSE", false, false));
    assert_false(allows(l, "Other", true, false));
    levels_set(l, LEVEL_FROM_CLUSTER, BYTES_LIT("loose"), LEVEL_GROUP);
    assert_false(allows(l, "Loose", false, false));
    levels_set(l, LEVEL_FROM_CLUSTER, BYTES_LIT("Loose"), LEVEL_UNSET);
    assert_true(allows(l, "Loose", false, false));
    levels_set(l, LEVEL_FROM_CLUSTER, BYTES_NONE, LEVEL_NAME);
    assert_true(allows(l, "Other", false, false));
    levels_free(l);
}

static void append_level(void *ctx, struct bytes name, enum level level) {
    buf_printf(ctx, "%.*s=%s ", BYTES_FMT(name), level_text(level));
}

static void test_each_lists_what_one_source_set(void **state) {
    (void)state;
    struct levels *l = levels_new();
    struct buf found = {0};
    levels_set(l, LEVEL_FROM_APP, BYTES_NONE, LEVEL_GROUP);
    levels_set(l, LEVEL_FROM_APP, BYTES_LIT("Strict"), LEVEL_GROUP);
    levels_set(l, LEVEL_FROM_APP, BYTES_LIT("Loose"), LEVEL_NAME);
    levels_set(l, LEVEL_FROM_APP, BYTES_LIT("STRICT"), LEVEL_CLIENT_ID);
    levels_set(l, LEVEL_FROM_CLUSTER, BYTES_LIT("Other"), LEVEL_GROUP);
    levels_each(l, LEVEL_FROM_APP, append_level, &found);
    assert_true(bytes_equal_str(buf_bytes(&found), "Strict=clientid Loose=name "));
    buf_deinit(&found);
    levels_free(l);
}

static void test_send_to_every_name_meets_every_level(void **state) {
    (void)state;
    struct levels *l = levels_new();
    assert_true(allows(l, NULL, false, false));
    levels_set(l, LEVEL_FROM_APP, BYTES_LIT("Strict"), LEVEL_GROUP);
    assert_false(allows(l, NULL, false, false));
    assert_true(allows(l, NULL, true, false));
    levels_set(l, LEVEL_FROM_APP, BYTES_LIT("Late"), LEVEL_CLIENT_ID); /* after it was asked */
    assert_false(allows(l, NULL, true, false));
    assert_true(allows(l, NULL, true, true));
    levels_set(l, LEVEL_FROM_CLUSTER, BYTES_LIT("lATE"), LEVEL_NAME);
    assert_true(allows(l, NULL, true, false));
    levels_set(l, LEVEL_FROM_CLUSTER, BYTES_LIT("Late"), LEVEL_UNSET);
    assert_false(allows(l, NULL, true, false));
    levels_set(l, LEVEL_FROM_APP, BYTES_LIT("Late"), LEVEL_UNSET);
    assert_true(allows(l, NULL, true, false));
    levels_free(l);
}

static void test_one_refused_name_refuses_all_with_the_seeds_text_S135(void **state) {
    (void)state;
    struct levels *l = levels_new();
    struct bytes names[] = {BYTES_LIT("Free"), BYTES_LIT("Strict")};
    struct buf error = {0};
    levels_set(l, LEVEL_FROM_APP, BYTES_LIT("strict"), LEVEL_CLIENT_ID);
    assert_false(levels_allow(l, (struct bytes_list){names, 2}, true, false, &error));
    assert_true(bytes_equal_str(
        buf_bytes(&error),
        "Signal failed to broadcast due to defined Signal broadcast level for Strict: clientid"));
    buf_deinit(&error);
    levels_free(l);
}

static void test_words_S139_S140(void **state) {
    (void)state;
    enum level level;
    assert_true(level_parse(BYTES_LIT("ClientId"), &level) && level == LEVEL_CLIENT_ID);
    assert_true(level_parse(BYTES_LIT("client_id"), &level) && level == LEVEL_CLIENT_ID);
    assert_true(level_parse(BYTES_LIT("GROUP"), &level) && level == LEVEL_GROUP);
    assert_false(level_parse(BYTES_LIT("everyone"), &level));
    assert_string_equal(level_text(LEVEL_CLIENT_ID), "clientid");
    assert_string_equal(level_text(LEVEL_UNSET), "name");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truth_table_S132_S133_S134),
        cmocka_unit_test(test_named_entry_wins_both_ways_S131),
        cmocka_unit_test(test_each_lists_what_one_source_set),
        cmocka_unit_test(test_send_to_every_name_meets_every_level),
        cmocka_unit_test(test_one_refused_name_refuses_all_with_the_seeds_text_S135),
        cmocka_unit_test(test_words_S139_S140),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
