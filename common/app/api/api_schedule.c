/* api_schedule.c - signalbox.schedule: what runs at its time, once in the cluster. */
#include <string.h>

#include <lauxlib.h>

#include "common/app/api/api.h"

/* schedule(name, cron, handler) */
int api_schedule(lua_State *L) {
    struct app *a = api_main_chunk(L, "schedule");
    const char *name = api_check_text(L, 1, "name"), *text = api_check_text(L, 2, "cron text");
    struct cron cron;
    char error[160];
    luaL_checktype(L, 3, LUA_TFUNCTION);
    if (!cron_parse(&cron, text, error))
        return luaL_argerror(L, 2, lua_pushstring(L, error));
    for (size_t i = 0; i < a->registrations->schedules.count; i++)
        if (strcmp(a->registrations->schedules.items[i].name, name) == 0)
            return luaL_error(L, "[Schedule] %s: Already defined", name);
    int function = api_function_ref(L, 3);
    *ARRAY_ADD(&a->registrations->schedules) =
        (struct schedule){mem_strdup(name), mem_strdup(text), cron, function};
    return 0;
}
