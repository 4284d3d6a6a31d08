/*
 * test_app_programs.c - random programs over everything that a script has: the language, all
 * functions of the libraries and of `signalbox`, arguments of any shape, metatables, coroutines. No
 * program may hold the process longer than twice its budget, leave the memory bound or abort.
 *
 *     build/bin/test_common_app_app_programs                    a few seconds, as in the tests
 *     build/bin/test_common_app_app_programs 3600 [seed]        an hour; prints what took longest
 *     build/bin/test_common_app_app_programs show SEED          the programs of that seed
 *     build/bin/test_common_app_app_programs run FILE           that program, five times
 *     build/bin/test_common_app_app_programs redis …            the same with a Redis
 *
 * A seed makes a run of programs in one state, so that what one leaves behind the next one finds.
 */
#include <time.h>

#include <lauxlib.h>

#include "test_app_world.h"

#include "common/bus/cluster/registry.h"
#include "common/bus/cluster/rules.h"
#include "tests/common/bus/bus_room.h"

enum {
    PROGRAMS = 40, /* of one seed */
    BUDGET_MS = 100,
    MEMORY_MIB = 64,
    SEEDS_QUICK = 5,
    /* In the tests any machine and any sanitizer must do: it only tells an end from none. */
    QUICK_MS = 30000,
    NOISE_MS = 15
};

/* --- a program --- */

struct generator {
    uint64_t state;
    struct buf text;
    int depth;
};

static unsigned pick(struct generator *g, unsigned count) {
    g->state ^= g->state << 13;
    g->state ^= g->state >> 7;
    g->state ^= g->state << 17;
    return (unsigned)((g->state >> 11) % count);
}

#define PICK(g, list) (list)[pick(g, ARRAY_LEN(list))]

static void put(struct generator *g, const char *text) {
    buf_append_str(&g->text, text);
}

static void put_block(struct generator *g, unsigned statements);
static void put_value(struct generator *g);

static void put_number(struct generator *g) {
    static const char *const numbers[] = {
        "0",    "1",     "-1",     "2",      "3",   "7",          "64",    "200",
        "1000", "1e5",   "1e6",    "2^31",   "-5",  "math.huge",  "0/0",   "math.mininteger",
        "1e15", "0.5",   "1e19",   "3e4",    "1e7", "-math.huge", "1e308", "math.maxinteger",
        "255",  "100",   "1e4",    "16",     "20",  "(i or 3)",   "#V",    "65",
        "2^15", "65535", "131071", "2.0^-52"};
    put(g, PICK(g, numbers));
}

static void put_text(struct generator *g) {
    static const char *const texts[] = {"''",
                                        "'x'",
                                        "'a.b'",
                                        "'%s%d'",
                                        "'%q'",
                                        "'k'",
                                        "'.-.-.-x'",
                                        "'(a*)*b'",
                                        "'[%w_]+'",
                                        "'%b()'",
                                        "'%f[%w]'",
                                        "'^(.-)$'",
                                        "'%1%2'",
                                        "'[1,{\"a\":2}]'",
                                        "'\\0\\xff'",
                                        "'!4i4s2z'",
                                        "'*t'",
                                        "'%c %x'",
                                        "'12'",
                                        "'0x10'",
                                        "' 1e400 '",
                                        "'__index'",
                                        "'__mode'",
                                        "'return ...'",
                                        "'/room'",
                                        "'%5.3s%-9q%a'",
                                        "'\\u{10FFFF}'",
                                        "'kv'",
                                        "'n'",
                                        "'\\n\\t\\\\'"};
    static const char *const sizes[] = {"3", "99", "5000", "1e5", "1e6", "4e6", "15e6"};
    switch (pick(g, 6)) {
    case 0:
        put(g, "(");
        put(g, PICK(g, texts));
        put(g, "):rep(");
        put(g, PICK(g, sizes));
        put(g, "//1|0)");
        break;
    case 1:
        put(g, "tostring(");
        put_value(g);
        put(g, ")");
        break;
    default: put(g, PICK(g, texts)); break;
    }
}

static void put_function(struct generator *g) {
    static const char *const heads[] = {"function(...) ", "function(a, b) ", "function(a) "};
    static const char *const ends[] = {" end", " return a end", " return ... end",
                                       " return true end", " return V[1] end"};
    if (pick(g, 3) == 0) {
        buf_printf(&g->text, "F[%u]", pick(g, 130) + 1);
        return;
    }
    const char *head = PICK(g, heads), *end = PICK(g, ends);
    put(g, "(");
    put(g, head);
    put_block(g, 1 + pick(g, 2));
    put(g, strstr(head, "...") == NULL && strstr(end, "...") != NULL ? " end" : end);
    put(g, ")");
}

static void put_table(struct generator *g) {
    static const char *const fields[] = {"a",         "b",   "data", "name",   "group",
                                         "client_id", "n",   "code", "reason", "year",
                                         "month",     "day", "key"};
    switch (pick(g, 7)) {
    case 0: put(g, "list("), put_number(g), put(g, ", "), put_value(g), put(g, ")"); return;
    case 1: put(g, "keyed("), put_number(g), put(g, ", "), put_value(g), put(g, ")"); return;
    case 3: put(g, "spaced("), put_number(g), put(g, ", "), put_number(g), put(g, ")"); return;
    case 2:
        put(g, "meta(");
        put_value(g);
        put(g, ", ");
        put_function(g);
        buf_printf(&g->text, ", %u)", pick(g, 1u << 20));
        return;
    default: break;
    }
    put(g, "{");
    for (unsigned i = pick(g, 4); i > 0; i--) {
        if (pick(g, 2) == 0)
            buf_printf(&g->text, "%s = ", PICK(g, fields));
        put_value(g);
        put(g, ", ");
    }
    put(g, "}");
}

static void put_operation(struct generator *g) {
    static const char *const operators[] = {"+", "-",  "*",  "/", "%", "^",  "//",  "..", "==",
                                            "<", "<=", "~=", "&", "|", "<<", "and", "or", ".."};
    put(g, "(");
    put_value(g);
    buf_printf(&g->text, " %s ", PICK(g, operators));
    put_value(g);
    put(g, ")");
}

static void put_call(struct generator *g) {
    buf_printf(&g->text, "(select(2, pcall(F[%u]", pick(g, 130) + 1);
    for (unsigned i = pick(g, 5); i > 0; i--) {
        put(g, ", ");
        put_value(g);
    }
    put(g, ")))");
}

static void put_value(struct generator *g) {
    static const char *const others[] = {"nil", "true", "false", "signalbox.null", "V", "_G"};
    unsigned kind = g->depth > 5 ? pick(g, 9) : pick(g, 16);
    g->depth++;
    switch (kind) {
    case 0:
    case 1:
    case 2: put_number(g); break;
    case 3:
    case 4: put_text(g); break;
    case 5: put(g, PICK(g, others)); break;
    case 6:
    case 7:
    case 8: buf_printf(&g->text, "V[%u]", pick(g, 8) + 1); break;
    case 9:
    case 10: put_table(g); break;
    case 11: put_function(g); break;
    case 12: put(g, "coroutine.create("), put_function(g), put(g, ")"); break;
    case 13: put_operation(g); break;
    default: put_call(g); break;
    }
    g->depth--;
}

static void put_loop(struct generator *g) {
    static const char *const heads[] = {
        "for i = 1, 3 do ",          "for i = 1, 100 do ",
        "for i = 1, 1e5 do ",        "while true do ",
        "for i = 1, 1e9 do ",        "for k, v in pairs(V) do ",
        "repeat local z = next(V) ", "for i = 1, 20 do local x <close> = closer(V[2]) "};
    const char *head = PICK(g, heads);
    put(g, head);
    put_block(g, 1 + pick(g, 3));
    put(g, strncmp(head, "repeat", 6) == 0 ? " until false " : " end ");
}

static void put_statement(struct generator *g) {
    switch (g->depth > 6 ? pick(g, 4) : pick(g, 11)) {
    case 0:
    case 1:
    case 2:
        buf_printf(&g->text, "V[%u] = ", pick(g, 8) + 1);
        put_value(g);
        break;
    case 3: put(g, "local z = "), put_value(g); break;
    case 4: put_loop(g); break;
    case 5: put(g, "pcall("), put_function(g), put(g, ", "), put_value(g), put(g, ")"); break;
    case 6: put(g, "pcall(coroutine.wrap("), put_function(g), put(g, "))"); break;
    case 7: put(g, "xpcall("), put_function(g), put(g, ", "), put_function(g), put(g, ")"); break;
    case 8: put(g, "if "), put_value(g), put(g, " then "), put_block(g, 2), put(g, " end"); break;
    case 9: put(g, "local z = "), put_call(g); break;
    default:
        put(g, "do local x <close> = closer("), put_function(g), put(g, ") "), put_block(g, 2),
            put(g, " end");
        break;
    }
    put(g, " ");
}

static void put_block(struct generator *g, unsigned statements) {
    g->depth += 2;
    while (statements-- > 0)
        put_statement(g);
    g->depth -= 2;
}

static void put_program(struct generator *g) {
    g->depth = 0;
    buf_clear(&g->text);
    for (unsigned i = 2 + pick(g, 6); i > 0; i--)
        put_statement(g);
}

/* --- running it --- */

/* F: every function there is, in one order. A program may sleep, but not for ever. */
static const char app[] =
    "F, V = {}, {}\n"
    "local seen, names = {}, {}\n"
    "local function walk(t, path)\n"
    "  if seen[t] then return end seen[t] = true\n"
    "  for k, v in pairs(t) do\n"
    "    if type(v) == 'function' then names[path .. k] = v\n"
    "    elseif type(v) == 'table' and v ~= F and v ~= V then walk(v, path .. k .. '.') end\n"
    "  end\n"
    "end\n"
    "walk(_G, '')\n"
    "local naps = 0\n"
    "names['signalbox.sleep'] = function() naps = naps + 1\n"
    "  if naps > 20 then error('enough') end signalbox.sleep(0) end\n"
    "local order = {} for k in pairs(names) do order[#order + 1] = k end table.sort(order)\n"
    "for i, k in ipairs(order) do F[i] = names[k] end\n"
    "for i = #order + 1, 130 do F[i] = F[i % #order + 1] end\n"
    "function closer(f) return setmetatable({}, {__close = f}) end\n"
    "local function bounded(n) n = tonumber(n) or 0\n"
    "  return n > 1e6 and 1e6 or n > 0 and n // 1 or 3 end\n"
    "function list(n, v) local t = {} for i = 1, bounded(n) do t[i] = v end return t end\n"
    "function keyed(n, v) local t = {} for i = 1, bounded(n) do t['k' .. i] = v end return t end\n"
    "function spaced(n, d) local t = {} d = d ~= d and 1 or d\n"
    "  if d == d // 1 and math.abs(d) < 2^53 then d = d // 1 | 0 end\n"
    "  for i = 1, bounded(n) do local k = 1 + i * d t[k] = true end return t end\n"
    "local events = {'__index', '__newindex', '__call', '__add', '__concat', '__len', '__eq',\n"
    "  '__lt', '__le', '__tostring', '__close', '__pairs', '__name', '__unm', '__band', '__idiv'}\n"
    "function meta(t, f, bits)\n"
    "  local m = {} for i, e in ipairs(events) do if bits >> i & 1 == 1 then m[e] = f end end\n"
    "  if bits & 0x30000 == 0 then m.__index = V[1] end\n"
    "  if bits & 0xC0000 == 0 then m.__mode = 'k' m.__gc = f end\n"
    "  local ok, r = pcall(setmetatable, type(t) == 'table' and t or {}, m) m.__mode = 'k'\n"
    "  if ok and bits & 0x300000 == 0 then m.__index = r m.__newindex = r m.__call = r\n"
    "    pcall(setmetatable, r, m) end\n"
    "  return ok and r or m end\n"
    "signalbox.signal_route('/', function(text) naps = 0 assert(load(text))() end)\n";

struct run {
    struct world world;
    struct generator generator;
    double longest_ms;
    unsigned failed, wrong;
    bool is_shown;
};

static int push_program(void *ctx, lua_State *L) {
    struct bytes text = buf_bytes(ctx);
    lua_pushlstring(L, text.ptr, text.len);
    return 1;
}

static double processor_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The longest stretch of the handler. */
static double run_program(struct run *r) {
    const struct signal_route *route = &app_registrations(r->world.app)->signal_routes.items[0];
    struct app_handler handler = {.function = route->function,
                                  .arguments = LUA_NOREF,
                                  .label = "a program",
                                  .push = push_program,
                                  .on_end = NULL,
                                  .ctx = &r->generator.text};
    char *error = NULL;
    double begin = processor_ms(), longest;
    enum app_outcome outcome = app_call(r->world.app, &handler, NULL, &error);
    longest = processor_ms() - begin;
    r->failed += outcome == APP_FAILED;
    r->wrong += error != NULL && strstr(error, "[string") == NULL &&
                strstr(error, "processor time") == NULL;
    if (r->is_shown && error != NULL)
        printf("-- %s\n", error);
    free(error);
    while (app_waiting(r->world.app) > 0) {
        begin = processor_ms();
        uv_run(r->world.environment.loop, UV_RUN_ONCE);
        if (processor_ms() - begin > longest)
            longest = processor_ms() - begin;
    }
    return longest;
}

static void on_change(void *ctx, struct bytes field, struct bytes value) {
    struct run *r = ctx;
    if (r->world.app != NULL)
        app_apply_rule(r->world.app, field, value);
}

/* With a Redis of their own, `store`, locks and lists work; otherwise they are errors. */
static void open_bus(struct run *r, struct bus_room *room) {
    struct app_environment *e = &r->world.environment;
    e->loop = &room->loop;
    e->bus = bus_room_join(room, BUS_GATEWAY);
    e->registry = registry_new(e->bus);
    e->rules = rules_new(e->bus, on_change, r);
    r->world.settings.handler_timeout_ms = 300;
    r->world.settings.max_waiting_handlers = 100;
}

static void close_bus(struct run *r, struct bus_room *room) {
    struct app_environment *e = &r->world.environment;
    app_release(r->world.app);
    r->world.app = NULL;
    rules_free(e->rules);
    registry_free(e->registry);
    bus_close(e->bus);
    bus_room_ask(room, "FLUSHALL");
    bus_room_turn(room, 1);
}

/* The longest stretch of all programs of a seed. room may be NULL. */
static double run_seed(uint64_t seed, bool is_shown, struct bus_room *room) {
    struct run r = {.generator.state = seed * 0x9E3779B97F4A7C15u + 1, .is_shown = is_shown};
    world_open(&r.world);
    r.world.settings.lua_budget_ms = BUDGET_MS;
    r.world.settings.lua_memory_bytes = (int64_t)MEMORY_MIB << 20;
    if (room != NULL)
        open_bus(&r, room);
    world_must_load(&r.world, app);
    for (int i = 0; i < PROGRAMS; i++) {
        put_program(&r.generator);
        if (is_shown)
            printf("%.*s\n", BYTES_FMT(buf_bytes(&r.generator.text)));
        double took = run_program(&r);
        if (is_shown)
            printf("-- %.1f ms\n", took);
        r.longest_ms = took > r.longest_ms ? took : r.longest_ms;
        buf_clear(&r.world.sent);
    }
    if (room != NULL)
        close_bus(&r, room);
    world_close_all(&r.world);
    buf_deinit(&r.generator.text);
    return r.longest_ms;
}

static void test_programs(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS_QUICK; seed++) {
        double took = run_seed(seed, false, NULL);
        if (took > QUICK_MS)
            fail_msg("seed %llu: a program ran for %.0f ms", (unsigned long long)seed, took);
    }
}

/* 1 when a program took longer than twice its budget. */
static int run_long(double seconds, uint64_t seed, struct bus_room *room) {
    time_t end = time(NULL) + (time_t)seconds;
    double longest = 0;
    int status = 0;
    uint64_t first = seed;
    for (; time(NULL) < end; seed++) {
        double took = run_seed(seed, false, room);
        bool is_too_long = took > 2 * BUDGET_MS + NOISE_MS;
        if (took > longest || is_too_long)
            printf("seed %llu: %.1f ms%s\n", (unsigned long long)seed, took,
                   is_too_long ? " TOO LONG" : "");
        fflush(stdout);
        longest = took > longest ? took : longest;
        status |= is_too_long;
    }
    printf("%llu seeds, the longest stretch took %.1f ms\n", (unsigned long long)(seed - first),
           longest);
    return status;
}

static int run_file(const char *path) {
    struct run r = {.is_shown = true};
    char text[65536];
    FILE *file = fopen(path, "rbe");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    buf_append(&r.generator.text, (struct bytes){text, len});
    world_open(&r.world);
    r.world.settings.lua_budget_ms = BUDGET_MS;
    r.world.settings.lua_memory_bytes = (int64_t)MEMORY_MIB << 20;
    world_must_load(&r.world, app);
    for (int i = 0; i < 5; i++)
        printf("%.1f ms\n", run_program(&r));
    world_close_all(&r.world);
    buf_deinit(&r.generator.text);
    return 0;
}

int main(int count, char **arguments) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_programs)};
    struct bus_room room, *redis = NULL;
    int status;
    if (count > 1 && strcmp(arguments[1], "redis") == 0) {
        bus_room_init(&room, 1);
        redis = &room;
        arguments++;
        count--;
    }
    if (count > 2 && strcmp(arguments[1], "show") == 0)
        status = run_seed(strtoull(arguments[2], NULL, 10), true, redis) > 2 * BUDGET_MS + NOISE_MS;
    else if (count > 2 && strcmp(arguments[1], "run") == 0)
        status = run_file(arguments[2]);
    else if (count > 1)
        status = run_long(strtod(arguments[1], NULL),
                          count > 2 ? strtoull(arguments[2], NULL, 10) : 1, redis);
    else
        status = cmocka_run_group_tests(tests, NULL, NULL);
    if (redis != NULL)
        bus_room_deinit(redis);
    return status;
}
