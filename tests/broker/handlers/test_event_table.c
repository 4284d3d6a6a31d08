/* The tables that handlers get: why a connection ended, and when a tick was due. */
#include "broker/handlers/event_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(why_a_connection_ended),
        cmocka_unit_test(a_tick_has_the_time_that_it_was_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
