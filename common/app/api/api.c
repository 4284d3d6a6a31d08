/* api.c - the table `signalbox`: every function that a script can call. */
#include "common/app/api/api.h"

#include <lauxlib.h>

static const luaL_Reg functions[] = {
    /* What the app file sets up. */
    {"endpoint", api_endpoint},
    {"route", api_route},
    {"static", api_static},
    {"origins", api_origins},
    {"name", api_name},
    {"schedule", api_schedule},
    /* Signal routes. */
    {"signal_route", api_signal_route},
    {"signal_route_remove", api_signal_route_remove},
    {"signal_route_clear", api_signal_route_clear},
    {"signal_route_get", api_signal_route_get},
    {"signal_route_test", api_signal_route_test},
    {"signal_route_group", api_signal_route_group},
    /* Events. */
    {"on", api_on},
    {"off", api_off},
    {"signal_event_test", api_signal_event_test},
    /* Sending. */
    {"send", api_send},
    {"close", api_close},
    {"allows", api_allows},
    {"broadcast_level", api_broadcast_level},
    {"default_scope", api_default_scope},
    /* Client ids. */
    {"signing", api_signing},
    {"sign", api_sign},
    {"verify", api_verify},
    {"is_signed", api_is_signed},
    {"server_secret", api_server_secret},
    /* Who is there. */
    {"names", api_names},
    {"groups", api_groups},
    {"clients", api_clients},
    {"exists", api_exists},
    /* Waiting. */
    {"sleep", api_sleep},
    {"lock", api_lock},
    /* JSON, log. */
    {"json", api_json},
    {"parse_json", api_parse_json},
    {"array", api_array},
    {"log", api_log},
    {NULL, NULL},
};

static const luaL_Reg store_functions[] = {
    {"get", api_store_get},       {"set", api_store_set}, {"incr", api_store_incr},
    {"delete", api_store_delete}, {NULL, NULL},
};

void api_open(lua_State *L) {
    luaL_newlib(L, functions);
    luaL_newlib(L, store_functions);
    lua_setfield(L, -2, "store");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_setglobal(L, "signalbox");
}
