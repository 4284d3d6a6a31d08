/* run_script.h - for tests: what sandbox_protected calls to open a state and run a text in it. */
#ifndef SIGNALBOX_TESTS_APP_LUA_RUN_SCRIPT_H
#define SIGNALBOX_TESTS_APP_LUA_RUN_SCRIPT_H

#include <lauxlib.h>

#include "common/app/lua/sandbox.h"

/* Its argument is the script, as light userdata. */
static inline int run_script(lua_State *L) {
    sandbox_open(L);
    if (luaL_loadstring(L, lua_touserdata(L, 1)) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

#endif
