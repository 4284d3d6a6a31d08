/* The tables that handlers get: why a connection ended, and when a tick was due. */
#include "broker/handlers/event_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "broker/handlers/handler_run.h"

static struct in_entry *entry_of(const struct entry *e) {
    struct buf text = {0};
    entry_encode(&text, e);
    const struct bytes fields[] = {BYTES_LIT("m"), buf_bytes(&text)};
    struct in_entry *entry =
        in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){1, 0}, fields, 2);
    buf_deinit(&text);
    return entry;
}

/* The value of a Lua expression of `event` as a text; "nil" for none. */
static void assert_value(lua_State *L, const char *expression, const char *expected) {
    struct buf code = {0};
    buf_printf(&code, "local event = ...; return %s", expression);
    char *text = buf_take(&code);
    assert_int_equal(luaL_loadstring(L, text), LUA_OK);
    free(text);
    lua_pushvalue(L, -2);
    assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
    assert_string_equal(luaL_tolstring(L, -1, NULL), expected);
    lua_pop(L, 2);
}

static void why_a_connection_ended(void **state) {
    static const struct {
        const char *body, *cause, *code, *reason;
    } rows[] = {
        {"client:1000:bye", "client", "1000", "bye"},
        {"client:1000:a:b", "client", "1000", "a:b"},
        {"lost:1006:gateway", "lost", "1006", "gateway"},
        {"replaced", "replaced", "4001", "replaced"},
        {"client:1005:", "client", "1005", ""},
        {"", "nil", "nil", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        lua_State *L = luaL_newstate();
        struct entry e = {.kind = ENTRY_DISCONNECT,
                          .name = BYTES_LIT("Msg"),
                          .client_id = BYTES_LIT("ann"),
                          .conn = BYTES_LIT("g1:2:0|ops"),
                          .body = bytes_str(rows[i].body)};
        struct handler_run run = {.entry = entry_of(&e)};
        assert_int_equal(event_table_push_connection(&run, L), 1);
        assert_value(L, "event.type", "disconnect");
        assert_value(L, "event.connection.cause", rows[i].cause);
        assert_value(L, "event.connection.close_code", rows[i].code);
        assert_value(L, "event.connection.close_reason", rows[i].reason);
        assert_value(L, "event.connection.client_id", "ann");
        assert_value(L, "event.connection.group", "ops");
        assert_value(L, "event.connection.gateway", "g1");
        assert_value(L, "event.connection.connected_at", "1970-01-01T00:00:00.000Z");
        in_entry_unref(run.entry);
        lua_close(L);
    }
}

static void a_tick_has_the_time_that_it_was_due(void **state) {
    struct entry e = {.kind = ENTRY_TICK, .name = BYTES_LIT("hourly"), .code = 3600};
    struct handler_run run = {.entry = entry_of(&e)};
    lua_State *L = luaL_newstate();
    (void)state;
    assert_int_equal(event_table_push_tick(&run, L), 1);
    assert_value(L, "event.name", "hourly");
    assert_value(L, "event.timestamp", "1970-01-01T01:00:00.000Z");
    in_entry_unref(run.entry);
    lua_close(L);
}

/* A number is a number, a list a list, and what is absent is nil. */
static void what_a_signal_route_gets(void **state) {
    static const struct {
        const char *body;
        unsigned flags;
        const char *expression, *value;
    } rows[] = {
        {"{\"message\":\"hi\"}", 0, "event.data.message", "hi"},
        {"{\"message\":7}", 0, "math.type(event.data.message)", "integer"},
        {"{\"message\":false}", 0, "event.data.message", "false"},
        {"{}", 0, "event.data.message", "nil"},
        {"no JSON", 0, "event.data.message", "nil"},
        {"no JSON", 0, "event.request.body", "no JSON"},
        {"{}", 0, "event.request.opcode", "text"},
        {"{}", FLAG_BINARY, "event.request.opcode", "binary"},
        {"{}", FLAG_V1, "event.request.opcode", "text"},
        {"{}", 0, "event.data.path", ""},
        {"{\"path\":\"p\"}", 0, "event.data.path", "p"},
        {"{}", 0, "event.data.group", "nil"},
        {"{\"group\":\"g\"}", 0, "event.data.group", "g"},
        {"{\"group\":[\"g\"]}", 0, "event.data.group", "g"},
        {"{\"group\":[\"g\",\"h\"]}", 0, "#event.data.group", "2"},
        {"{\"group\":[\"g\",\"h\"]}", 0, "event.data.group[1]..event.data.group[2]", "gh"},
        {"{\"group\":[]}", 0, "next(event.data.group)", "nil"},
        {"{\"group\":\"g\"}", 0, "event.data.client_id", "nil"},
        {"{\"clientId\":\"c\"}", 0, "event.data.client_id", "c"},
        {"{\"clientId\":[\"c\",\"d\",\"e\"]}", 0, "event.data.client_id[3]", "e"},
        {"{\"clientId\":[]}", 0, "type(event.data.client_id)", "table"},
        {"{\"clientId\":[\"c\"]}", 0, "event.data.group", "nil"},
        {"{}", 0, "event.data.direct", "false"},
        {"{\"direct\":1}", 0, "event.data.direct", "true"},
        {"{}", 0, "event.request.url", "ws://host/p?q"},
        {"{}", 0, "event.request.remote_address", "10.0.0.1"},
        {"{}", 0, "event.request.headers.origin", "here"},
        {"{}", 0, "event.request.headers.cookie", "a=1; b=2"},
        {"{}", 0, "event.endpoint.protocol", "wss"},
        {"{}", 0, "event.endpoint.address", "host"},
        {"{}", 0, "event.endpoint.name", "front"},
        {"{}", 0, "event.route.path", "/p*"},
        {"{}", 0, "event.route.endpoint", "front*"},
        {"{}", 0, "event.path", "/p"},
        {"{}", 0, "event.timestamp", "1970-01-01T00:00:05.000Z"},
        {"{}", 0, "event.name", "Msg"},
        {"{}", 0, "event.client_id", "ann"},
        {"{}", 0, "event.group", "ops"},
        {"{}", 0, "event.streamed", "true"},
        {"{}", 0, "event.lockable", "lockable"},
        {"{}", 0, "type(event.metadata)", "table"},
        {"{}", 0, "type(event.response.send)..type(event.response.close)", "functionfunction"},
        {"{}", 0, "table.concat(event.groups, ' ')", "ops"},
        {"{}", 0, "table.concat(event.connection.groups, ' ')", "ops"},
        {"{}", 0, "event.connection.group", "ops"},
        {"{}", 0, "event.connection.client_id", "ann"},
        {"{}", 0, "event.connection.gateway", "g1"},
        {"{}", 0, "event.connection.scope", "global"},
        {"{}", 0, "event.connection.data.user", "Ann"},
        {"{}", 0, "event.connection.close_code", "nil"},
    };
    static const struct session_header headers[] = {
        {BYTES_LIT("Origin"), BYTES_LIT("here")},
        {BYTES_LIT("Cookie"), BYTES_LIT("a=1")},
        {BYTES_LIT("cookie"), BYTES_LIT("b=2")},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        lua_State *L = luaL_newstate();
        struct entry e = {.kind = ENTRY_CLIENT,
                          .ts_ms = 5000,
                          .flags = rows[i].flags,
                          .name = BYTES_LIT("Msg"),
                          .client_id = BYTES_LIT("ann"),
                          .conn = BYTES_LIT("g1:2:0|ops"),
                          .body = bytes_str(rows[i].body)};
        struct handler_run run = {.entry = entry_of(&e),
                                  .message = client_message_new(bytes_str(rows[i].body), true),
                                  .session = {.path = BYTES_LIT("/p"),
                                              .url = BYTES_LIT("ws://host/p?q"),
                                              .protocol = BYTES_LIT("wss"),
                                              .address = BYTES_LIT("host"),
                                              .endpoint = BYTES_LIT("front"),
                                              .remote_address = BYTES_LIT("10.0.0.1"),
                                              .headers = headers,
                                              .header_count = ARRAY_LEN(headers),
                                              .data = BYTES_LIT("{\"user\":\"Ann\"}")},
                                  .route_path = (char[]){"/p*"},
                                  .route_endpoint = (char[]){"front*"}};
        luaL_openlibs(L);
        assert_int_equal(event_table_push_signal(&run, L), 1);
        assert_value(L, rows[i].expression, rows[i].value);
        client_message_unref(run.message);
        in_entry_unref(run.entry);
        lua_close(L);
    }
}

/* Of the connection whose event it is, and of no other. */
static void what_a_connection_has_beside_its_value(void **state) {
    struct bytes groups[] = {BYTES_LIT("red"), BYTES_LIT("ops")};
    struct conn_details d = {
        .value = BYTES_LIT("g1:2:0|ops"), .data = BYTES_LIT("[7]"), .groups = {groups, 2}};
    static const struct {
        const char *value, *groups, *data;
    } rows[] = {
        {"g1:2:0|ops", "red ops", "7"}, {"g1:3:0|ops", "ops", "nil"}, {"g1:3:0|", "", "nil"}};
    struct buf details = {0};
    (void)state;
    conn_details_encode(&details, &d);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        lua_State *L = luaL_newstate();
        const struct bytes fields[] = {
            BYTES_LIT("t"), BYTES_LIT("C"),           BYTES_LIT("n"), BYTES_LIT("Msg"),
            BYTES_LIT("v"), bytes_str(rows[i].value), BYTES_LIT("x"), buf_bytes(&details)};
        struct handler_run run = {
            .entry = in_entry_new(ENTRY_READER_ENTRIES, (struct message_id){1, 0}, fields, 8)};
        luaL_openlibs(L);
        assert_int_equal(event_table_push_connection(&run, L), 1);
        assert_value(L, "table.concat(event.connection.groups, ' ')", rows[i].groups);
        assert_value(L, "event.connection.data and event.connection.data[1]", rows[i].data);
        conn_details_free(&run.details);
        in_entry_unref(run.entry);
        lua_close(L);
    }
    buf_deinit(&details);
}

/* Each event has a table of its own to write to. */
static void what_every_event_has(void **state) {
    struct entry e = {.kind = ENTRY_CONNECT, .name = BYTES_LIT("Msg")};
    struct handler_run run = {.entry = entry_of(&e)};
    lua_State *L = luaL_newstate();
    (void)state;
    assert_int_equal(event_table_push_connection(&run, L), 1);
    assert_value(L, "event.type", "connect");
    assert_value(L, "event.name", "Msg");
    assert_value(L, "event.lockable", "lockable");
    assert_value(L, "event.connection.name", "Msg");
    assert_value(L, "event.connection.scope", "global");
    assert_value(L, "event.connection.group", "nil"); /* its value cannot be read */
    assert_value(L, "event.connection.gateway", "nil");
    assert_value(L, "event.connection.cause", "nil");
    assert_value(L, "event.connection.close_code", "nil");
    assert_value(L, "#event.timestamp", "24");
    lua_setglobal(L, "first");
    assert_int_equal(event_table_push_tick(&run, L), 1);
    luaL_openlibs(L);
    assert_value(L, "event.metadata ~= first.metadata", "true");
    in_entry_unref(run.entry);
    lua_close(L);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_signal_route_gets),
        cmocka_unit_test(what_a_connection_has_beside_its_value),
        cmocka_unit_test(what_every_event_has),
        cmocka_unit_test(why_a_connection_ended),
        cmocka_unit_test(a_tick_has_the_time_that_it_was_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
