/*
 * web_object.c - see web_object.h: checking the object, and its fields. To add a field: a push
 * function, and its line in the table at the end.
 */
#include "gateway/routes/web_object.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "common/app/api/api.h"
#include "common/app/lua/stack.h"
#include "common/base/percent.h"
#include "common/net/tls.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/request.h"

struct web *web_check(lua_State *L) {
    struct web **box = luaL_checkudata(L, 1, WEB_TYPE);
    return *box;
}

struct request *web_check_request(lua_State *L, const char *what) {
    struct request *r = web_check(L)->handler.request;
    if (r == NULL)
        luaL_error(L, "web:%s: the request has ended", what);
    if (request_is_converted(r))
        luaL_error(L, "web:%s: the request became a signal connection", what);
    if (r->state != REQUEST_OPEN)
        luaL_error(L, "web:%s: the request was answered already", what);
    return r;
}

/* ---- the fields */

static void push_decoded(lua_State *L, struct bytes text, bool plus_is_space) {
    struct buf plain = {0};
    (void)percent_decode(text, plus_is_space, &plain);
    stack_push_bytes(L, buf_bytes(&plain));
    buf_deinit(&plain);
}

static void push_method(lua_State *L, const struct web *w) {
    stack_push_bytes(L, w->handler.request->head.method);
}

static void push_path(lua_State *L, const struct web *w) {
    lua_pushstring(L, w->handler.request->path);
}

static void push_body(lua_State *L, const struct web *w) {
    stack_push_bytes(L, w->handler.request->body);
}

static void push_remote_address(lua_State *L, const struct web *w) {
    lua_pushstring(L, w->handler.request->remote_address);
}

/* If a key is repeated, its last value counts. */
static void push_query(lua_State *L, const struct web *w) {
    struct bytes rest = w->handler.request->head.query;
    lua_newtable(L);
    while (rest.ptr != NULL) {
        struct bytes value = bytes_split(&rest, '&');
        if (value.len == 0)
            continue;
        struct bytes key = bytes_split(&value, '=');
        push_decoded(L, key, true);
        push_decoded(L, value, true);
        lua_settable(L, -3);
    }
}

static void push_headers(lua_State *L, const struct web *w) {
    const struct http_head *head = &w->handler.request->head;
    lua_newtable(L);
    for (size_t i = 0; i < head->header_count; i++)
        stack_add_header(L, head->headers[i].name, head->headers[i].value);
}

static void push_endpoint(lua_State *L, const struct web *w) {
    const struct request *r = w->handler.request;
    lua_createtable(L, 0, 3);
    stack_set_optional(L, "name", bytes_str(r->endpoint->name));
    const char *protocol = r->endpoint->is_http ? "http" : "ws";
    lua_pushfstring(L, "%s%s", protocol, r->is_secure ? "s" : "");
    lua_setfield(L, -2, "protocol");
    stack_set_bytes(L, "address", r->host);
}

static void push_tls(lua_State *L, const struct web *w) {
    const struct conn *c = w->handler.request->conn;
    struct tls_peer peer;
    if (c == NULL || !stream_tls_peer(&c->stream, &peer)) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 5);
    stack_set_bytes(L, "version", bytes_str(peer.version));
    stack_set_bytes(L, "cipher", bytes_str(peer.cipher));
    stack_set_optional(L, "server_name", bytes_str(peer.server_name));
    stack_set_bool(L, "is_resumed", peer.is_resumed);
    if (peer.fingerprint[0] != '\0') {
        lua_createtable(L, 0, 2);
        stack_set_bytes(L, "subject", bytes_str(peer.subject.ptr));
        stack_set_bytes(L, "fingerprint", bytes_str(peer.fingerprint));
        lua_setfield(L, -2, "client");
    }
    buf_deinit(&peer.subject);
}

static void push_params(lua_State *L, const struct web *w) {
    lua_createtable(L, 0, (int)w->param_count);
    for (size_t i = 0; i < w->param_count; i++) {
        lua_pushstring(L, w->params[i].value);
        lua_setfield(L, -2, w->params[i].name);
    }
}

static void push_signal(lua_State *L, const struct web *w) {
    const struct signal_reference *s = w->handler.request->signal;
    if (s == NULL) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 7);
    stack_set_bytes(L, "name", bytes_str(s->name));
    stack_set_bytes(L, "group", signal_reference_group(s));
    api_set_groups(L, texts_list(&s->groups));
    api_set_data(L, bytes_str(s->data));
    stack_set_bytes(L, "client_id", bytes_str(s->client_id));
    stack_set_bool(L, "is_local", s->is_local);
    stack_set_bool(L, "is_global", !s->is_local);
}

static const struct {
    const char *name;
    void (*push)(lua_State *L, const struct web *w);
} web_fields[] = {
    {"method", push_method},     {"path", push_path},     {"query", push_query},
    {"headers", push_headers},   {"body", push_body},     {"remote_address", push_remote_address},
    {"endpoint", push_endpoint}, {"params", push_params}, {"signal", push_signal},
    {"tls", push_tls},
};

bool web_push_field(lua_State *L, const struct web *w, const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(web_fields); i++) {
        if (strcmp(web_fields[i].name, name) != 0)
            continue;
        web_fields[i].push(L, w);
        return true;
    }
    return false;
}
