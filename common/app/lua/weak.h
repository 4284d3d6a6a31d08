/*
 * weak.h - weak tables for the house, none for scripts.
 *
 * A table is weak when its metatable has "__mode", and Lua asks again at every collection, so that
 * a check in setmetatable is not enough. weak_reserve gives that event another name, which scripts
 * cannot spell.
 */
#ifndef SIGNALBOX_APP_LUA_WEAK_H
#define SIGNALBOX_APP_LUA_WEAK_H

struct lua_State;

/* Once, before a script runs. May raise. */
void weak_reserve(struct lua_State *L);
/* Pushes the key that makes a table weak in its metatable; "__mode" in a state without
 * weak_reserve. Never shown to a script. May raise. */
void weak_push_event(struct lua_State *L);

#endif
