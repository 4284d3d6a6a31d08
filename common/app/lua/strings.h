/* strings.h - string.find, match, gmatch and gsub that the processor budget can stop. */
#ifndef SIGNALBOX_APP_LUA_STRINGS_H
#define SIGNALBOX_APP_LUA_STRINGS_H

struct lua_State;

int strings_find(struct lua_State *L);
int strings_match(struct lua_State *L);
int strings_gmatch(struct lua_State *L);
int strings_gsub(struct lua_State *L);

#endif
