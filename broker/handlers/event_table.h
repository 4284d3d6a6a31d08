/*
 * event_table.h - the `event` table that handlers get. The only file of the broker that touches
 * Lua.
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_EVENT_TABLE_H
#define SIGNALBOX_BROKER_HANDLERS_EVENT_TABLE_H

struct lua_State;

/* For handler_run_start: the handler has no further arguments (LUA_NOREF). */
enum { EVENT_TABLE_NO_ARGUMENTS = -2 };

/* Each is an app_push_fn; ctx is the struct handler_run. */
int event_table_push_signal(void *ctx, struct lua_State *L);
int event_table_push_connection(void *ctx, struct lua_State *L);
int event_table_push_tick(void *ctx, struct lua_State *L);

#endif
