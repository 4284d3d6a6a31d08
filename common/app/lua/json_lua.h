/*
 * json_lua.h - Lua values as JSON, and JSON as Lua values.
 *
 * json_lua.c writes, json_push.c reads; json_source.h says how a table keeps its sender's spelling.
 */
#ifndef SIGNALBOX_APP_LUA_JSON_LUA_H
#define SIGNALBOX_APP_LUA_JSON_LUA_H

#include <stdbool.h>

#include "common/json/json_text.h"

struct lua_State;

/* Appends the compact JSON of the Lua value at `index`. Tables with keys 1…n are arrays, others
 * objects (keys sorted); an empty table is {} unless it came from json_push or signalbox.array.
 * What is in a table of json_push's as it was read keeps its spelling and its place; new keys
 * follow. Tables deeper than `depth` become their text. false with one line in error_out for
 * functions, cycles beyond depth, NaN, invalid UTF-8. */
bool json_from_lua(struct lua_State *L, int index, int depth, struct buf *out,
                   struct buf *error_out);
/* Pushes the value of a JSON text; false (nothing pushed) with one line in error_out. null inside
 * tables is signalbox.null (a light userdata of NULL). Of members of one name the last one counts.
 * The tables remember how they were spelled (json_source.h). May raise "not enough memory". */
bool json_push(struct lua_State *L, struct bytes text, struct buf *error_out);

/* The same for the Lua string at `index`, of which no copy is made. */
bool json_push_string(struct lua_State *L, int index, struct buf *error_out);

/* Marks the table at `index` as an array, also while it is empty. May raise. */
void json_mark_array(struct lua_State *L, int index);
/* Pushes an array of strings, which is one also while it is empty. May raise. */
void json_push_texts(struct lua_State *L, struct bytes_list texts);
/* Whether it is marked already. Never raises. */
bool json_is_array_marked(struct lua_State *L, int index);
/* The metatable that is the mark. May raise. */
void json_push_array_mark(struct lua_State *L);

/* As json_from_lua; a number, boolean or string that is what `was` says is spelled as it is there.
 */
bool json_from_lua_as(struct lua_State *L, int index, struct json_value was, int depth,
                      struct buf *out, struct buf *error_out);
/* Whether a Lua value that is no table is what the JSON says. Never raises. */
bool json_is_same(struct lua_State *L, int index, struct json_value source);

#endif
