/* event_table.c - see event_table.h. Read event_table_push_signal; event.response is at the end. */
#include "broker/handlers/event_table.h"

#include <lauxlib.h>
#include <lua.h>

#include "broker/handlers/handler_run.h"
#include "common/app/api/api.h"
#include "common/app/lua/json_lua.h"
#include "common/app/lua/stack.h"
#include "common/base/clock.h"

enum { JSON_DEPTH = 10, CODE_NORMAL = 1000 };
_Static_assert(EVENT_TABLE_NO_ARGUMENTS == LUA_NOREF, "the same number without lua.h");

/* --- fields: the table is on the top of the stack --- */

/* nil, a text, or a list of texts; an empty list addresses nobody and stays one. */
static void set_texts(lua_State *L, const char *field, struct bytes_list list) {
    if (!bytes_list_is_given(list) || list.count == 1) {
        stack_set_optional(L, field, list.count == 1 ? list.items[0] : BYTES_NONE);
        return;
    }
    json_push_texts(L, list);
    lua_setfield(L, -2, field);
}

static void set_common(lua_State *L) {
    lua_newtable(L);
    lua_setfield(L, -2, "metadata");
    lua_pushliteral(L, "lockable");
    lua_setfield(L, -2, "lockable");
}

/* --- event.data --- */

/* A handler that finds no message would take it for none: one that is too much work fails. */
static void set_message(lua_State *L, struct json_value message) {
    struct buf error = {0};
    if (message.kind == JSON_KIND_ABSENT)
        return;
    if (!json_push(L, message.text, &error))
        stack_raise(L, &error);
    lua_setfield(L, -2, "message");
}

static void set_data(lua_State *L, const struct client_message *m) {
    lua_createtable(L, 0, 5);
    set_message(L, m->message);
    stack_set_bytes(L, "path", m->names.count > 0 ? m->names.items[0] : BYTES_NONE);
    set_texts(L, "group", texts_list(&m->groups));
    set_texts(L, "client_id", texts_list(&m->clients));
    stack_set_bool(L, "direct", m->is_direct);
    lua_setfield(L, -2, "data");
}

/* --- event.request --- */

static void set_request(lua_State *L, const struct handler_run *r) {
    const struct entry *e = &r->entry->entry;
    const struct session *s = &r->session;
    lua_createtable(L, 0, 5);
    stack_set_bytes(L, "url", s->url);
    stack_set_bytes(L, "remote_address", s->remote_address);
    stack_set_bytes(L, "body", e->body);
    stack_set_bytes(L, "opcode",
                    (e->flags & FLAG_BINARY) != 0 ? BYTES_LIT("binary") : BYTES_LIT("text"));
    lua_createtable(L, 0, (int)s->header_count);
    for (size_t i = 0; i < s->header_count; i++)
        stack_add_header(L, s->headers[i].name, s->headers[i].value);
    lua_setfield(L, -2, "headers");
    lua_setfield(L, -2, "request");
}

/* --- event.response --- */

static int answer(lua_State *L, struct delivery *d) {
    struct app_call *call = app_call_of(L);
    struct handler_run *r = handler_run_of(call);
    struct buf error = {0};
    struct recipient to;
    if (r == NULL)
        return luaL_error(L, "event.response works in a handler only");
    if (r->state != HANDLER_RUN_NOW)
        call = app_may_wait(L);
    to.name.ptr = lua_tolstring(L, lua_upvalueindex(1), &to.name.len);
    to.conn.ptr = lua_tolstring(L, lua_upvalueindex(2), &to.conn.len);
    d->ts_ms = r->state == HANDLER_RUN_NOW ? r->entry->entry.ts_ms : clock_wall_ms();
    d->from = r->entry->entry.client_id;
    enum app_outcome outcome = handler_run_to_one(r, &to, d, &error);
    if (outcome == APP_FAILED)
        return stack_raise(L, &error);
    return outcome == APP_WAITING ? app_wait(L, call) : 0;
}

/* Leaves the text to send on the stack, an empty one too: an echo is an echo. False for nil. */
static bool to_text(lua_State *L, int index, const struct handler_run *r, bool *is_json_out) {
    struct json_value was = handler_run_message(r);
    struct buf text = {0}, error = {0};
    *is_json_out = false;
    if (lua_isnoneornil(L, index))
        return false;
    if (lua_type(L, index) == LUA_TSTRING) {
        lua_pushvalue(L, index);
        return true;
    }
    if (!json_from_lua_as(L, index, was, JSON_DEPTH, &text, &error)) {
        buf_deinit(&text);
        stack_raise(L, &error);
    }
    *is_json_out = true;
    lua_pushlstring(L, text.ptr, text.len);
    buf_deinit(&text);
    buf_deinit(&error);
    return true;
}

/* event.response:send(data [, "text" | "binary" [, { compress = false }]]) */
static int response_send(lua_State *L) {
    static const char *const opcodes[] = {"text", "binary", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    bool is_binary = luaL_checkoption(L, 3, "text", opcodes) == 1, is_json;
    struct handler_run *r = handler_run_of(app_call_of(L));
    struct delivery d = {.kind = MESSAGE_DATA,
                         .flags = api_reply_is_compressed(L, 4) ? 0u : FLAG_UNCOMPRESSED};
    struct buf error = {0};
    if (!to_text(L, 2, r, &is_json))
        return 0;
    d.data.ptr = lua_tolstring(L, -1, &d.data.len);
    d.flags |= (is_binary ? FLAG_BINARY : 0u) | (is_json ? FLAG_JSON : 0u);
    if (r != NULL && !delivery_check_data(d.data, is_binary, r->parts->max_message_bytes, &error))
        return stack_raise(L, &error);
    return answer(L, &d);
}

/* event.response:close([code [, reason]]) */
static int response_close(lua_State *L) {
    struct delivery d = {.kind = MESSAGE_CLOSE};
    luaL_checktype(L, 1, LUA_TTABLE);
    d.code = luaL_optinteger(L, 2, CODE_NORMAL);
    luaL_argcheck(L, d.code == CODE_NORMAL || (d.code >= 3000 && d.code <= 4999), 2,
                  "must be 1000 or 3000 to 4999");
    d.data.ptr = luaL_optlstring(L, 3, "", &d.data.len);
    struct buf error = {0};
    if (!delivery_check_close(d.code, d.data, &error))
        return stack_raise(L, &error);
    return answer(L, &d);
}

static void set_function(lua_State *L, const char *field, lua_CFunction function,
                         const struct entry *e) {
    lua_pushlstring(L, e->name.ptr, e->name.len);
    lua_pushlstring(L, e->conn.ptr, e->conn.len);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, field);
}

static void set_response(lua_State *L, const struct entry *e) {
    lua_createtable(L, 0, 2);
    set_function(L, "send", response_send, e);
    set_function(L, "close", response_close, e);
    lua_setfield(L, -2, "response");
}

/* --- event.connection --- */

static void set_who(lua_State *L, const struct entry *e) {
    struct conn_value value;
    stack_set_bytes(L, "name", e->name);
    stack_set_bytes(L, "client_id", e->client_id);
    stack_set_bytes(L, "scope", BYTES_LIT("global"));
    if (!conn_value_parse(e->conn, &value))
        return;
    stack_set_bytes(L, "gateway", value.gateway);
    stack_set_time(L, "connected_at", value.connected_ms);
}

/* Of the sender of a message: its value says it, unless its gateway does. */
static void set_own_groups(lua_State *L, const struct entry *e) {
    struct conn_value value = {0};
    (void)conn_value_parse(e->conn, &value);
    struct bytes_list groups = {&value.group, value.group.len > 0};
    if (bytes_list_is_given(e->groups))
        groups = e->groups;
    stack_set_optional(L, "group", groups.count > 0 ? groups.items[0] : BYTES_NONE);
    api_set_groups(L, groups);
}

/* --- the events --- */

int event_table_push_signal(void *ctx, struct lua_State *L) {
    const struct handler_run *r = ctx;
    const struct entry *e = &r->entry->entry;
    lua_createtable(L, 0, 18);
    set_common(L);
    set_data(L, r->message);
    set_request(L, r);
    set_response(L, e);
    lua_createtable(L, 0, 3);
    stack_set_bytes(L, "protocol", r->session.protocol);
    stack_set_bytes(L, "address", r->session.address);
    stack_set_optional(L, "name", r->session.endpoint);
    lua_setfield(L, -2, "endpoint");
    lua_createtable(L, 0, 2);
    stack_set_bytes(L, "path", bytes_str(r->route_path));
    stack_set_optional(L, "endpoint", bytes_str(r->route_endpoint));
    lua_setfield(L, -2, "route");
    stack_set_bytes(L, "path", r->session.path);
    stack_set_time(L, "timestamp", e->ts_ms);
    stack_set_bytes(L, "name", e->name);
    stack_set_bytes(L, "client_id", e->client_id);
    set_own_groups(L, e);
    lua_createtable(L, 0, 9);
    set_who(L, e);
    set_own_groups(L, e);
    api_set_data(L, r->session.data);
    lua_setfield(L, -2, "connection");
    stack_set_bool(L, "streamed", true);
    return 1;
}

/* Why a connection ended: "client:1000:bye" is cause "client", code 1000, reason "bye". */
static void set_disconnect(lua_State *L, struct bytes text) {
    struct bytes cause = bytes_split(&text, ':');
    struct bytes code_text = bytes_split(&text, ':');
    uint64_t code = (uint64_t)close_reason_code(CLOSE_REPLACED);
    bool is_replaced = bytes_equal_str(cause, "replaced");
    stack_set_optional(L, "cause", cause);
    if (is_replaced || bytes_to_u64(code_text, &code)) {
        lua_pushinteger(L, (lua_Integer)code);
        lua_setfield(L, -2, "close_code");
    }
    stack_set_bytes(L, "close_reason", is_replaced ? cause : text);
}

static void set_connection(lua_State *L, const struct entry *e, const struct conn_details *d) {
    lua_createtable(L, 0, 12);
    set_who(L, e);
    if (d->groups.count > 0)
        stack_set_bytes(L, "group", d->groups.items[0]);
    api_set_groups(L, d->groups);
    api_set_data(L, d->data);
    if (e->kind == ENTRY_DISCONNECT)
        set_disconnect(L, e->body);
    lua_setfield(L, -2, "connection");
}

int event_table_push_connection(void *ctx, struct lua_State *L) {
    struct handler_run *r = ctx;
    const struct entry *e = &r->entry->entry;
    conn_details_read(e->conn, e->details, &r->details); /* the run frees them, whatever raises */
    lua_createtable(L, 0, 6);
    set_common(L);
    stack_set_bytes(L, "name", e->name);
    stack_set_bytes(L, "type",
                    e->kind == ENTRY_CONNECT ? BYTES_LIT("connect") : BYTES_LIT("disconnect"));
    stack_set_time(L, "timestamp", clock_wall_ms());
    set_connection(L, e, &r->details);
    return 1;
}

int event_table_push_tick(void *ctx, struct lua_State *L) {
    const struct handler_run *r = ctx;
    const struct entry *e = &r->entry->entry;
    lua_createtable(L, 0, 4);
    set_common(L);
    stack_set_bytes(L, "name", e->name);
    stack_set_time(L, "timestamp", (uint64_t)e->code * 1000);
    return 1;
}
