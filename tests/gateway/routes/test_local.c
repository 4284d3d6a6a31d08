/* test_local.c - the handlers of a Local connection: Connect and Disconnect once each and in this
 * order, whoever ends first, whether a handler waits, and whatever is registered. */
#include "gateway/routes/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "gateway/conn/request.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"
#include "tests/common/app/app_of_text.h"

enum who_ends { ROUTE_ENDS, CLIENT_LEAVES };

struct world {
    uv_loop_t loop;
    struct settings settings;
    struct bus *bus;
    struct app *app;
    struct routes routes;
    struct request request;
    struct client *client;
    struct buf said; /* what the handlers sent, each with a blank after it */
    int closed_with;
};

static struct world w;

/* ---- what is below */

static void on_close(void *carrier, const struct transport_end *end) {
    (void)carrier;
    w.closed_with = end->code;
}

static const struct transport transport = {.close = on_close};

static void on_left(void *ctx, struct client *c) {
    (void)ctx;
    (void)c;
}

static const struct client_events client_events = {.on_left = on_left};
static const struct client_host client_host = {.events = &client_events};

static enum app_outcome on_send(void *ctx, struct app_call *call, const struct app_send *send,
                                struct buf *error_out) {
    (void)ctx;
    (void)call;
    (void)error_out;
    buf_append(&w.said, send->what.data);
    buf_append_char(&w.said, ' ');
    return APP_DONE;
}

static const struct app_host app_host = {.send = on_send};

/* ---- a Local connection of an app */

static void load_app(const char *text) {
    struct app_environment environment = {
        .loop = &w.loop, .settings = &w.settings, .host = &app_host};
    w.app = app_of_text(text, &environment);
}

static void open_world(const char *app, bool is_local) {
    memset(&w, 0, sizeof(w));
    log_set_level(LOG_ERROR + 1);
    uv_loop_init(&w.loop);
    w.settings = (struct settings){.redis = "redis://127.0.0.1:1",
                                   .redis_password_file = "",
                                   .redis_prefix = "",
                                   .redis_ca = "",
                                   .partitions = 1,
                                   .max_waiting_handlers = 10,
                                   .max_message_bytes = 1000,
                                   .lua_memory_bytes = 1 << 26,
                                   .lua_budget_ms = 1000};
    w.bus = bus_new(&w.loop, &w.settings, BUS_GATEWAY);
    load_app(app);
    w.routes = (struct routes){.loop = &w.loop, .bus = w.bus, .app = &w.app};
    w.client = client_new(&client_host,
                          &(struct identity){.name = BYTES_LIT("Name"),
                                             .client_id = BYTES_LIT("ann"),
                                             .connected_ms = 5,
                                             .is_local = is_local},
                          WIRE_WS);
    client_carry(w.client, &transport, NULL, NULL);
    w.request = (struct request){.routes = &w.routes, .client = w.client};
    w.client->request = &w.request;
}

static void close_world(void) {
    client_unref(w.client);
    app_release(w.app);
    bus_close(w.bus);
    buf_deinit(&w.said);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
}

static void leave(void) {
    client_transport_events.on_gone(w.client);
}

/* Its whole life; what the handlers said. */
static void assert_life(const char *app, enum who_ends who, const char *said) {
    open_world(app, true);
    local_opened(&w.request);
    assert_int_equal(w.closed_with, 0);
    if (who == CLIENT_LEAVES)
        leave();
    local_route_ended(&w.request);
    assert_int_equal(w.closed_with, who == ROUTE_ENDS ? 1000 : 0);
    assert_null(w.request.client);
    uv_run(&w.loop, UV_RUN_DEFAULT); /* the waits of the handlers */
    if (who == ROUTE_ENDS)
        leave();
    if (!bytes_equal_str(buf_bytes(&w.said), said))
        fail_msg("%s\nsaid %.*s, not %s", app, BYTES_FMT(buf_bytes(&w.said)), said);
    close_world();
}

#define ON(type, name, event, body)                                                                \
    "signalbox.on('" type "', '" name "', '" event "', function(e) " body " end)\n"
#define SAY(text) "signalbox.send{data=" text "}"
#define WAIT      "signalbox.sleep(0.001) "
#define SAY_END   SAY("e.type .. ':' .. e.connection.close_code .. ':' .. e.connection.cause")

static void each_handler_runs_once_in_order(void **state) {
    static const struct {
        const char *app, *if_route_ends, *if_client_leaves;
    } cases[] = {
        {"", "", ""},
        {ON("connect", "Name", "a", SAY("'a'")), "a ", "a "},
        {ON("disconnect", "Name", "a", SAY_END), "disconnect:1000:server ",
         "disconnect:1006:lost "},
        {ON("disconnect", "Name", "a", SAY("'gone'")) ON("connect", "nAME", "b", SAY("e.type")),
         "connect gone ", "connect gone "},
        {ON("connect", "Other", "a", SAY("'a'")) ON("disconnect", "Name2", "b", SAY("'b'")), "",
         ""},
        {ON("connect", "Name", "a", WAIT SAY("'a'")) ON("connect", "Name", "b", SAY("'b'")) ON(
             "disconnect", "Name", "c", WAIT SAY("'c'")) ON("disconnect", "Name", "d", SAY("'d'")),
         "a b c d ", "a b c d "},
        {ON("connect", "Name", "a", "error('broken')") ON("connect", "Name", "b", SAY("'b'"))
             ON("disconnect", "Name", "c", WAIT "error('broken')")
                 ON("disconnect", "Name", "d", SAY("'d'")),
         "b d ", "b d "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_life(cases[i].app, ROUTE_ENDS, cases[i].if_route_ends);
        assert_life(cases[i].app, CLIENT_LEAVES, cases[i].if_client_leaves);
    }
}

static void what_a_handler_is_given(void **state) {
    (void)state;
    assert_life(ON("connect", "Name", "a",
                   "local c = e.connection " SAY(
                       "table.concat({e.name, e.type, e.lockable, c.name, c.client_id, c.scope, "
                       "tostring(c.group), tostring(c.close_code), tostring(c.cause)}, ',')")),
                ROUTE_ENDS, "Name,connect,lockable,Name,ann,local,nil,nil,nil ");
}

/* The route of a Global connection ends: nothing of ours runs, and the connection stays. */
static void a_global_connection_outlives_its_route(void **state) {
    (void)state;
    open_world(ON("disconnect", "Name", "a", SAY("'a'")), false);
    local_route_ended(&w.request);
    assert_null(w.request.client);
    assert_null(w.client->request);
    assert_int_equal(w.closed_with, 0);
    assert_int_equal(w.said.len, 0);
    leave();
    close_world();
}

/* It was refused, or gone before its 101. */
static void without_a_client_there_is_no_life(void **state) {
    (void)state;
    open_world(ON("connect", "Name", "a", SAY("'a'")), true);
    w.request.client = NULL;
    local_opened(&w.request);
    local_route_ended(&w.request);
    assert_int_equal(w.said.len, 0);
    leave();
    close_world();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_handler_runs_once_in_order),
        cmocka_unit_test(what_a_handler_is_given),
        cmocka_unit_test(a_global_connection_outlives_its_route),
        cmocka_unit_test(without_a_client_there_is_no_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
