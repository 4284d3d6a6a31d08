/* test_api_redis.c - what handlers wait for: store, locks, lists, the cluster's secret, and
 * settings that reach every process. Two apps on one Redis of the test's own. */
#include "test_app_world.h"

#include <hiredis/hiredis.h>

#include "common/bus/cluster/store.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/cluster/rules.h"
#include "common/bus/partition.h"
#include "tests/common/bus/log_room.h"

struct process {
    struct bus *bus;
    struct rules *rules;
    struct registry *registry;
    struct app *app;
    struct buf sent;
    char *error;
    unsigned ended;
};

struct cluster {
    struct bus_room room;
    struct process a, b;
};

static enum app_outcome note_send(void *ctx, struct app_call *call, const struct app_send *send,
                                  struct buf *error_out) {
    struct process *p = ctx;
    (void)call;
    (void)error_out;
    buf_append(&p->sent, send->what.data);
    buf_append_char(&p->sent, '|');
    return APP_DONE;
}

static const struct app_host host = {.send = note_send, .close = world_close};

static void on_change(void *ctx, struct bytes field, struct bytes value) {
    struct process *p = ctx;
    if (p->app != NULL)
        app_apply_rule(p->app, field, value);
}

static void open_process(struct cluster *c, struct process *p, const char *lua) {
    struct world files;
    char path[200], *error = NULL;
    p->bus = bus_room_join(&c->room, BUS_GATEWAY);
    p->rules = rules_new(p->bus, on_change, p);
    p->registry = registry_new(p->bus);
    struct app_environment environment = {.loop = &c->room.loop,
                                          .settings = &c->room.settings,
                                          .bus = p->bus,
                                          .registry = p->registry,
                                          .rules = p->rules,
                                          .host = &host,
                                          .host_ctx = p};
    world_open(&files);
    log_set_level(LOG_ERROR + 1);
    world_file(&files, "app.lua", lua);
    snprintf(path, sizeof(path), "%s/app.lua", files.folder);
    p->app = app_load(path, &environment, &error);
    if (p->app == NULL)
        fail_msg("%s", error);
    world_close_all(&files);
}

static void open_cluster(struct cluster *c, const char *lua) {
    memset(c, 0, sizeof(*c));
    bus_room_init(&c->room, 1);
    c->room.settings.lua_budget_ms = 100;
    c->room.settings.lua_memory_bytes = 64 << 20;
    c->room.settings.max_waiting_handlers = 100;
    open_process(c, &c->a, lua);
    open_process(c, &c->b, lua);
    bus_room_turn(&c->room, 50);
}

static void close_process(struct process *p) {
    app_release(p->app);
    p->app = NULL;
    rules_free(p->rules);
    registry_free(p->registry);
    bus_close(p->bus);
    buf_deinit(&p->sent);
    free(p->error);
}

static void close_cluster(struct cluster *c) {
    close_process(&c->a);
    close_process(&c->b);
    bus_room_turn(&c->room, 20);
    bus_room_deinit(&c->room);
}

static void on_end(void *ctx, struct app_call *call, const char *error) {
    struct process *p = ctx;
    (void)call;
    p->ended++;
    free(p->error);
    p->error = error == NULL ? NULL : strdup(error);
}

static enum app_outcome start(struct process *p, const char *path) {
    const struct signal_route *route =
        registrations_signal_route(app_registrations(p->app), path, NULL);
    assert_non_null(route);
    struct app_handler handler = {route->function, route->arguments, "a test", NULL, on_end, p};
    free(p->error);
    p->error = NULL;
    return app_call(p->app, &handler, NULL, &p->error);
}

/* Runs the handler to its end: what it sent, or its error. */
static const char *answer(struct cluster *c, struct process *p, const char *path) {
    static char text[4096];
    unsigned before = p->ended;
    buf_clear(&p->sent);
    if (start(p, path) == APP_WAITING)
        bus_room_until(&c->room, &p->ended, before + 1, 5000);
    snprintf(text, sizeof(text), "%.*s%s", BYTES_FMT(buf_bytes(&p->sent)),
             p->error == NULL ? "" : p->error);
    return text;
}

#define ROUTE(path, body) "signalbox.signal_route('" path "', function() " body " end)\n"

static void test_store(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(&c, "local s, store = signalbox, signalbox.store\n" ROUTE(
                         "/set", "store.set('k', { a = {1, s.array{}}, t = 'x' }) store.set('n', "
                                 "41) store.set('short', true, 0.05)") //
                 ROUTE("/get", "s.send{data=s.json{store.get('k'), store.get('n') == 41, "
                               "tostring(store.get('none'))}}") //
                 ROUTE("/incr", "s.send{data=store.incr('n') .. ' ' .. store.incr('n', -2) .. ' ' "
                                ".. store.incr('fresh', 5, 60)}") //
                 ROUTE("/delete", "s.send{data=tostring(store.delete('k')) .. "
                                  "tostring(store.delete('k'))}") //
                 ROUTE("/short", "s.sleep(0.1) s.send{data=tostring(store.get('short'))}")
                     ROUTE("/bad", "store.incr('k')") ROUTE("/print", "store.set('k', print)"));
    assert_string_equal(answer(&c, &c.a, "/set"), "");
    assert_string_equal(answer(&c, &c.b, "/get"), "[{\"a\":[1,[]],\"t\":\"x\"},true,\"nil\"]|");
    assert_string_equal(answer(&c, &c.a, "/incr"), "42 40 5|");
    assert_contains(answer(&c, &c.a, "/bad"), "the store refused: ");
    assert_contains(answer(&c, &c.a, "/print"), "no JSON for a function");
    assert_string_equal(answer(&c, &c.a, "/delete"), "truefalse|");
    assert_string_equal(answer(&c, &c.a, "/short"), "nil|");
    close_cluster(&c);
}

/* How many milliseconds a key of the store still has. */
static long ttl_of(struct cluster *c, const char *key) {
    return atol(bus_room_ask(&c->room, "PTTL %sstore:%s", fleet_key(KEY_VALUE), key));
}

static void test_how_long_values_live(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(
        &c, "local s, store = signalbox, signalbox.store\n" //
        ROUTE("/set", "store.set('ever', 1) store.set('hour', 1, 3600) "
                      "store.set('most', 1, 10 * 365 * 86400) store.set('least', 1, 0.001) "
                      "store.incr('count') store.incr('counted', 2, 100.5)") //
        ROUTE("/again", "store.set('hour', 2) store.incr('counted', 1)")
            ROUTE("/bounds", "local t = {} for _, ttl in ipairs{0, 0.0009, 10 * 365 * 86400 + 1, "
                             "-1} do t[#t + 1] = tostring(pcall(store.set, 'k', 1, ttl)) end "
                             "s.send{data=table.concat(t, ' ')}") //
        ROUTE("/keys", "local k = ('k'):rep(1024) store.set(k, 7) s.send{data=tostring(store.get("
                       "k)) .. tostring(pcall(store.set, k .. 'k', 1)) .. "
                       "tostring(pcall(store.get, ''))}"));
    assert_string_equal(answer(&c, &c.a, "/set"), "");
    assert_int_equal(ttl_of(&c, "ever"), -1);
    assert_int_equal(ttl_of(&c, "count"), -1);
    assert_in_range(ttl_of(&c, "hour"), 3500000, 3600000);
    assert_in_range(ttl_of(&c, "counted"), 95000, 100500);
    assert_in_range(ttl_of(&c, "most"), 315350000000, 315360000000);
    assert_string_equal(answer(&c, &c.a, "/again"), "");
    assert_int_equal(ttl_of(&c, "hour"), -1); /* a new value has a life of its own */
    assert_in_range(ttl_of(&c, "counted"), 90000, 100500);
    assert_string_equal(answer(&c, &c.a, "/bounds"), "false false false false|");
    assert_string_equal(answer(&c, &c.a, "/keys"), "7falsefalse|");
    close_cluster(&c);
}

/* Reads, waits and writes: nothing is lost while the lock holds over both. */
static void test_a_lock_of_a_handler_that_took_too_long(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(
        &c, ROUTE("/keeps", "signalbox.lock('f', function() signalbox.sleep(3600) end)")
                ROUTE("/after", "signalbox.lock('f', function() signalbox.send{data='free'} end)"));
    c.room.settings.handler_timeout_ms = 50;
    assert_contains(answer(&c, &c.a, "/keeps"), "longer than --handler-timeout-ms");
    c.room.settings.handler_timeout_ms = 0;
    assert_string_equal(answer(&c, &c.b, "/after"), "free|");
    close_cluster(&c);
}

static void test_lock(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(
        &c, ROUTE("/add", "signalbox.lock({ lock_key = 'l' }, function() local n = "
                          "signalbox.store.get('n') or 0 signalbox.sleep(0.002) "
                          "signalbox.store.set('n', n + 1) end)") //
        ROUTE("/results", "signalbox.send{data=signalbox.json{signalbox.lock('r', function() "
                          "return 1, 'two', nil, 4 end)}}") //
        ROUTE("/fails", "signalbox.lock('f', function() signalbox.sleep(0) error('inside') "
                        "end)") //
        ROUTE("/loops", "signalbox.lock('f', function() while true do end end)") ROUTE(
            "/deep", "pcall(signalbox.lock, 'f', function() signalbox.lock('g', function() "
                     "while true do pcall(coroutine.wrap(function() while true do end end)) end "
                     "end) end) while true do end")
            ROUTE("/both", "signalbox.lock('f', function() signalbox.lock('g', function() "
                           "signalbox.send{data='free'} end) end)")
                ROUTE("/after", "signalbox.lock('f', function() signalbox.send{data='free'} end)")
                    ROUTE("/n", "signalbox.send{data=signalbox.store.get('n')}"));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(start(&c.a, "/add"), APP_WAITING);
        assert_int_equal(start(&c.b, "/add"), APP_WAITING);
    }
    bus_room_until(&c.room, &c.a.ended, 10, 10000);
    bus_room_until(&c.room, &c.b.ended, 10, 10000);
    assert_string_equal(answer(&c, &c.a, "/n"), "20|");
    assert_string_equal(answer(&c, &c.a, "/results"), "{\"1\":1,\"2\":\"two\",\"4\":4}|");
    assert_contains(answer(&c, &c.a, "/fails"), "inside");
    assert_string_equal(answer(&c, &c.b, "/after"), "free|");
    assert_contains(answer(&c, &c.a, "/loops"), "processor time");
    assert_string_equal(answer(&c, &c.b, "/after"), "free|");
    assert_contains(answer(&c, &c.a, "/deep"), "processor time");
    assert_string_equal(answer(&c, &c.b, "/both"), "free|");
    close_cluster(&c);
}

static void on_registered(void *ctx, enum registered result, struct message_id position) {
    (void)position;
    assert_int_equal(result, REGISTERED_OK);
    (*(unsigned *)ctx)++;
}

static void enter(struct cluster *c, const char *name, const char *id, const char *group) {
    struct buf value = {0};
    unsigned done = 0;
    struct conn_value v = {bytes_str(bus_id(c->a.bus)), 1, 1, bytes_str(group)};
    conn_value_encode(&value, &v);
    struct registration r = {bytes_str(name), bytes_str(id), buf_bytes(&value), false};
    registry_register(c->a.registry, &r, on_registered, &done);
    bus_room_until(&c->room, &done, 1, 3000);
    buf_deinit(&value);
}

static void test_lists(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(
        &c, "local s = signalbox\n" ROUTE("/names", "s.send{data=s.json(s.names())}") //
        ROUTE("/groups", "s.send{data=s.json(s.groups('N'))}")                        //
        ROUTE("/unknown", "s.send{data=s.json{s.groups('None'), s.clients{name='None'}, "
                          "s.exists{name='None'}}}")
            ROUTE("/nobody", "s.send{data=s.json{s.clients{name='N', group={}}, "
                             "s.clients{name='N', group={''}}, s.exists{name='N', group={}}, "
                             "s.exists{name='N', client_id={}}, s.exists{clientId={}}, "
                             "s.exists{name='N', clientId='1'}}}")
                ROUTE("/clients", "s.send{data=s.json{s.clients{name='N'}, s.clients{name='N', "
                                  "group='RED'}, #s.clients{name='N', group={'x', 'blue'}}}}")
                    ROUTE("/exists", "local e = s.exists s.send{data=s.json{e{name='N'}, "
                                     "e{name='X'}, e{name='N', client_id=1}, e{name='M', "
                                     "client_id=1}, e{client_id='2'}, e{client_id='9'}, "
                                     "e{name='N', client_id=1, group='Red'}, e{name='N', "
                                     "group='none'}}}"));
    assert_string_equal(answer(&c, &c.b, "/names"), "[]|");
    enter(&c, "N", "1", "red");
    enter(&c, "N", "2", "Red");
    enter(&c, "N", "3", "blue");
    enter(&c, "N", "4", "");
    enter(&c, "M", "5", "");
    assert_string_equal(answer(&c, &c.b, "/names"), "[\"M\",\"N\"]|");
    const char *groups = answer(&c, &c.b, "/groups");
    if (strcmp(groups, "[\"blue\",\"red\"]|") != 0)
        assert_string_equal(groups, "[\"Red\",\"blue\"]|");
    assert_string_equal(answer(&c, &c.b, "/unknown"), "[[],[],false]|");
    assert_string_equal(answer(&c, &c.b, "/nobody"), "[[],[],false,false,false,true]|");
    assert_string_equal(answer(&c, &c.b, "/clients"),
                        "[[\"1\",\"2\",\"3\",\"4\"],[\"1\",\"2\"],1]|");
    assert_string_equal(answer(&c, &c.b, "/exists"),
                        "[true,false,true,false,true,false,true,false]|");
    close_cluster(&c);
}

/* Rows with all that is known of a message, page after page. */
static void test_history(void **state) {
    struct cluster c;
    struct buf blob = {0}, key = {0};
    struct bytes groups[] = {BYTES_LIT("g")};
    (void)state;
    open_cluster(
        &c, "local s = signalbox\n" ROUTE("/none", "local rows, more = s.history{name='None'} "
                                                   "s.send{data=s.json{rows, tostring(more)}}") //
        ROUTE("/two", "local rows, more = s.history{name='N', limit=2} "
                      "s.send{data=s.json(rows) .. tostring(more)}")           //
        ROUTE("/rest", "local rows, more = s.history{name='N', before='5-3'} " //
                       "s.send{data=s.json(rows) .. tostring(more)}")          //
        ROUTE("/bad", "local t = {} for _, o in ipairs{{}, {name='N', limit=0}, {name='N', "
                      "limit=1001}, {name='N', limit='x'}, {name='N', before='x'}, {name='N', "
                      "before='0-0'}, {name='N', other=1}} do "
                      "t[#t + 1] = tostring(pcall(s.history, o)) end "
                      "s.send{data=table.concat(t, ' ')}")              //
        ROUTE("/most", "s.send{data=#s.history{name='N', limit=1000}}") //
        ROUTE("/stale", "s.history{name='N', before='7-1'}"));
    assert_string_equal(answer(&c, &c.a, "/none"), "[[],\"nil\"]|");
    log_own(&c.room, "5", "5-4", "0 5");
    log_append(&c.room, "N", "5-1", "", AS_BROKER);
    log_append(&c.room, "*", "5-2", "", AS_BROKER);
    struct message m = {.id = {5, 3},
                        .kind = MESSAGE_DATA,
                        .ts_ms = 7,
                        .from = BYTES_LIT("ann"),
                        .flags = FLAG_JSON,
                        .data = BYTES_LIT("{\"b\":1.50}"),
                        .to_groups = {groups, 1},
                        .to_clients = {groups, 1}};
    for (m.id.seq = 3; m.id.seq <= 4; m.id.seq++) {
        buf_clear(&blob);
        message_encode(&blob, &m);
        struct bytes at = key_of(&key, 0, KEY_HISTORY, BYTES_LIT("N"));
        freeReplyObject(redisCommand(c.room.redis.admin, "XADD %b 5-%d m %b", at.ptr, at.len,
                                     (int)m.id.seq, blob.ptr, blob.len));
        m.flags = FLAG_JSON | FLAG_BINARY;
        m.data = BYTES_LIT("{no json");
        m.to_conn = BYTES_LIT("v");
    }
    buf_deinit(&blob);
    buf_deinit(&key);
    assert_string_equal(
        answer(&c, &c.b, "/two"),
        "[{\"binary\":true,\"client_id\":[\"g\"],\"connection\":\"v\",\"data\":\"{no json\","
        "\"from\":\"ann\",\"group\":[\"g\"],\"id\":\"5-4\",\"name\":\"N\","
        "\"timestamp\":\"1970-01-01T00:00:00.007Z\"},"
        "{\"client_id\":[\"g\"],\"data\":{\"b\":1.50},\"from\":\"ann\",\"group\":[\"g\"],"
        "\"id\":\"5-3\",\"name\":\"N\",\"timestamp\":\"1970-01-01T00:00:00.007Z\"}]5-3|");
    assert_string_equal(answer(&c, &c.b, "/rest"),
                        "[{\"data\":\"5-2\",\"id\":\"5-2\","
                        "\"timestamp\":\"1970-01-01T00:00:00.007Z\"},"
                        "{\"data\":\"5-1\",\"id\":\"5-1\",\"name\":\"N\","
                        "\"timestamp\":\"1970-01-01T00:00:00.007Z\"}]nil|");
    assert_string_equal(answer(&c, &c.a, "/most"), "4|");
    assert_string_equal(answer(&c, &c.a, "/bad"), "false false false false false false false|");
    assert_contains(answer(&c, &c.a, "/stale"), "before: the data that it belongs to was given up");
    close_cluster(&c);
}

/* Sorted, and each group once, however many there are and in whatever order they came. */
static void test_lists_of_many(void **state) {
    struct cluster c;
    char id[8], group[8];
    (void)state;
    open_cluster(&c, "local s = signalbox\n"                            //
                 ROUTE("/names", "s.send{data=s.json(s.names())}")      //
                 ROUTE("/groups", "s.send{data=s.json(s.groups('N'))}") //
                 ROUTE("/clients", "s.send{data=s.json(s.clients{name='N'})}")
                     ROUTE("/exists", "local e = s.exists s.send{data=s.json{"
                                      "e{name='N', group='G1'}, e{name='N', group={'x', 'g8'}}, "
                                      "e{client_id='c3', group='g3'}, e{client_id='c3', "
                                      "group='g1'}, (pcall(e, {client_id={'a', 'b'}})), "
                                      "(pcall(e, {group='g'}))}}"));
    for (int i = 8; i > 0; i--) {
        snprintf(id, sizeof(id), "c%d", i);
        snprintf(group, sizeof(group), "g%d", i);
        enter(&c, "N", id, group);
    }
    enter(&c, "Z", "c3", "g1");
    enter(&c, "B", "c3", "g3");
    enter(&c, "A", "c1", "");
    assert_string_equal(answer(&c, &c.b, "/names"), "[\"A\",\"B\",\"N\",\"Z\"]|");
    assert_string_equal(answer(&c, &c.b, "/groups"), "[\"g1\",\"g2\",\"g3\",\"g4\",\"g5\","
                                                     "\"g6\",\"g7\",\"g8\"]|");
    assert_string_equal(answer(&c, &c.b, "/clients"), "[\"c1\",\"c2\",\"c3\",\"c4\",\"c5\","
                                                      "\"c6\",\"c7\",\"c8\"]|");
    assert_string_equal(answer(&c, &c.b, "/exists"), "[true,true,true,true,false,false]|");
    close_cluster(&c);
}

/* What a handler sets is the cluster's: what the app file says comes back once it is unset. */
static void test_the_app_files_own_comes_back(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(&c, "local s = signalbox s.broadcast_level('Msg', 'group') "
                     "s.broadcast_level('group') s.default_broadcast('Msg', false)\n" //
                 ROUTE("/set", "s.broadcast_level('Msg', 'client_id') s.broadcast_level('*', "
                               "'client_id') s.default_broadcast('Msg', true) "
                               "s.default_broadcast('*', false)") //
                 ROUTE("/show", "s.send{data=s.broadcast_level('Msg') .. ' ' .. "
                                "s.broadcast_level() .. ' ' .. tostring(s.default_broadcast("
                                "'Msg')) .. ' ' .. tostring(s.default_broadcast()) .. ' ' .. "
                                "tostring(s.default_broadcast('*'))}"));
    assert_string_equal(answer(&c, &c.a, "/show"), "group group false true true|");
    assert_string_equal(answer(&c, &c.a, "/set"), "");
    assert_string_equal(answer(&c, &c.a, "/show"), "clientid clientid true false false|");
    bus_room_turn(&c.room, 100);
    assert_string_equal(answer(&c, &c.b, "/show"), "clientid clientid true false false|");
    static const char *const fields[] = {"level:msg", "level:*", "default:msg", "default:*"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        app_apply_rule(c.a.app, bytes_str(fields[i]), BYTES_NONE);
        app_apply_rule(c.b.app, bytes_str(fields[i]), BYTES_NONE);
    }
    assert_string_equal(answer(&c, &c.a, "/show"), "group group false true true|");
    assert_string_equal(answer(&c, &c.b, "/show"), "group group false true true|");
    close_cluster(&c);
}

static void test_settings_reach_everyone(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(&c, "local s = signalbox\n" //
                 ROUTE("/level", "s.broadcast_level('Msg', 'group') s.broadcast_level('client_id') "
                                 "s.default_scope('local') s.default_broadcast(false) "
                                 "s.default_broadcast('Msg', true) "
                                 "s.signing{secret='it', strict=true}")
                     ROUTE("/show", "s.send{data=s.broadcast_level('MSG') .. s.broadcast_level() "
                                    ".. s.default_scope() .. (s.default_broadcast() and 'open' "
                                    "or 'closed') .. (s.default_broadcast('MSG') and 'open' or "
                                    "'closed') .. s.sign('x')}") //
                 ROUTE("/off", "s.signing(false)")               //
                 ROUTE("/secret", "s.send{data=s.server_secret()}"));
    assert_string_equal(answer(&c, &c.a, "/level"), "");
    char first[200];
    snprintf(first, sizeof(first), "%s", answer(&c, &c.a, "/show"));
    bus_room_turn(&c.room, 100);
    assert_string_equal(answer(&c, &c.b, "/show"), first);
    assert_int_equal(strncmp(first, "groupclientidlocalclosedopens:x.", 32), 0);
    assert_string_equal(answer(&c, &c.b, "/off"), "");
    bus_room_turn(&c.room, 100);
    assert_contains(answer(&c, &c.a, "/show"), "signing is off");
    snprintf(first, sizeof(first), "%s", answer(&c, &c.a, "/secret"));
    assert_int_equal(strlen(first), 37);
    assert_string_equal(answer(&c, &c.b, "/secret"), first);
    close_cluster(&c);
}

static void test_handlers_reach_everyone(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(&c, "local text, s = 'travelled', signalbox\n" //
                 ROUTE("/add",
                       "s.signal_route('/New', function(event) signalbox.send{data=text} end) "
                       "s.on('connect', {'A', 'B'}, 'e', function() end)")                  //
                 ROUTE("/gone", "s.signal_route_remove('/new') s.off('connect', 'a', 'e')") //
                 ROUTE("/clear", "s.signal_route_clear()"));
    assert_string_equal(answer(&c, &c.a, "/add"), "");
    bus_room_turn(&c.room, 100);
    assert_string_equal(answer(&c, &c.b, "/new"), "travelled|");
    assert_string_equal(answer(&c, &c.a, "/NEW"), "travelled|");
    assert_int_equal(app_registrations(c.b.app)->event_handlers.count, 2);
    assert_contains(answer(&c, &c.b, "/add"), "[Signal] /New: Already defined");
    assert_string_equal(answer(&c, &c.b, "/gone"), "");
    bus_room_turn(&c.room, 100);
    assert_null(registrations_signal_route(app_registrations(c.a.app), "/new", NULL));
    assert_int_equal(app_registrations(c.a.app)->event_handlers.count, 1);
    assert_string_equal(answer(&c, &c.a, "/clear"), "");
    bus_room_turn(&c.room, 100);
    assert_int_equal(app_registrations(c.b.app)->signal_routes.count, 0);
    close_cluster(&c);
}

static void test_without_redis(void **state) {
    struct cluster c;
    (void)state;
    open_cluster(&c, ROUTE("/get", "signalbox.store.get('k')")         //
                 ROUTE("/names", "signalbox.names()")                  //
                 ROUTE("/level", "signalbox.broadcast_level('group')") //
                 ROUTE("/secret", "signalbox.server_secret()"));
    redis_server_kill(&c.room.redis);
    bus_room_turn(&c.room, 100);
    assert_contains(answer(&c, &c.a, "/get"), "the store cannot be reached: no Redis");
    assert_contains(answer(&c, &c.a, "/names"), "the registry cannot be reached: no Redis");
    assert_contains(answer(&c, &c.a, "/level"), "did not reach the cluster: no Redis");
    assert_contains(answer(&c, &c.a, "/secret"), "no Redis");
    close_cluster(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_a_lock_of_a_handler_that_took_too_long),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_lists_of_many),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_how_long_values_live),
        cmocka_unit_test(test_the_app_files_own_comes_back),
        cmocka_unit_test(test_settings_reach_everyone),
        cmocka_unit_test(test_handlers_reach_everyone),
        cmocka_unit_test(test_without_redis),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
