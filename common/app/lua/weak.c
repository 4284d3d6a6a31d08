/*
 * weak.c - see weak.h.
 *
 * Lua compares the names of its events by address: each is one string, made with the state and
 * never collected. Its bytes are overwritten here with random ones. The string table then no longer
 * finds it under "__mode", so that a script which writes that name gets another string, one that
 * means nothing to Lua. test_sandbox proves it for the library in use.
 */
#include "common/app/lua/weak.h"

#include <string.h>
#include <sys/random.h>

#include <lua.h>

#include "common/base/must.h"

#define EVENT "__mode"

static char event_key;

void weak_reserve(lua_State *L) {
    char name[sizeof(EVENT) - 1];
    MUST(getrandom(name, sizeof(name), 0) == sizeof(name));
    name[0] = '\0'; /* never "__mode" again by chance */
    char *text = (char *)lua_pushliteral(L, EVENT);
    memcpy(text, name, sizeof(name));
    lua_rawsetp(L, LUA_REGISTRYINDEX, &event_key);
}

void weak_push_event(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key) == LUA_TSTRING)
        return;
    lua_pop(L, 1);
    lua_pushliteral(L, EVENT);
}
