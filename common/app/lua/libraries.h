/* libraries.h - string, table, coroutine, os.date and xpcall in a form that the budget can stop. */
#ifndef SIGNALBOX_APP_LUA_LIBRARIES_H
#define SIGNALBOX_APP_LUA_LIBRARIES_H

struct lua_State;

/* Replaces those of the standard libraries, which are open already. May raise. */
void libraries_open(struct lua_State *L);

#endif
