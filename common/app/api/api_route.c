/* api_route.c - signalbox.route, static, origins and name: what gateways serve, and to whom. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/base/log.h"
#include "common/http/http_origin.h"

static bool is_method(const char *text) {
    if (strcmp(text, "*") == 0)
        return true;
    for (const char *c = text; *c != '\0'; c++)
        if (!isalpha((unsigned char)*c))
            return false;
    return text[0] != '\0';
}

static size_t count_placeholders(const char *path) {
    size_t count = 0;
    while ((path = strstr(path, "/:")) != NULL) {
        path += 2;
        count += *path != '/' && *path != '\0';
    }
    return count;
}

static const char *check_path(lua_State *L, int arg) {
    const char *path = api_check_path(L, arg, "path", "");
    const char *star = strchr(path, '*');
    if (star != NULL && (star[1] != '\0' || (star > path && star[-1] != '/')))
        luaL_argerror(L, arg, "'*' may only be the last segment of the path");
    if (count_placeholders(path) > ROUTE_PARAMS_MAX)
        luaL_argerror(L, arg, "the path has more than 16 placeholders");
    return path;
}

static bool is_same(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcasecmp(a, b) == 0;
}

static void check_is_new(lua_State *L, const struct registrations *r, const struct route *wanted) {
    for (size_t i = 0; i < r->routes.count; i++) {
        const struct route *had = &r->routes.items[i];
        if (strcasecmp(had->method, wanted->method) == 0 &&
            strcasecmp(had->path, wanted->path) == 0 && is_same(had->endpoint, wanted->endpoint))
            luaL_error(L, "[%s] %s: Already defined", wanted->method, wanted->path);
    }
}

static char *upper_copy(const char *text) {
    char *copy = mem_strdup(text);
    for (char *c = copy; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return copy;
}

/* route(method, path, handler [, { endpoint= }]) */
int api_route(lua_State *L) {
    static const char *const allowed[] = {"endpoint", NULL};
    struct app *a = api_main_chunk(L, "route");
    lua_settop(L, 4);
    const char *method = api_check_text(L, 1, "method"), *endpoint = NULL;
    luaL_argcheck(L, is_method(method), 1, "no HTTP method");
    const char *path = check_path(L, 2);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    if (!lua_isnil(L, 4)) {
        api_check_options(L, 4, allowed);
        endpoint = api_option_text(L, 4, "endpoint");
    }
    struct route wanted = {(char *)method, (char *)path, (char *)endpoint, LUA_NOREF};
    check_is_new(L, a->registrations, &wanted);
    int function = api_function_ref(L, 3);
    *ARRAY_ADD(&a->registrations->routes) =
        (struct route){upper_copy(method), mem_strdup(path),
                       endpoint == NULL ? NULL : mem_strdup(endpoint), function};
    return 0;
}

/* static(prefix, folder) */
int api_static(lua_State *L) {
    struct app *a = api_main_chunk(L, "static");
    lua_settop(L, 2);
    const char *prefix = api_check_path(L, 1, "prefix", ""),
               *folder = api_check_text(L, 2, "folder");
    luaL_argcheck(L, strchr(prefix, '*') == NULL, 1, "a prefix has no '*'");
    struct static_folder *f = ARRAY_ADD(&a->registrations->static_folders);
    struct buf text = {0};
    buf_append_str(&text, prefix);
    if (text.len > 1 && text.ptr[text.len - 1] == '/')
        text.len--;
    f->prefix = buf_take(&text);
    f->folder = api_path(a, folder);
    return 0;
}

/* The form in which it is compared; raises when it would never match. */
static void check_origin(lua_State *L, struct bytes text, struct http_origin *out) {
    const char *error = http_origin_parse(text, out);
    if (bytes_equal_str(text, "null"))
        error = "is what every sandboxed page sends";
    if (error != NULL)
        luaL_argerror(L, 1,
                      lua_pushfstring(L, "an origin is \"*\" or like \"https://a.example\", %s %s",
                                      log_text(text), error));
}

/* origins { "https://a.example", … } */
int api_origins(lua_State *L) {
    struct app *a = api_main_chunk(L, "origins");
    struct http_origin origin;
    struct bytes one;
    luaL_checktype(L, 1, LUA_TTABLE);
    struct bytes_list list = api_check_list(L, 1, "origins", &one);
    for (size_t i = 0; i < list.count; i++)
        if (!bytes_equal_str(list.items[i], "*"))
            check_origin(L, list.items[i], &origin);
    for (size_t i = 0; i < list.count; i++) {
        bool is_any = bytes_equal_str(list.items[i], "*");
        if (!is_any)
            check_origin(L, list.items[i], &origin);
        *ARRAY_ADD(&a->registrations->origins) = mem_strdup(is_any ? "*" : origin.text);
    }
    return 0;
}

static enum slow_policy read_slow(lua_State *L) {
    static const struct {
        const char *text;
        enum slow_policy policy;
    } policies[] = {{"close", SLOW_CLOSE},
                    {"drop_oldest", SLOW_DROP_OLDEST},
                    {"drop_newest", SLOW_DROP_NEWEST},
                    {"latest", SLOW_LATEST}};
    const char *text = api_option_text(L, 2, "slow");
    if (text == NULL)
        return SLOW_CLOSE;
    for (size_t i = 0; i < ARRAY_LEN(policies); i++)
        if (strcmp(policies[i].text, text) == 0)
            return policies[i].policy;
    luaL_argerror(L, 2, "the option 'slow' is close, drop_oldest, drop_newest or latest");
    return SLOW_CLOSE;
}

static bool read_on_gap(lua_State *L) {
    const char *text = api_option_text(L, 2, "on_gap");
    bool is_continue = text != NULL && strcmp(text, "continue") == 0;
    if (text != NULL && !is_continue && strcmp(text, "close") != 0)
        luaL_argerror(L, 2, "the option 'on_gap' is close or continue");
    return is_continue;
}

/* name("Name", { slow=, history=, on_gap= }) */
int api_name(lua_State *L) {
    static const char *const allowed[] = {"slow", "history", "on_gap", NULL};
    struct app *a = api_main_chunk(L, "name");
    const char *name = api_check_text(L, 1, "name");
    api_check_options(L, 2, allowed);
    enum slow_policy slow = read_slow(L);
    bool has_history = api_option_bool(L, 2, "history", true), continues = read_on_gap(L);
    for (size_t i = 0; i < a->registrations->name_options.count; i++)
        if (strcmp(a->registrations->name_options.items[i].name, name) == 0)
            return luaL_error(L, "the Name '%s' has its options already", name);
    *ARRAY_ADD(&a->registrations->name_options) =
        (struct name_options){mem_strdup(name), slow, has_history, continues};
    return 0;
}
