/* test_default_broadcast.c - which Names take what no signal route handles. */
#include "common/app/registrations/default_broadcast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/bytes.h"

#define ONE(text) ((struct bytes_list){(struct bytes[]){BYTES_LIT(text)}, 1})

static const struct bytes_list every = {NULL, 0};
static struct bytes closed;

static void set(struct default_broadcast *d, enum level_source source, const char *name,
                enum open_state state) {
    default_broadcast_set(d, source, bytes_str(name), state);
}

static void open_unless_said_otherwise(void **state) {
    struct default_broadcast *d = default_broadcast_new();
    (void)state;
    assert_true(default_broadcast_get(d, BYTES_LIT("N")));
    assert_true(default_broadcast_allows(d, every, &closed));
    set(d, LEVEL_FROM_APP, "", OPEN_NO);
    assert_false(default_broadcast_get(d, BYTES_NONE));
    assert_false(default_broadcast_allows(d, every, &closed));
    assert_true(bytes_equal_str(closed, "*"));
    assert_false(default_broadcast_allows(d, ONE("N"), &closed));
    assert_true(bytes_equal_str(closed, "N"));
    default_broadcast_free(d);
}

static void a_name_s_own_wins_in_both_directions(void **state) {
    struct default_broadcast *d = default_broadcast_new();
    (void)state;
    set(d, LEVEL_FROM_APP, "Staff", OPEN_NO);
    assert_true(default_broadcast_allows(d, ONE("Lobby"), &closed));
    assert_false(default_broadcast_allows(d, ONE("sTAFF"), &closed));
    assert_false(default_broadcast_allows(d, every, &closed));
    assert_true(bytes_equal_str(closed, "staff"));
    set(d, LEVEL_FROM_APP, "Staff", OPEN_UNSET);
    set(d, LEVEL_FROM_APP, "", OPEN_NO);
    set(d, LEVEL_FROM_APP, "Lobby", OPEN_YES);
    assert_true(default_broadcast_allows(d, ONE("LOBBY"), &closed));
    assert_false(default_broadcast_allows(d, every, &closed));
    default_broadcast_free(d);
}

static void what_the_cluster_says_wins_until_it_is_taken_back(void **state) {
    struct default_broadcast *d = default_broadcast_new();
    (void)state;
    set(d, LEVEL_FROM_APP, "N", OPEN_NO);
    set(d, LEVEL_FROM_CLUSTER, "N", OPEN_YES);
    set(d, LEVEL_FROM_CLUSTER, "", OPEN_NO);
    assert_true(default_broadcast_get(d, BYTES_LIT("N")));
    assert_false(default_broadcast_get(d, BYTES_LIT("M")));
    set(d, LEVEL_FROM_CLUSTER, "N", OPEN_UNSET);
    set(d, LEVEL_FROM_CLUSTER, "", OPEN_UNSET);
    assert_false(default_broadcast_get(d, BYTES_LIT("n")));
    assert_true(default_broadcast_get(d, BYTES_LIT("M")));
    default_broadcast_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_unless_said_otherwise),
        cmocka_unit_test(a_name_s_own_wins_in_both_directions),
        cmocka_unit_test(what_the_cluster_says_wins_until_it_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
