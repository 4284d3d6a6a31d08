/* web_object.h - what the files of the object `web` share; everybody else uses web.h. */
#ifndef SIGNALBOX_GATEWAY_ROUTES_WEB_OBJECT_H
#define SIGNALBOX_GATEWAY_ROUTES_WEB_OBJECT_H

#include "common/app/lua/stack.h"
#include "common/app/registrations/registrations.h"
#include "gateway/routes/handler_send.h"
#include "gateway/routes/upgrade.h"

struct app_call;
struct lua_State;
struct request;

#define WEB_TYPE "signalbox.web"

struct web_param {
    char *name, *value; /* decoded */
};

/* Held by the running handler and by the Lua object; the object may outlive the handler. */
struct web {
    struct handler handler; /* request: NULL once the handler has ended */
    unsigned refs;
    struct app_call *call; /* waits in convert, or for web.signal */
    char label[128];
    struct upgrade_error refusal; /* the last of convert; its text is NULL if there was none */
    size_t param_count;
    struct web_param params[ROUTE_PARAMS_MAX];
};

/* Argument 1, or an error. */
struct web *web_check(struct lua_State *L);
/* The request to answer; an error when it was answered or has ended. */
struct request *web_check_request(struct lua_State *L, const char *what);

/* Pushes the field and true; or nothing and false when there is none of this name. */
bool web_push_field(struct lua_State *L, const struct web *w, const char *name);

/* web_answer.c */
int web_respond(struct lua_State *L);
int web_json(struct lua_State *L);
int web_text(struct lua_State *L);
int web_file(struct lua_State *L);
int web_header(struct lua_State *L);

#endif
