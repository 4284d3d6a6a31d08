/* offline.c - see offline.h. Sends are checked against the levels as in a broker. */
#include "tools/offline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/app/app.h"
#include "common/send/public_message.h"
#include "tools/tool.h"

void offline_print(struct buf *line) {
    buf_append_char(line, '}');
    tool_print(line);
}

static enum app_outcome refuse(struct buf *error_out) {
    buf_append_str(error_out, "this is possible in a handler only, not while the app file loads");
    return APP_FAILED;
}

static struct bytes_list either(struct bytes_list said, struct bytes_list of_event) {
    return bytes_list_is_given(said) ? said : of_event;
}

/* The send as a broker would complete it. */
static struct app_send completed(const struct app_send *send, const struct offline_call *c) {
    struct app_send s = *send;
    if (!s.ignores_event && c->is_uncompressed)
        s.what.flags |= FLAG_UNCOMPRESSED;
    if (s.ignores_event || s.is_direct)
        return s;
    s.is_direct = c->is_direct;
    s.what.names = either(s.what.names, c->names);
    s.what.groups = either(s.what.groups, c->groups);
    s.what.clients = either(s.what.clients, c->clients);
    return s;
}

/* As in the public form, but one Name is a list, too. */
static void append_address(struct buf *line, const struct delivery *d) {
    public_message_write_list(line, KEY_NAME, d->names);
    public_message_write_list(line, KEY_GROUP, d->groups);
    public_message_write_list(line, KEY_CLIENT_ID, d->clients);
}

static void print_send(const struct app_send *s) {
    const struct delivery *d = &s->what;
    struct buf line = {0};
    buf_append_str(&line, s->is_direct ? "{\"op\":\"reply\"," : "{\"op\":\"send\",");
    if (!s->is_direct)
        append_address(&line, d);
    if ((d->flags & FLAG_BINARY) != 0)
        buf_append_str(&line, "\"binary\":true,");
    if ((d->flags & FLAG_UNCOMPRESSED) != 0)
        buf_append_str(&line, "\"compress\":false,");
    buf_append_str(&line, "\"data\":");
    if ((d->flags & FLAG_JSON) != 0)
        buf_append(&line, d->data);
    else
        json_append_string(&line, d->data);
    offline_print(&line);
}

static enum app_outcome on_send(void *ctx, struct app_call *call, const struct app_send *send,
                                struct buf *error_out) {
    const struct offline_call *c = call != NULL ? app_call_ctx(call) : NULL;
    (void)ctx;
    if (c == NULL)
        return refuse(error_out);
    struct app_send s = completed(send, c);
    if (!s.is_direct && delivery_is_for_nobody(&s.what))
        return APP_DONE;
    if (!s.is_direct && !delivery_is_allowed(&s.what, app_registrations(c->app)->levels, error_out))
        return APP_FAILED;
    print_send(&s);
    return APP_DONE;
}

static enum app_outcome on_close(void *ctx, struct app_call *call, const struct delivery *close,
                                 struct buf *error_out) {
    struct buf line = {0};
    (void)ctx;
    if (call == NULL || app_call_ctx(call) == NULL)
        return refuse(error_out);
    if (delivery_is_for_nobody(close))
        return APP_DONE;
    if (close->kind == MESSAGE_GROUPS) {
        public_message_write(&line, close);
        offline_print(&line);
        return APP_DONE;
    }
    buf_append_str(&line, "{\"op\":\"close\",");
    append_address(&line, close);
    buf_printf(&line, "\"code\":%" PRId64 ",\"reason\":", close->code);
    json_append_string(&line, close->data);
    offline_print(&line);
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
