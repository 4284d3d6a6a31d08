/* api_history.c - signalbox.history: what is retained of a Name. It waits. */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/app/lua/json_lua.h"
#include "common/bus/bus.h"
#include "common/bus/log/retained.h"

struct asked {
    struct app_call *call;
    const struct retained_page *page;
    size_t name_len;
    char name[];
};

static void set_list(lua_State *L, const char *field, struct bytes_list list) {
    if (list.count == 0)
        return;
    json_push_texts(L, list);
    lua_setfield(L, -2, field);
}

/* Whoever wrote it to Redis may have called JSON what is none. */
static void set_data(lua_State *L, const struct message *m) {
    struct buf error = {0};
    if ((m->flags & FLAG_JSON) == 0 || !json_push(L, m->data, &error))
        stack_push_bytes(L, m->data);
    buf_deinit(&error);
    lua_setfield(L, -2, "data");
}

static void push_row(lua_State *L, const struct asked *a, const struct message *m) {
    char id[MESSAGE_ID_TEXT];
    lua_createtable(L, 0, 8);
    stack_set_bytes(L, "id", bytes_str(message_id_format(m->id, id)));
    stack_set_time(L, "timestamp", m->ts_ms);
    if (!m->is_to_every)
        stack_set_bytes(L, "name", bytes_of(a->name, a->name_len));
    set_data(L, m);
    set_list(L, "group", m->to_groups);
    set_list(L, "client_id", m->to_clients);
    stack_set_optional(L, "connection", m->to_conn);
    stack_set_optional(L, "from", sender_of(m->flags, m->from));
    if ((m->flags & FLAG_BINARY) != 0)
        stack_set_bool(L, "binary", true);
}

/* The rows, and what the next page is to be before. */
static int push_page(void *ctx, lua_State *L) {
    const struct asked *a = ctx;
    const struct retained_page *page = a->page;
    char id[MESSAGE_ID_TEXT];
    lua_createtable(L, (int)page->count, 0);
    json_mark_array(L, -1);
    for (size_t i = 0; i < page->count; i++) {
        push_row(L, a, &page->messages[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    if (message_id_is_none(page->next))
        return 1;
    lua_pushstring(L, message_id_format(page->next, id));
    return 2;
}

static void on_page(void *ctx, int status, const struct retained_page *page) {
    struct asked *a = ctx;
    a->page = page;
    if (status < 0)
        app_resume_error(a->call, retained_failure(status));
    else
        app_resume_ok(a->call, push_page, a);
    free(a);
}

/* history { name=, limit=100, before= } */
int api_history(lua_State *L) {
    static const char *const allowed[] = {"name", "limit", "before", NULL};
    struct message_id before = MESSAGE_ID_NONE;
    api_check_options(L, 1, allowed);
    const char *name = api_option_address(L, 1, "name");
    lua_Integer limit = api_option_integer(L, 1, "limit", RETAINED_USUAL);
    const char *text = api_option_text(L, 1, "before");
    luaL_argcheck(L, name != NULL, 1, "the option 'name' is missing");
    luaL_argcheck(L, limit >= 1 && limit <= LOOK_BACK_MAX, 1, "limit must be from 1 to 1000");
    luaL_argcheck(L, text == NULL || retained_parse_before(bytes_str(text), &before), 1,
                  RETAINED_NO_ID);
    struct app_call *call = app_may_wait(L);
    struct bus *bus = api_bus(L, "history");
    if (!bus_can_send(bus))
        return luaL_error(L, "signalbox.history: Redis is not reached");
    struct bytes asked = bytes_str(name);
    struct asked *a = mem_alloc(sizeof(*a) + asked.len);
    *a = (struct asked){.call = call, .name_len = asked.len};
    memcpy(a->name, asked.ptr, asked.len);
    const struct retained_ask ask = {.name = asked, .before = before, .limit = (unsigned)limit};
    (void)retained_start(bus, &ask, on_page, a);
    return app_wait(L, call);
}
