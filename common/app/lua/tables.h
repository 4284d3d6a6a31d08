/* tables.h - the functions of `table` whose loops run over a length that the script chooses. */
#ifndef SIGNALBOX_APP_LUA_TABLES_H
#define SIGNALBOX_APP_LUA_TABLES_H

struct lua_State;

int tables_insert(struct lua_State *L);
int tables_remove(struct lua_State *L);
int tables_move(struct lua_State *L);
int tables_concat(struct lua_State *L);
int tables_unpack(struct lua_State *L);
int tables_sort(struct lua_State *L);

#endif
