/*
 * fuzz_lua_pattern.c - our string.find, match, gmatch and gsub against those of the library.
 *
 * The input is a pattern up to its first newline, then a replacement up to the next, then the text.
 * Properties: both give the same results or both fail; nothing is read outside of the texts. Inputs
 * with which the library could run for ever are left out.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "common/app/lua/sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATTERN_MAX = 40, TEXT_MAX = 50, REPEATS_MAX = 2 };

/* What all four say about (text, pattern, replacement), as one text; an error is just that. */
static const char script[] =
    "local text, pattern, with = ...\n"
    "local out = {}\n"
    "local function note(ok, ...)\n"
    "  out[#out + 1] = ok and 'ok' or 'error'\n"
    "  if ok then for i = 1, select('#', ...) do out[#out + 1] = tostring((select(i, ...))) end "
    "end\n"
    "end\n"
    "for start = -1, 2 do note(pcall(string.find, text, pattern, start)) end\n"
    "note(pcall(string.match, text, pattern))\n"
    "note(pcall(string.gsub, text, pattern, with))\n"
    "note(pcall(string.gsub, text, pattern, {a = 1, [''] = 'b'}, 2))\n"
    "note(pcall(function() local n = 0\n"
    "  for a, b in string.gmatch(text, pattern) do n = n + 1 note(true, a, b) end return n end))\n"
    "return table.concat(out, '|')\n";

static int open_and_load(lua_State *L) {
    sandbox_open(L);
    return 0;
}

/* Leaves the answer on the stack. */
static struct bytes answer(lua_State *L, struct bytes text, struct bytes pattern,
                           struct bytes with) {
    MUST(luaL_loadstring(L, script) == LUA_OK);
    lua_pushlstring(L, text.ptr, text.len);
    lua_pushlstring(L, pattern.ptr, pattern.len);
    lua_pushlstring(L, with.ptr, with.len);
    struct bytes result;
    MUST(lua_pcall(L, 3, 1, 0) == LUA_OK);
    result.ptr = lua_tolstring(L, -1, &result.len);
    return result;
}

static bool is_quick(struct bytes pattern) {
    unsigned repeats = 0;
    for (size_t i = 0; i < pattern.len; i++)
        repeats += pattern.ptr[i] != '\0' && strchr("*+-?", pattern.ptr[i]) != NULL;
    return repeats <= REPEATS_MAX;
}

/* A state of its own for each input: what Lua keeps would look like a leak. */
static void compare(struct bytes text, struct bytes pattern, struct bytes with) {
    struct sandbox ours;
    lua_State *theirs = luaL_newstate();
    MUST(theirs != NULL);
    luaL_openlibs(theirs);
    sandbox_init(&ours, 64 << 20, 60000);
    MUST(sandbox_protected(&ours, open_and_load, NULL, NULL));
    MUST(bytes_equal(answer(ours.L, text, pattern, with), answer(theirs, text, pattern, with)));
    sandbox_deinit(&ours);
    lua_close(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of((const char *)data, size);
    struct bytes pattern = bytes_split(&text, '\n'), with = bytes_split(&text, '\n');
    if (text.ptr != NULL && with.ptr != NULL && pattern.len <= PATTERN_MAX &&
        with.len <= PATTERN_MAX && text.len <= TEXT_MAX && is_quick(pattern))
        compare(text, pattern, with);
    return 0;
}
