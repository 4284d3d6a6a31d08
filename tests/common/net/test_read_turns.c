/* test_read_turns.c - the pieces of one turn, in the order in which streams are read. */
#include "common/net/read_turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MANY = 32 /* large pieces of one turn */ };

static const char streams[100];

static void one_piece_of_each(void **state) {
    (void)state;
    assert_int_equal(read_turns_room(&streams[0], true, 1), READ_TURNS_LARGEST);
    read_turns_took(&streams[0], READ_TURNS_LARGEST, READ_TURNS_LARGEST);
    assert_int_equal(read_turns_room(&streams[0], true, 1), 0);
    assert_int_equal(read_turns_room(&streams[0], true, 2), READ_TURNS_LARGEST);
    read_turns_took(&streams[0], READ_TURNS_LARGEST - 1, READ_TURNS_LARGEST); /* all there was */
    assert_int_equal(read_turns_room(&streams[0], true, 2), READ_TURNS_LARGEST);
}

static void then_small_ones(void **state) {
    (void)state;
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(read_turns_room(&streams[i], true, 10), READ_TURNS_LARGEST);
        read_turns_took(&streams[i], READ_TURNS_LARGEST, READ_TURNS_LARGEST);
    }
    assert_int_equal(read_turns_room(&streams[MANY], true, 10), 4096);
    read_turns_took(&streams[MANY], 4096, 4096);
    assert_int_equal(read_turns_room(&streams[MANY], true, 10), 0);
    assert_int_equal(read_turns_room(&streams[MANY + 1], false, 10), READ_TURNS_LARGEST);
    assert_int_equal(read_turns_room(&streams[MANY], true, 11), READ_TURNS_LARGEST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_piece_of_each),
        cmocka_unit_test(then_small_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
