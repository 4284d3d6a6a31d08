/*
 * stack.h - texts and fields on Lua's stack: what everybody who talks to a script needs.
 *
 * All functions that push may raise "not enough memory", so the caller holds no memory outside of
 * Lua at that moment; stack_raise and stack_push_take give back what they are handed first.
 */
#ifndef SIGNALBOX_APP_LUA_STACK_H
#define SIGNALBOX_APP_LUA_STACK_H

#include "common/base/buf.h"

struct lua_State;

/* --- texts --- */

/* The string at `index` (a number becomes one), as long as it stays there; BYTES_NONE for anything
 * else. */
struct bytes stack_bytes_at(struct lua_State *L, int index);
/* Whether the value is signalbox.null, the null of JSON: a light userdata of NULL. */
bool stack_is_null(struct lua_State *L, int index);
/* The string argument `arg`, or an error of that argument. */
struct bytes stack_check_bytes(struct lua_State *L, int arg);
/* An absent text is pushed as "". */
void stack_push_bytes(struct lua_State *L, struct bytes text);
/* Pushes the content of `text` and frees it, also when Lua has no memory for it; returns 1. */
int stack_push_take(struct lua_State *L, struct buf *text);
/* Frees `error` and raises its text, with the place in the script before it. */
int stack_raise(struct lua_State *L, struct buf *error);

/* --- fields of the table on the top --- */

void stack_set_bytes(struct lua_State *L, const char *field, struct bytes value);
/* An empty text sets nothing. */
void stack_set_optional(struct lua_State *L, const char *field, struct bytes value);
void stack_set_bool(struct lua_State *L, const char *field, bool value);
/* "2026-01-31T23:59:59.123Z" */
void stack_set_time(struct lua_State *L, const char *field, uint64_t wall_ms);
/* Adds a header field: names in lower case, the values of a name that comes again joined with ", "
 * (RFC 9110, 5.3), those of Cookie with "; " (RFC 9113, 8.2.3). */
void stack_add_header(struct lua_State *L, struct bytes name, struct bytes value);

#endif
