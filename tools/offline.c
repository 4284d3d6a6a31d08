/* offline.c - see offline.h. The host's sends are checked against the levels, as a broker would. */
#include "tools/offline.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/app/app.h"
#include "common/json/json_text.h"
#include "tools/tool.h"

static void append_list(struct buf *out, const char *member, struct bytes_list list) {
    if (!bytes_list_is_given(list))
        return;
    buf_printf(out, ",\"%s\":[", member);
    for (size_t i = 0; i < list.count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        json_append_string(out, list.items[i]);
    }
    buf_append_char(out, ']');
}

static void print_line(struct buf *line) {
    buf_append_str(line, "}\n");
    fwrite(line->ptr, 1, line->len, stdout);
    buf_deinit(line);
}

static enum app_outcome refuse(struct buf *error_out) {
    buf_append_str(error_out, "this is possible in a handler only, not while the app file loads");
    return APP_FAILED;
}

static struct bytes_list either(struct bytes_list said, struct bytes_list of_event) {
    return bytes_list_is_given(said) ? said : of_event;
}

/* What the broker would make of it. */
static struct app_send completed(const struct app_send *send, const struct offline_call *c) {
    struct app_send s = *send;
    if (s.ignores_event || s.is_direct)
        return s;
    s.is_direct = c->is_direct;
    s.names = either(s.names, c->names);
    s.groups = either(s.groups, c->groups);
    s.clients = either(s.clients, c->clients);
    return s;
}

static void print_send(const struct app_send *s) {
    struct buf line = {0};
    buf_append_str(&line, s->is_direct ? "{\"op\":\"reply\"" : "{\"op\":\"send\"");
    if (!s->is_direct) {
        append_list(&line, "name", s->names);
        append_list(&line, "group", s->groups);
        append_list(&line, "clientId", s->clients);
    }
    if (s->is_binary)
        buf_append_str(&line, ",\"binary\":true");
    buf_append_str(&line, ",\"data\":");
    if (s->is_json)
        buf_append(&line, s->data);
    else
        json_append_string(&line, s->data);
    print_line(&line);
}

static enum app_outcome on_send(void *ctx, struct app_call *call, const struct app_send *send,
                                struct buf *error_out) {
    const struct offline_call *c = call != NULL ? app_call_ctx(call) : NULL;
    (void)ctx;
    if (c == NULL)
        return refuse(error_out);
    struct app_send s = completed(send, c);
    if (!s.is_direct && bytes_lists_are_nobody(s.names, s.groups, s.clients))
        return APP_DONE;
    if (!s.is_direct && !levels_allow(app_registrations(c->app)->levels, s.names,
                                      s.groups.count > 0, s.clients.count > 0, error_out))
        return APP_FAILED;
    print_send(&s);
    return APP_DONE;
}

static enum app_outcome on_close(void *ctx, struct app_call *call, const struct app_close *close,
                                 struct buf *error_out) {
    struct buf line = {0};
    (void)ctx;
    if (call == NULL || app_call_ctx(call) == NULL)
        return refuse(error_out);
    if (bytes_lists_are_nobody(close->names, close->groups, close->clients))
        return APP_DONE;
    buf_append_str(&line, "{\"op\":\"close\"");
    append_list(&line, "name", close->names);
    append_list(&line, "group", close->groups);
    append_list(&line, "clientId", close->clients);
    buf_printf(&line, ",\"code\":%d,\"reason\":", close->code);
    json_append_string(&line, close->reason);
    print_line(&line);
    return APP_DONE;
}

static void on_first_wait(void *ctx, struct app_call *call) {
    (void)ctx;
    (void)call;
}

static struct json_value handled(void *ctx, struct app_call *call) {
    const struct offline_call *c = app_call_ctx(call);
    (void)ctx;
    return c != NULL ? c->message : (struct json_value){0};
}

struct app *offline_load(struct tool *t, const char *path) {
    static const struct app_host host = {
        .send = on_send, .close = on_close, .on_first_wait = on_first_wait, .handled = handled};
    struct app_environment environment = {
        .loop = &t->loop, .settings = &t->settings, .host = &host, .host_ctx = t};
    char *error = NULL;
    struct app *app = app_load(path, &environment, &error);
    if (app == NULL)
        fprintf(stderr, "%s\n", error);
    free(error);
    return app;
}
