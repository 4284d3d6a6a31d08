/* api_endpoint.c - signalbox.endpoint: where the gateways listen. Several calls for one address and
 * port make one endpoint (decision D12). */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/api/api.h"

enum { PORT_PLAIN = 8080, PORT_TLS = 8443 };

/* What the options say; texts are Lua's. */
struct wish {
    const char *address, *name, *hostname, *certificate, *key, *password;
    int port;
    bool is_http, is_ws, is_tls, auto_upgrade;
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

static struct wish read_wish(lua_State *L) {
    static const char *const allowed[] = {"address",      "port",        "protocol", "name",
                                          "hostname",     "certificate", "key",      "password",
                                          "auto_upgrade", NULL};
    struct wish w = {0};
    api_check_options(L, 1, allowed);
    read_protocol(L, &w);
    w.address = api_option_text(L, 1, "address");
    if (w.address == NULL)
        w.address = "*";
    lua_Integer port = api_option_integer(L, 1, "port", w.is_tls ? PORT_TLS : PORT_PLAIN);
    if (port < 1 || port > 65535)
        luaL_argerror(L, 1, lua_pushfstring(L, "the port %I is not between 1 and 65535", port));
    w.port = (int)port;
    w.name = api_option_text(L, 1, "name");
    w.hostname = api_option_text(L, 1, "hostname");
    w.certificate = api_option_text(L, 1, "certificate");
    w.key = api_option_text(L, 1, "key");
    w.password = api_option_text(L, 1, "password");
    w.auto_upgrade = api_option_bool(L, 1, "auto_upgrade", false);
    return w;
}

static struct endpoint *find_endpoint(struct registrations *r, const struct wish *w) {
    for (size_t i = 0; i < r->endpoints.count; i++) {
        struct endpoint *e = &r->endpoints.items[i];
        if (e->port == w->port && strcmp(e->address, w->address) == 0)
            return e;
    }
    return NULL;
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
    bool has_tls_options = w->certificate != NULL || w->key != NULL || w->password != NULL;
    if (has_tls_options && !w->is_tls)
        luaL_argerror(L, 1, "certificate, key and password are for https and wss");
    if (same != NULL && same->is_tls != w->is_tls)
        luaL_argerror(L, 1, "one port cannot speak with and without TLS");
    if (w->is_tls && w->certificate == NULL && same == NULL)
        luaL_argerror(L, 1, "https and wss need a certificate");
    if (w->auto_upgrade && !w->is_ws)
        luaL_argerror(L, 1, "auto_upgrade is for ws and wss");
    if (same != NULL && is_other(same->hostname, w->hostname))
        luaL_argerror(L, 1, "the endpoint of this address and port has another hostname");
}

static void check_certificate(lua_State *L, const struct endpoint *same, const char *path) {
    if (is_other(same->certificate, path))
        luaL_argerror(L, 1, "the endpoint of this address and port has another certificate");
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
    take_text(&e->address, w->address);
    take_text(&e->name, w->name);
    take_text(&e->hostname, w->hostname);
    take_text(&e->certificate, w->certificate);
    take_text(&e->key, w->key);
    take_text(&e->password, w->password);
}

/* The path beside the app file, as a string of Lua. */
static const char *push_path(lua_State *L, const struct app *a, const char *path) {
    if (path == NULL)
        return NULL;
    return path[0] == '/' ? path : lua_pushfstring(L, "%s/%s", a->sandbox.folder, path);
}

int api_endpoint(lua_State *L) {
    struct app *a = api_main_chunk(L, "endpoint");
    struct wish w = read_wish(L);
    struct endpoint *e = find_endpoint(a->registrations, &w);
    check_wish(L, &w, e);
    check_name(L, a->registrations, &w, e);
    w.certificate = push_path(L, a, w.certificate);
    w.key = push_path(L, a, w.key);
    if (e != NULL)
        check_certificate(L, e, w.certificate);
    else
        e = ARRAY_ADD(&a->registrations->endpoints);
    merge(e, &w);
    return 0;
}
