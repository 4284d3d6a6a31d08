/* test_collisions.c - chosen numbers cannot make the growth of a table slow; others grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/common/app/lua/run_script.h"

/* As much as a handler of a long budget. */
static bool is_fine(char *script, char *over_out, size_t room) {
    struct sandbox s;
    sandbox_init(&s, 128 << 20, 60000);
    struct slice slice = budget_slice(&s.budget, 1);
    struct entered before = budget_enter(&s.budget, &slice, s.L);
    bool was_fine = sandbox_protected(&s, run_script, script, NULL);
    budget_leave(&s.budget, before);
    snprintf(over_out, room, "%s", s.budget.over);
    sandbox_deinit(&s);
    return was_fine;
}

/* Without the check each of them takes from a second to minutes. */
static void test_chosen_numbers(void **state) {
    (void)state;
    static char *const scripts[] = {
        /* Apart in a part of 2^16 nodes, together in the next one. */
        "local t = {} for i = 1, 1 << 17 do t[i * ((1 << 17) - 1)] = true end",
        "local t = {} for i = 1, 1 << 17 do t[-i * ((1 << 17) - 1)] = true end",
        "local t = {} for i = 1, 1 << 17 do rawset(t, i * ((1 << 17) - 1), true) end",
        /* Half of them, in a table with other keys. */
        "local t = {} for i = 1, 1 << 16 do t['k' .. i] = i t[i * ((1 << 17) - 1)] = true end",
        /* The fraction's last bits do not count. Those before make a free place for each. */
        "local t = {} for i = 1, 9000 do t[1.5 + i * 2.0 ^ -52] = true end",
        /* Caught, and tried again. */
        "local function f() local t = {} for i = 1, 1 << 17 do t[i * ((1 << 17) - 1)] = true end "
        "end while true do pcall(f) end",
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        char over[160];
        if (is_fine(scripts[i], over, sizeof(over)) || strstr(over, "in one chain") == NULL)
            fail_msg("%s\n  ended with %s", scripts[i], over);
    }
}

/* As luaS_hash of lstring.c. */
static uint32_t hash_of(const char *text, size_t len, uint32_t seed) {
    uint32_t hash = seed ^ (uint32_t)len;
    for (; len > 0; len--)
        hash ^= (hash << 5) + (hash >> 2) + (unsigned char)text[len - 1];
    return hash;
}

/* A short text keeps its hash 12 bytes before its first one; that of "" is the state's seed. */
static uint32_t stored_hash(lua_State *L, const char *text) {
    uint32_t hash;
    memcpy(&hash, lua_pushstring(L, text) - 12, sizeof(hash));
    lua_pop(L, 1);
    return hash;
}

/* As many texts of one place as make a part of 8,192 nodes grow. */
static int fill_with_texts(lua_State *L) {
    enum { PLACES = PART_MIN_NODES };
    uint32_t seed = stored_hash(L, ""), place = hash_of("key", 3, seed) % PLACES, found = 0;
    assert_int_equal(stored_hash(L, "some key"), hash_of("some key", 8, seed));
    lua_newtable(L);
    for (uint64_t number = 0; found <= PLACES; number++) {
        if (hash_of((const char *)&number, sizeof(number), seed) % PLACES != place)
            continue;
        found++;
        lua_pushlstring(L, (const char *)&number, sizeof(number));
        lua_pushboolean(L, true);
        lua_rawset(L, -3);
    }
    return 0;
}

static void test_chosen_texts(void **state) {
    struct sandbox s;
    (void)state;
    sandbox_init(&s, 128 << 20, 60000);
    struct slice slice = budget_slice(&s.budget, 1);
    struct entered before = budget_enter(&s.budget, &slice, s.L);
    assert_false(sandbox_protected(&s, fill_with_texts, NULL, NULL));
    budget_leave(&s.budget, before);
    assert_non_null(strstr(s.budget.over, "in one chain"));
    sandbox_deinit(&s);
}

static void test_other_keys(void **state) {
    (void)state;
    static char *const scripts[] = {
        "for _, step in ipairs {1, 2, 3, 1000, 1024, 65536, 1 << 31, 1 << 40, -1, -4096, "
        "86400000, 0.5, 1.5, 1e10, 0.1} do local t = {} "
        "for i = 1, 70000 do t[i * step] = i end for i = 1, 70000 do assert(t[i * step] == i) end "
        "end",
        "local t = {} for i = 1, 70000 do t[tostring(i)] = i end",
        "local t = {} for i = 1, 300000 do t['k' .. i % 150000] = i end",
        "local t = {} for i = 1, 70000 do t[{}] = i end",
        "local t = {} for i = 1, 70000 do t[function() return i end] = i end",
        /* What has the size of a part, but is none. */
        "local kept = {} for k = 13, 16 do kept[k] = ('\\3'):rep(24 * (1 << k) - 25) end "
        "local a = {} for i = 1, 24576 do a[i] = 7 end a = {table.unpack(a)} "
        "local t = {} for i = 1, 70000 do t[i * 3] = i end",
        "local t = {} for i = 1, 4000 do t[i * ((1 << 17) - 1)] = i end "
        "for i = 1, 70000 do t[-i] = i end",
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        char over[160];
        if (!is_fine(scripts[i], over, sizeof(over)))
            fail_msg("%s\n  ended with %s", scripts[i], over);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chosen_numbers),
                                       cmocka_unit_test(test_chosen_texts),
                                       cmocka_unit_test(test_other_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
