/*
 * json_source.h - what a Lua table was in the JSON text that it came from, so that a handler that
 * passes it on passes on the sender's spelling: key order, number text, escapes (D6).
 *
 * json_push.c remembers the text of each table it makes, in a table with weak keys that no script
 * sees; json_lua.c asks for it, and uses the old spelling of everything that is still as it was
 * read. Nothing is remembered of a table that would be written the same way anyway.
 */
#ifndef SIGNALBOX_APP_LUA_JSON_SOURCE_H
#define SIGNALBOX_APP_LUA_JSON_SOURCE_H

#include "common/app/lua/json_lua.h"

struct lua_State;

/* Pushes the two tables that remember. May raise. */
void json_source_push_tables(struct lua_State *L);
/* Of the table on the top: it is `len` bytes from `from` of the Lua string at the index `text`.
 * `tables`: index of the first of the two. May raise. */
void json_source_remember(struct lua_State *L, int tables, int text, size_t from, size_t len);
/* The text of the table at `index` as it was read; empty when none is known. It lives as long as
 * the table. Never raises. */
struct bytes json_source_of(struct lua_State *L, int index);

/* Pushes what the text of a number is in Lua: an integer when it is one of 64 bits, else a float,
 * which is infinite beyond the range of a double. */
void json_push_number(struct lua_State *L, struct bytes text);

/* The members of an object's text, sorted by key: of several with one key, the last. */
struct json_source_member {
    struct bytes key;      /* unescaped */
    struct bytes key_text; /* as spelled, with its quotes */
    struct json_value value;
    size_t place; /* its place among the members */
};
struct json_source_members {
    struct buf keys; /* owns the keys that were unescaped */
    struct json_source_member *items;
    size_t count;
};
void json_source_read(struct json_source_members *m, struct bytes object);
void json_source_free(struct json_source_members *m);
/* The member of that key, or NULL. */
const struct json_source_member *json_source_find(const struct json_source_members *m,
                                                  struct bytes key);

#endif
