/* api_setup.c - signalbox.endpoint, route, static, origins, name and schedule: what the main chunk
 * of the app file sets up, once and for all. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "common/app/api/api.h"
#include "common/base/log.h"
#include "common/bus/log/look_back.h"
#include "common/http/http_origin.h"

/* --- endpoints --- */

enum { PORT_PLAIN = 8080, PORT_TLS = 8443 };

/* What the options say; texts are Lua's. */
struct wish {
    const char *address, *name, *hostname;
    int port;
    bool is_http, is_ws, is_tls, auto_upgrade;
    enum proxy_versions proxy;
    struct tls_server tls; /* its certificates are these: */
    struct tls_files certificates[TLS_CERTIFICATES_MAX];
};

static void read_protocol(lua_State *L, struct wish *w) {
    const char *protocol = api_option_text(L, 1, "protocol");
    if (protocol == NULL)
        luaL_argerror(L, 1, "the option 'protocol' is missing: http, https, ws or wss");
    w->is_http = strncmp(protocol, "http", 4) == 0;
    w->is_ws = strncmp(protocol, "ws", 2) == 0;
    const char *rest = protocol + (w->is_http ? 4 : 2);
    w->is_tls = strcmp(rest, "s") == 0;
    if ((!w->is_http && !w->is_ws) || (!w->is_tls && *rest != '\0'))
        api_arg_error(L, 1, "the protocol '%s' is none of http, https, ws, wss", protocol);
}

/* The path beside the app file, as a string of Lua. */
static const char *push_path(lua_State *L, const struct app *a, const char *path) {
    if (path == NULL)
        return NULL;
    return path[0] == '/' ? path : lua_pushfstring(L, "%s/%s", a->sandbox.folder, path);
}

/* The one that the table at index 1 describes. */
static void read_certificate(lua_State *L, struct wish *w) {
    const struct app *a = app_of(L);
    struct tls_files f = {
        .certificate = push_path(L, a, api_option_text(L, 1, "certificate")),
        .key = push_path(L, a, api_option_text(L, 1, "key")),
        .password = api_option_text(L, 1, "password"),
        .password_file = push_path(L, a, api_option_text(L, 1, "password_file")),
        .ocsp = push_path(L, a, api_option_text(L, 1, "ocsp")),
    };
    bool has_any = f.certificate != NULL || f.key != NULL || f.password != NULL ||
                   f.password_file != NULL || f.ocsp != NULL;
    if (has_any && !w->is_tls)
        luaL_argerror(L, 1, "certificate, key and password are for https and wss");
    if (has_any && f.certificate == NULL)
        luaL_argerror(L, 1, "a key or a password needs its certificate");
    if (has_any && w->tls.count == TLS_CERTIFICATES_MAX)
        luaL_argerror(L, 1, "an endpoint has at most 64 certificates");
    if (has_any)
        w->certificates[w->tls.count++] = f;
}

/* The list `certificates`: its tables take the place of the argument in turn. */
static void read_certificates(lua_State *L, struct wish *w) {
    static const char *const allowed[] = {"certificate",   "key",  "password",
                                          "password_file", "ocsp", NULL};
    w->tls.certificates = w->certificates;
    read_certificate(L, w);
    lua_pushvalue(L, 1);
    int options = lua_gettop(L);
    lua_pushliteral(L, "certificates");
    int type = lua_rawget(L, options);
    if (type != LUA_TNIL && type != LUA_TTABLE)
        luaL_argerror(L, 1, "the option 'certificates' must be a list of tables");
    int list = lua_gettop(L);
    lua_Unsigned count = type == LUA_TTABLE ? lua_rawlen(L, list) : 0;
    for (lua_Unsigned i = 1; i <= count; i++) {
        if (lua_rawgeti(L, list, (lua_Integer)i) != LUA_TTABLE)
            luaL_argerror(L, 1, "the option 'certificates' must be a list of tables");
        lua_replace(L, 1);
        api_check_options(L, 1, allowed);
        read_certificate(L, w);
    }
    lua_pushvalue(L, options);
    lua_replace(L, 1);
}

static void read_clients(lua_State *L, struct wish *w) {
    const char *which = api_option_text(L, 1, "client_certificate");
    w->tls.client_ca = push_path(L, app_of(L), api_option_text(L, 1, "client_ca"));
    w->tls.takes_any_client = which != NULL && strcmp(which, "optional") == 0;
    if (which != NULL && !w->tls.takes_any_client && strcmp(which, "required") != 0)
        luaL_argerror(L, 1, "client_certificate is 'required' or 'optional'");
    if (which != NULL && w->tls.client_ca == NULL)
        luaL_argerror(L, 1, "client_certificate needs client_ca");
    if (w->tls.client_ca != NULL && !w->is_tls)
        luaL_argerror(L, 1, "client_ca is for https and wss");
}

static void read_wish(lua_State *L, struct wish *w) {
    static const char *const allowed[] = {"address",
                                          "port",
                                          "protocol",
                                          "name",
                                          "hostname",
                                          "certificate",
                                          "key",
                                          "password",
                                          "auto_upgrade",
                                          "password_file",
                                          "certificates",
                                          "ocsp",
                                          "client_ca",
                                          "client_certificate",
                                          "proxy_protocol",
                                          NULL};
    api_check_options(L, 1, allowed);
    read_protocol(L, w);
    read_certificates(L, w);
    read_clients(L, w);
    w->address = api_option_text(L, 1, "address");
    if (w->address == NULL)
        w->address = "*";
    lua_Integer port = api_option_integer(L, 1, "port", w->is_tls ? PORT_TLS : PORT_PLAIN);
    if (port < 1 || port > 65535)
        luaL_argerror(L, 1, lua_pushfstring(L, "the port %I is not between 1 and 65535", port));
    w->port = (int)port;
    w->name = api_option_text(L, 1, "name");
    w->hostname = api_option_text(L, 1, "hostname");
    w->auto_upgrade = api_option_bool(L, 1, "auto_upgrade", false);
    const char *proxy = api_option_text(L, 1, "proxy_protocol");
    if (proxy != NULL && !endpoint_parse_proxy(bytes_str(proxy), &w->proxy))
        api_arg_error(L, 1, "proxy_protocol '%s' is none of v1, v2, any", proxy);
}

static struct endpoint *find_endpoint(struct registrations *r, const struct wish *w) {
    for (size_t i = 0; i < r->endpoints.count; i++) {
        struct endpoint *e = &r->endpoints.items[i];
        if (e->port == w->port && strcmp(e->address, w->address) == 0)
            return e;
    }
    return NULL;
}

/* Whether both have certificates, and not the same. */
static bool has_other_certificates(const struct endpoint *e, const struct wish *w) {
    if (e->tls.count == 0 || w->tls.count == 0)
        return false;
    bool is_same = e->tls.count == w->tls.count;
    for (size_t i = 0; i < w->tls.count && is_same; i++)
        is_same = strcmp(e->tls.certificates[i].certificate, w->certificates[i].certificate) == 0;
    return !is_same;
}

static bool is_other(const char *had, const char *wanted) {
    return had != NULL && wanted != NULL && strcmp(had, wanted) != 0;
}

static void check_name(lua_State *L, const struct registrations *r, const struct wish *w,
                       const struct endpoint *same) {
    for (size_t i = 0; w->name != NULL && i < r->endpoints.count; i++) {
        const struct endpoint *e = &r->endpoints.items[i];
        if (e != same && e->name != NULL && strcmp(e->name, w->name) == 0)
            api_arg_error(L, 1, "another endpoint has the name '%s'", w->name);
    }
}

static void check_wish(lua_State *L, const struct wish *w, const struct endpoint *same) {
    if (same != NULL && same->is_tls != w->is_tls)
        luaL_argerror(L, 1, "one port cannot speak with and without TLS");
    if (w->is_tls && w->tls.count == 0 && same == NULL)
        luaL_argerror(L, 1, "https and wss need a certificate");
    if (w->auto_upgrade && !w->is_ws)
        luaL_argerror(L, 1, "auto_upgrade is for ws and wss");
    if (same != NULL && w->tls.client_ca != NULL &&
        (is_other(same->tls.client_ca, w->tls.client_ca) || same->tls.client_ca == NULL ||
         same->tls.takes_any_client != w->tls.takes_any_client))
        luaL_argerror(L, 1, "the endpoint of this address and port has other client certificates");
    if (same != NULL && is_other(same->hostname, w->hostname))
        luaL_argerror(L, 1, "the endpoint of this address and port has another hostname");
    if (same != NULL && same->proxy != w->proxy)
        luaL_argerror(L, 1, "the endpoint of this address and port has another proxy_protocol");
}

static void take_text(char **text, const char *wanted) {
    if (*text == NULL && wanted != NULL)
        *text = mem_strdup(wanted);
}

static void merge(struct endpoint *e, const struct wish *w) {
    if (w->is_ws)
        e->auto_upgrade = w->auto_upgrade && (!e->is_ws || e->auto_upgrade);
    e->is_ws |= w->is_ws;
    e->is_http |= w->is_http;
    e->is_tls = w->is_tls;
    e->port = w->port;
    e->proxy = w->proxy;
    take_text(&e->address, w->address);
    take_text(&e->name, w->name);
    take_text(&e->hostname, w->hostname);
    if (e->tls.count == 0)
        endpoint_set_tls(e, &w->tls);
}

/* endpoint { protocol=, address=, port=, … }. Several calls for one address and port make one
 * endpoint (decision D12). */
int api_endpoint(lua_State *L) {
    struct app *a = api_main_chunk(L, "endpoint");
    struct wish w = {0};
    read_wish(L, &w);
    struct endpoint *e = find_endpoint(a->registrations, &w);
    check_wish(L, &w, e);
    check_name(L, a->registrations, &w, e);
    if (e != NULL && has_other_certificates(e, &w))
        luaL_argerror(L, 1, "the endpoint of this address and port has another certificate");
    if (e == NULL)
        e = ARRAY_ADD(&a->registrations->endpoints);
    merge(e, &w);
    return 0;
}

/* --- routes --- */

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

static void check_is_new(lua_State *L, const struct registrations *r, const struct route *wanted) {
    for (size_t i = 0; i < r->routes.count; i++) {
        const struct route *had = &r->routes.items[i];
        if (strcasecmp(had->method, wanted->method) == 0 &&
            strcasecmp(had->path, wanted->path) == 0 &&
            registrations_is_same_endpoint(had->endpoint, wanted->endpoint))
            luaL_error(L, "[%s] %s: Already defined", wanted->method, wanted->path);
    }
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
    char *upper = mem_strdup(method);
    for (char *c = upper; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    *ARRAY_ADD(&a->registrations->routes) = (struct route){
        upper, mem_strdup(path), endpoint == NULL ? NULL : mem_strdup(endpoint), function};
    return 0;
}

/* static(prefix, folder) */
int api_static(lua_State *L) {
    struct app *a = api_main_chunk(L, "static");
    lua_settop(L, 2);
    const char *prefix = api_check_path(L, 1, "prefix", "");
    const char *folder = push_path(L, a, api_check_text(L, 2, "folder"));
    luaL_argcheck(L, strchr(prefix, '*') == NULL, 1, "a prefix has no '*'");
    struct static_folder *f = ARRAY_ADD(&a->registrations->static_folders);
    struct buf text = {0};
    buf_append_str(&text, prefix);
    if (text.len > 1 && text.ptr[text.len - 1] == '/')
        text.len--;
    f->prefix = buf_take(&text);
    f->folder = mem_strdup(folder);
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

/* multiplex(path), multiplex(false) */
int api_multiplex(lua_State *L) {
    struct app *a = api_main_chunk(L, "multiplex");
    char **path = &a->registrations->multiplex;
    bool is_off = lua_isboolean(L, 1) && !lua_toboolean(L, 1);
    char *wanted = is_off ? NULL : mem_strdup(api_check_path(L, 1, "path", ""));
    if (wanted != NULL && strpbrk(wanted, ":*") != NULL) {
        free(wanted);
        return luaL_argerror(L, 1, "it must be one path, without parameters");
    }
    free(*path);
    *path = wanted;
    return 0;
}

/* --- options of a Name --- */

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

static unsigned read_keep(lua_State *L) {
    int type = lua_getfield(L, 2, "keep");
    bool is_latest = type == LUA_TSTRING && bytes_equal_str(stack_bytes_at(L, -1), "latest");
    lua_pop(L, 1);
    lua_Integer keep = is_latest ? 1 : api_option_integer(L, 2, "keep", 0);
    luaL_argcheck(L, keep >= 0 && keep <= LOOK_BACK_MAX, 2,
                  "the option 'keep' is \"latest\" or a number up to 1000");
    return (unsigned)keep;
}

/* name("Name", { slow=, history=, on_gap=, compress=, keep= }) */
int api_name(lua_State *L) {
    static const char *const allowed[] = {"slow", "history", "on_gap", "compress", "keep", NULL};
    struct app *a = api_main_chunk(L, "name");
    const char *name = api_check_text(L, 1, "name");
    api_check_options(L, 2, allowed);
    enum slow_policy slow = read_slow(L);
    bool has_history = api_option_bool(L, 2, "history", true), continues = read_on_gap(L);
    bool is_compressed = api_option_bool(L, 2, "compress", true);
    unsigned keep = read_keep(L);
    for (size_t i = 0; i < a->registrations->name_options.count; i++)
        if (strcmp(a->registrations->name_options.items[i].name, name) == 0)
            return luaL_error(L, "the Name '%s' has its options already", name);
    *ARRAY_ADD(&a->registrations->name_options) =
        (struct name_options){mem_strdup(name), slow, has_history, continues, !is_compressed, keep};
    return 0;
}

/* --- schedules --- */

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
