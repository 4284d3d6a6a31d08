/*
 * app_rules.c - see app_rules.h. Read app_apply_rule first.
 *
 * A rule that is applied again changes nothing. A registration that a rule replaces is kept in
 * `shared` if it is the app file's own, and is given back when the rule goes.
 */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/running/app_rules.h"
#include "common/app/running/app_state.h"
#include "common/base/table.h"
#include "common/json/json_text.h"
#include "common/base/fold.h"
#include "common/base/log.h"

/* A registration that the cluster decided about. */
struct shared {
    UT_hash_handle hh;
    struct buf value; /* of the rule */
    struct app_change identity;
    bool is_from_app; /* the app file's own is kept here */
    struct signal_route own_route;
    struct event_handler own_event;
    size_t field_len;
    char field[];
};

static struct shared *find(struct app *a, struct bytes field) {
    struct shared *s;
    HASH_FIND(hh, a->shared, field.ptr, field.len, s);
    return s;
}

static char *copy_or_null(const char *text) {
    return text == NULL ? NULL : mem_strdup(text);
}

static struct shared *add(struct app *a, struct bytes field, const struct app_change *c) {
    struct shared *s = mem_zalloc(sizeof(*s) + field.len);
    memcpy(s->field, field.ptr, field.len);
    s->field_len = field.len;
    s->identity = *c;
    s->identity.is_set = false;
    s->identity.path = copy_or_null(c->path);
    s->identity.endpoint = copy_or_null(c->endpoint);
    s->identity.name = copy_or_null(c->name);
    s->identity.event_name = copy_or_null(c->event_name);
    HASH_ADD_KEYPTR(hh, a->shared, s->field, s->field_len, s);
    return s;
}

static void forget(struct app *a, struct shared *s) {
    HASH_DEL(a->shared, s);
    buf_deinit(&s->value);
    free((char *)s->identity.path);
    free((char *)s->identity.endpoint);
    free((char *)s->identity.name);
    free((char *)s->identity.event_name);
    signal_route_deinit(&s->own_route);
    event_handler_deinit(&s->own_event);
    free(s);
}

void app_rules_free(struct app *a) {
    struct shared *s, *next;
    HASH_ITER (hh, a->shared, s, next)
        forget(a, s);
}

/* --- registrations --- */

struct references {
    int function, arguments;
};

static int drop_references(lua_State *L) {
    const struct references *r = lua_touserdata(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, r->function);
    luaL_unref(L, LUA_REGISTRYINDEX, r->arguments);
    return 0;
}

static void drop(struct app *a, int function, int arguments) {
    struct references r = {function, arguments};
    (void)sandbox_protected(&a->sandbox, drop_references, &r, NULL);
}

/* Removes the registration that is there now; the app file's own is kept in `shared`. Both return
 * the place where it stood, or the end: what replaces it goes there, since the order matters for
 * '*'. */
static size_t clear_route(struct app *a, struct shared *s) {
    struct registrations *r = a->registrations;
    struct signal_route *there =
        registrations_find_signal_route(r, s->identity.path, s->identity.endpoint);
    if (there == NULL)
        return r->signal_routes.count;
    size_t place = (size_t)(there - r->signal_routes.items);
    struct signal_route taken = registrations_take_signal_route(r, there);
    if (!s->identity.is_set && !s->is_from_app) {
        s->is_from_app = true;
        s->own_route = taken;
        return place;
    }
    drop(a, taken.function, taken.arguments);
    signal_route_deinit(&taken);
    return place;
}

static size_t clear_event(struct app *a, struct shared *s) {
    struct registrations *r = a->registrations;
    struct event_handler *there =
        registrations_find_event(r, s->identity.type, s->identity.name, s->identity.event_name);
    if (there == NULL)
        return r->event_handlers.count;
    size_t place = (size_t)(there - r->event_handlers.items);
    struct event_handler taken = registrations_take_event(r, there);
    if (!s->identity.is_set && !s->is_from_app) {
        s->is_from_app = true;
        s->own_event = taken;
        return place;
    }
    drop(a, taken.function, taken.arguments);
    event_handler_deinit(&taken);
    return place;
}

static size_t clear(struct app *a, struct shared *s) {
    size_t place = s->identity.is_route ? clear_route(a, s) : clear_event(a, s);
    s->identity.is_set = false;
    return place;
}

static void set(struct app *a, struct shared *s, size_t place, int function, int arguments) {
    const struct app_change *c = &s->identity;
    if (c->is_route)
        *ARRAY_INSERT(&a->registrations->signal_routes, place) = (struct signal_route){
            mem_strdup(c->path), copy_or_null(c->endpoint), function, arguments};
    else
        *ARRAY_INSERT(&a->registrations->event_handlers, place) = (struct event_handler){
            c->type, mem_strdup(c->name), mem_strdup(c->event_name), function, arguments};
    s->identity.is_set = true;
}

static void give_back_own(struct app *a, struct shared *s) {
    size_t place = clear(a, s);
    if (s->is_from_app && s->identity.is_route) {
        *ARRAY_INSERT(&a->registrations->signal_routes, place) = s->own_route;
        s->own_route = (struct signal_route){0};
    } else if (s->is_from_app) {
        *ARRAY_INSERT(&a->registrations->event_handlers, place) = s->own_event;
        s->own_event = (struct event_handler){0};
    }
    forget(a, s);
}

void app_change_make(struct app *a, const struct app_change *c, struct bytes value) {
    struct buf field = {0};
    function_code_field(c, &field);
    struct shared *s = find(a, buf_bytes(&field));
    if (s == NULL)
        s = add(a, buf_bytes(&field), c);
    size_t place = clear(a, s);
    if (c->is_set)
        set(a, s, place, c->function, c->arguments);
    buf_clear(&s->value);
    buf_append(&s->value, value);
    buf_deinit(&field);
}

static int build(lua_State *L) {
    struct function_code *code = lua_touserdata(L, 1);
    function_code_build(L, code);
    return 0;
}

static void apply_registration(struct app *a, struct bytes field, struct bytes value) {
    struct shared *s = find(a, field);
    struct function_code code = {0};
    struct buf error = {0};
    if (s != NULL && bytes_equal(buf_bytes(&s->value), value))
        return;
    if (value.len == 0) {
        if (s != NULL)
            give_back_own(a, s);
        return;
    }
    struct budget *budget = &a->sandbox.budget;
    struct slice slice = budget_slice(budget, 1);
    struct entered before = budget_enter(budget, &slice, a->sandbox.L);
    bool is_fine = function_code_read(&code, value, &error) &&
                   (!code.change.is_set || sandbox_protected(&a->sandbox, build, &code, &error));
    budget_leave(budget, before);
    if (is_fine)
        app_change_make(a, &code.change, value);
    else
        log_warn("app", "ignored rule=%s why=%s", LOG_TEXT(field), LOG_TEXT(buf_bytes(&error)));
    function_code_free(&code);
    buf_deinit(&error);
}

/* --- settings --- */

static void apply_level(struct app *a, struct bytes name, struct bytes value) {
    enum level level = LEVEL_UNSET;
    if (value.len > 0 && !level_parse(value, &level)) {
        log_warn("app", "ignored level=%s name=%s", LOG_TEXT(value), LOG_TEXT(name));
        return;
    }
    levels_set(a->registrations->levels, LEVEL_FROM_CLUSTER,
               bytes_equal_str(name, "*") ? BYTES_NONE : name, level);
}

static void apply_default_broadcast(struct app *a, struct bytes name, struct bytes value) {
    enum open_state state = bytes_equal_str(value, "on")    ? OPEN_YES
                            : bytes_equal_str(value, "off") ? OPEN_NO
                                                            : OPEN_UNSET;
    if (state == OPEN_UNSET && value.len > 0) {
        log_warn("app", "ignored default=%s name=%s", LOG_TEXT(value), LOG_TEXT(name));
        return;
    }
    default_broadcast_set(a->registrations->default_broadcast, LEVEL_FROM_CLUSTER,
                          bytes_equal_str(name, "*") ? BYTES_NONE : name, state);
}

static void use_signing(struct app *a, bool is_on, const char *secret, bool is_strict,
                        bool uses_server_secret) {
    struct signing *s = &a->registrations->signing;
    signing_set(s, is_on, uses_server_secret ? a->server_secret : secret, is_strict);
    s->uses_server_secret = uses_server_secret;
}

static void apply_signing(struct app *a, struct bytes value) {
    struct buf error = {0}, secret = {0};
    const struct signing *own = &a->own_signing;
    if (value.len == 0) {
        use_signing(a, own->is_on, own->secret, own->is_strict, own->uses_server_secret);
        return;
    }
    struct json_document *d = json_open(value, &error);
    if (d == NULL) {
        log_warn("app", "ignored rule=signing why=%s", LOG_TEXT(buf_bytes(&error)));
        buf_deinit(&error);
        return;
    }
    json_append_text(&secret, json_member(json_root(d), "secret"));
    bool uses_server_secret = bytes_equal_str(buf_bytes(&secret), APP_SERVER_SECRET_MARKER);
    bool is_on = json_is_truthy(json_member(json_root(d), "on"));
    const char *why = is_on ? signing_secret_error(buf_bytes(&secret)) : NULL;
    buf_append_char(&secret, '\0');
    if (why != NULL)
        log_warn("app", "ignored rule=signing why=%s", LOG_TEXT(bytes_str(why)));
    else
        use_signing(a, is_on, secret.ptr, json_is_truthy(json_member(json_root(d), "strict")),
                    uses_server_secret);
    buf_deinit(&secret);
    json_close(d);
}

void app_set_server_secret(struct app *a, struct bytes secret) {
    struct signing *s = &a->registrations->signing;
    free(a->server_secret);
    a->server_secret = bytes_dup(secret);
    if (s->uses_server_secret)
        use_signing(a, s->is_on, NULL, s->is_strict, true);
}

void app_apply_rule(struct app *a, struct bytes field, struct bytes value) {
    if (bytes_starts_with(field, BYTES_LIT("level:")))
        apply_level(a, bytes_from(field, 6), value);
    else if (bytes_starts_with(field, BYTES_LIT("default:")))
        apply_default_broadcast(a, bytes_from(field, 8), value);
    else if (bytes_equal_str(field, "scope"))
        a->registrations->default_scope = value.len == 0                    ? a->own_scope
                                          : bytes_equal_str(value, "local") ? SCOPE_LOCAL
                                                                            : SCOPE_GLOBAL;
    else if (bytes_equal_str(field, "signing"))
        apply_signing(a, value);
    else if (bytes_starts_with(field, BYTES_LIT("route:")) ||
             bytes_starts_with(field, BYTES_LIT("event:")))
        apply_registration(a, field, value);
}
