/*
 * metatables.h - setmetatable: what a script gives is not Lua's metatable, a copy of its events is.
 *
 * Lua follows a chain of __index or __newindex through up to 2000 tables in one instruction that no
 * hook interrupts, each with a comparison of keys that may be megabytes long, and a chain of __call
 * until its stack is full. So an event that is a table becomes a C function in the copy, which goes
 * one table further and looks at the budget. A copy has no __gc and no __mode either: a finalizer
 * would run without the budget, and a collection of weak tables may take a time that grows with the
 * square of their size.
 *
 *     setmetatable(t, m)      t ──▶ copy of m    { __index = a function, __add = m.__add,
 *                                                  __metatable = m, [&original] = m }
 *     getmetatable(t)         m, by way of __metatable, as in any Lua
 *     m.__index = other       has effect unless it was a function: the copy's function looks at m
 *     m.__add = other         has effect with the next setmetatable(…, m), on its table at least
 */
#ifndef SIGNALBOX_APP_LUA_METATABLES_H
#define SIGNALBOX_APP_LUA_METATABLES_H

struct lua_State;

/* Replaces the global setmetatable. */
void metatables_open(struct lua_State *L);

#endif
