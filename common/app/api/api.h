/*
 * api.h - the functions of `signalbox`, one C function each; the list is functions.def.
 *
 * Errors of arguments go through luaL_arg*. A function checks everything first, and allocates
 * outside of Lua only when nothing can raise any more.
 *
 * To add a function: write it in the api_*.c it belongs to, and name it in functions.def.
 */
#ifndef SIGNALBOX_APP_API_API_H
#define SIGNALBOX_APP_API_API_H

#include <lua.h>

#include "common/app/lua/stack.h"
#include "common/app/running/app_state.h"

/* Makes the table `signalbox`. May raise. */
void api_open(lua_State *L);

/* --- the functions --- */

#define FUNCTION(name) int api_##name(lua_State *L);
#define STORE(name)    int api_store_##name(lua_State *L);
#include "common/app/api/functions.def"
#undef FUNCTION
#undef STORE

/* --- arguments (api_args.c) --- */

/* Raises unless the main chunk runs. */
struct app *api_main_chunk(lua_State *L, const char *function);
/* The bus, or an error that names the function that needs it. */
struct bus *api_bus(lua_State *L, const char *function);
/* A table whose keys are all among `allowed` (NULL-terminated); an error names the first other.
 * Where client_id is allowed, clientId is the same option. */
void api_check_options(lua_State *L, int arg, const char *const allowed[]);
/* A path or pattern in its canonical form (http_path.h), below the prefix, which is canonical; the
 * leading '/' may be left out. On the stack. */
const char *api_check_path(lua_State *L, int arg, const char *what, const char *prefix);
/* A text of at most ADDRESS_BYTES_MAX bytes, without CR, LF and NUL; an error calls it `what`. */
const char *api_check_text(lua_State *L, int arg, const char *what);

/* Options of the table `arg`. Their values are left on the stack, so that the pointers hold. */
const char *api_option_text(lua_State *L, int arg, const char *key); /* NULL: absent */
/* A string or number, whatever is in it; empty: absent. */
struct bytes api_option_bytes(lua_State *L, int arg, const char *key);
/* A Name, group or client id, which may be a number; "" counts as absent. */
const char *api_option_address(lua_State *L, int arg, const char *key); /* NULL: absent */
bool api_option_bool(lua_State *L, int arg, const char *key, bool fallback);
lua_Integer api_option_integer(lua_State *L, int arg, const char *key, lua_Integer fallback);
/* A string or number, or a list of them. "" and signalbox.null count as absent; in a list they are
 * left out, and a list of which nothing is left stays a list and addresses nobody. What it needs
 * stays on the stack, and in *one when it is no list. */
struct bytes_list api_option_list(lua_State *L, int arg, const char *key, struct bytes *one);
/* As api_option_list, for an argument. */
struct bytes_list api_check_list(lua_State *L, int arg, const char *what, struct bytes *one);
/* As api_option_list, but whatever is in the texts: somebody else judges them. */
struct bytes_list api_option_any_list(lua_State *L, int arg, const char *key, struct bytes *one);
/* An option of any value as JSON, on the stack; empty: absent. */
struct bytes api_option_json(lua_State *L, int arg, const char *key);
/* The options of a reply to the sender (event.response:send), which may be absent. */
bool api_reply_is_compressed(lua_State *L, int options);
/* How deep a value is written as JSON: as asked for, within bounds. */
enum { API_DEPTH = 10 };
int api_depth(lua_Integer wanted);
/* A luaL_argerror that is printed with one more text. */
int api_arg_error(lua_State *L, int arg, const char *format, const char *detail);

/* Makes changes at run time, here and in the whole cluster, and waits until they hold; `function`
 * and `arguments` (0: none) are stack indices for those that set. */
int api_share(lua_State *L, struct app_change *changes, size_t count, int function, int arguments);
/* Writes rules of the cluster, and waits until Redis has them all. */
struct publication;
struct publication *api_publish_begin(struct app_call *call);
void api_publish(struct publication *p, struct bytes field, struct bytes value);
int api_publish_wait(lua_State *L, struct publication *p);
/* The handler that runs, when it may write rules; raises otherwise. */
struct app_call *api_rule_writer(lua_State *L, const char *function);
/* The list `args` of the options at `arg`, left on the stack: its index, or 0. */
int api_option_args(lua_State *L, int arg);
/* A reference for arguments: LUA_NOREF for 0. */
int api_arguments_ref(lua_State *L, int arguments);

/* Set the fields `groups`, a list, and `data`, which is JSON, of the table on the top: what a
 * connection has beside its name (envelope.h). */
void api_set_groups(lua_State *L, struct bytes_list groups);
void api_set_data(lua_State *L, struct bytes data);

/* The reference of the function at `arg`. */
int api_function_ref(lua_State *L, int arg);

#endif
