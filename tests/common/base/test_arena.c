/* test_arena.c - memory that is given back at once: where pieces lie, and copies. */
#include "common/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK_BYTES = 32 * 1024, ALIGNMENT = 16 };

static void pieces_lie_side_by_side(void **state) {
    struct arena a = {0};
    (void)state;
    for (size_t len = 1; len <= 2 * ALIGNMENT; len++) {
        char *piece = arena_room(&a, len), *next = arena_room(&a, 1);
        assert_int_equal((uintptr_t)piece % ALIGNMENT, 0);
        assert_int_equal(next - piece, len <= ALIGNMENT ? ALIGNMENT : 2 * ALIGNMENT);
        memset(piece, 'x', len);
    }
    arena_clear(&a);
    assert_null(a.blocks);
    arena_clear(&a);
}

/* A block is filled to its last byte before there is another; a larger piece has one of its own. */
static void a_block_is_filled(void **state) {
    struct arena a = {0};
    (void)state;
    char *most = arena_room(&a, BLOCK_BYTES - ALIGNMENT);
    void *block = a.blocks;
    char *rest = arena_room(&a, ALIGNMENT);
    assert_ptr_equal(rest, most + BLOCK_BYTES - ALIGNMENT);
    assert_ptr_equal(a.blocks, block);
    memset(most, 'x', BLOCK_BYTES);
    char *next = arena_room(&a, 1);
    assert_ptr_not_equal(a.blocks, block);
    *next = 'y';
    char *large = arena_room(&a, BLOCK_BYTES + 1);
    memset(large, 'z', BLOCK_BYTES + 1);
    assert_int_equal(*next, 'y');
    assert_int_equal(most[BLOCK_BYTES - 1], 'x');
    arena_clear(&a);
}

/* Nothing stays nothing, empty stays empty, and nobody is not everybody. */
static void copies(void **state) {
    static const struct bytes items[] = {{"a\0b", 3}, {"", 0}, {NULL, 0}};
    struct arena a = {0};
    char text[] = "changes";
    (void)state;
    struct bytes copy = arena_copy(&a, bytes_str(text));
    text[0] = 'C';
    assert_true(bytes_equal_str(copy, "changes"));
    assert_null(arena_copy(&a, BYTES_NONE).ptr);
    assert_non_null(arena_copy(&a, BYTES_LIT("")).ptr);
    struct bytes_list list = arena_list(&a, (struct bytes_list){items, 3});
    assert_int_equal(list.count, 3);
    assert_true(bytes_equal(list.items[0], items[0]));
    assert_ptr_not_equal(list.items[0].ptr, items[0].ptr);
    assert_non_null(list.items[1].ptr);
    assert_null(list.items[2].ptr);
    assert_true(bytes_list_is_nobody(arena_list(&a, (struct bytes_list){items, 0})));
    assert_false(bytes_list_is_given(arena_list(&a, (struct bytes_list){0})));
    arena_clear(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_lie_side_by_side),
        cmocka_unit_test(a_block_is_filled),
        cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
