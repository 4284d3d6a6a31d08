/* cmd_run_route.c - run-route: runs a signal route offline with an event from standard input, and
 * prints what it would send. It is meant for tests of an app. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/app.h"
#include "common/send/message_form.h"
#include "common/http/http_path.h"
#include "tools/offline.h"
#include "tools/route_event.h"
#include "tools/tool.h"
#include "tools/verb.h"

enum { INPUT_MAX = 16 * 1024 * 1024 };

struct route_run {
    struct route_event event; /* first: the handler's ctx */
    const char *path_option;
    struct tool *tool;
    struct buf input, path, canonical, endpoint;
    struct texts names, groups, clients;
};

/* --- standard input --- */

static bool read_input(struct route_run *r) {
    size_t n;
    do {
        char *to = buf_reserve(&r->input, 65536);
        n = fread(to, 1, 65536, stdin);
        buf_added(&r->input, n);
    } while (n > 0 && r->input.len < INPUT_MAX);
    return n == 0;
}

/* Reads event.data: the address of the message. Its path has been decoded already. */
static bool read_data(struct route_run *r, const struct json_document *document,
                      struct json_value data, struct buf *error_out) {
    struct offline_call *c = &r->event.call;
    struct message_form form = {0};
    if (message_form_read(&form, document, data, FORM_CLIENT, error_out) != FORM_FINE ||
        !message_form_texts(&form, KEY_PATH, TEXTS_ONE | TEXTS_NUMBERS, &r->names, error_out) ||
        !message_form_texts(&form, KEY_GROUP, TEXTS_NUMBERS, &r->groups, error_out) ||
        !message_form_texts(&form, KEY_CLIENT_ID, TEXTS_NUMBERS, &r->clients, error_out))
        return false;
    c->names = texts_list(&r->names);
    c->groups = texts_list(&r->groups);
    c->clients = texts_list(&r->clients);
    c->is_direct = json_is_truthy(form.values[KEY_DIRECT]);
    c->is_uncompressed = form.values[KEY_COMPRESS].kind == JSON_KIND_FALSE;
    c->message = form.values[KEY_MESSAGE];
    return true;
}

static void read_text(struct json_value value, struct buf *out) {
    if (value.kind == JSON_KIND_STRING)
        json_append_text(out, value);
    buf_append_char(out, '\0');
}

/* Takes "path" of the event, or --path, in the form in which the gateway passes it on. */
static bool read_route_path(struct route_run *r) {
    const char *path = r->path_option != NULL ? r->path_option : r->path.ptr;
    const char *error = http_path_canonical(bytes_str(path), &r->canonical);
    if (error != NULL)
        tool_complain(r->tool, "'%s': %s", path, error);
    buf_append_char(&r->canonical, '\0');
    r->event.path = r->canonical.ptr;
    return error == NULL;
}

static bool refuse(const struct route_run *r, const char *what, struct bytes why) {
    return tool_complain(r->tool, "%s: %.*s", what, BYTES_FMT(why));
}

static const char no_object[] = "the event on standard input is not a JSON object";

static bool read_root(struct route_run *r, const struct json_document *document) {
    struct json_value root = json_root(document);
    struct buf error = {0};
    if (root.kind != JSON_KIND_OBJECT)
        return refuse(r, no_object, BYTES_LIT("it is another value"));
    read_text(json_member(root, "path"), &r->path);
    read_text(json_member(json_member(root, "endpoint"), "name"), &r->endpoint);
    bool is_fine = read_data(r, document, json_member(root, "data"), &error) ||
                   refuse(r, "\"data\" of the event", buf_bytes(&error));
    if (r->event.call.message.kind == JSON_KIND_ABSENT)
        r->event.call.message = json_member(root, "message");
    r->event.json = buf_bytes(&r->input);
    buf_deinit(&error);
    return is_fine && read_route_path(r);
}

static bool read_event(struct route_run *r) {
    struct buf error = {0};
    struct json_document *document = json_open(buf_bytes(&r->input), &error);
    bool is_fine =
        document != NULL ? read_root(r, document) : refuse(r, no_object, buf_bytes(&error));
    json_close(document);
    buf_deinit(&error);
    return is_fine;
}

/* --- running --- */

/* The error was logged, with file and line. */
static void end(struct route_run *r, const char *error) {
    tool_end(r->tool, error != NULL ? TOOL_FAILED : TOOL_OK);
}

static void on_end(void *ctx, struct app_call *call, const char *error) {
    (void)call;
    end(ctx, error);
}

static void on_ready(void *ctx) {
    struct route_run *r = ctx;
    const struct registrations *all = app_registrations(r->event.call.app);
    const char *endpoint = r->endpoint.len > 1 ? r->endpoint.ptr : NULL;
    const struct signal_route *route = registrations_signal_route(all, r->event.path, endpoint);
    struct app_call *call;
    char *error = NULL;
    if (route == NULL) {
        tool_complain(r->tool, "no signal route for the path '%s': its messages go out as they are",
                      r->event.path);
        tool_end(r->tool, TOOL_FAILED);
        return;
    }
    r->event.route_path = route->path;
    struct app_handler handler = {route->function,  route->arguments, "signal route",
                                  route_event_push, on_end,           r};
    switch (app_call(r->event.call.app, &handler, &call, &error)) {
    case APP_DONE: end(r, NULL); break;
    case APP_FAILED: end(r, error); break;
    case APP_WAITING: break;
    }
    free(error);
}

static int run(struct tool *t, void *own) {
    struct route_run *r = own;
    int exit_code = TOOL_FAILED;
    r->tool = t;
    if (!read_input(r)) {
        tool_complain(t, "standard input cannot be read, or is over 16 MiB");
    } else if (read_event(r)) {
        r->event.call.app = offline_load(t, t->arguments[0]);
        if (r->event.call.app != NULL) {
            exit_code = tool_run_offline(t, on_ready, r);
            app_release(r->event.call.app);
        }
    }
    buf_deinit(&r->input);
    buf_deinit(&r->path);
    buf_deinit(&r->canonical);
    buf_deinit(&r->endpoint);
    texts_deinit(&r->names);
    texts_deinit(&r->groups);
    texts_deinit(&r->clients);
    return exit_code;
}

static const struct option options[] = {
    {"path", OPTION_TEXT, offsetof(struct route_run, path_option), "PATH",
     "the path of the URL that the client connected to, instead of the event's"},
};

const struct verb verb_run_route = {
    .name = "run-route",
    .arguments = "APP < event.json",
    .summary = "run a signal route offline, and print what it would send",
    .details =
        "The event is a JSON object with the fields of `event` in a handler: \"path\" (of the\n"
        "URL), \"data\" (\"message\" …), \"name\", \"group\", \"client_id\", \"request\" and\n"
        "\"endpoint\". All but the path may be absent, and \"message\" may stand at the top.\n"
        "Each send, reply and close is printed as one JSON line, with and without --json.\n"
        "store, lock and lists need Redis and fail here.",
    .flags = VERB_JSON,
    VERB_COUNT(1, 1),
    VERB_OPTIONS(options),
    VERB_RUN(struct route_run, run)};
