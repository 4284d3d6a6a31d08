/* cmd_run_route.c - run-route: runs a signal route offline, with an event from standard input, and
 * prints what it would send. For tests of one's own app. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/app.h"
#include "common/app/json.h"
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
    struct texts {
        struct bytes *items; /* each owned */
        size_t count;
    } names, groups, clients;
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

static void add_text(void *ctx, struct json_value value) {
    struct texts *t = ctx;
    struct buf text = {0};
    if (json_is_empty(value))
        return;
    json_append_text(&text, value);
    size_t len = text.len;
    t->items = mem_realloc(t->items, (t->count + 1) * sizeof(*t->items));
    t->items[t->count++] = bytes_of(buf_take(&text), len);
}

static struct bytes_list read_texts(struct texts *t, struct json_value value) {
    json_each(value, add_text, t);
    return (struct bytes_list){t->items, t->count};
}

static void free_texts(struct texts *t) {
    for (size_t i = 0; i < t->count; i++)
        free((char *)t->items[i].ptr);
    free(t->items);
}

static void read_data(struct route_run *r, struct json_value data) {
    struct offline_call *c = &r->event.call;
    c->names = read_texts(&r->names, json_member(data, "path"));
    c->groups = read_texts(&r->groups, json_member(data, "group"));
    c->clients = read_texts(&r->clients, json_member(data, "client_id"));
    c->is_direct = json_is_truthy(json_member(data, "direct"));
}

static void read_text(struct json_value value, struct buf *out) {
    if (value.kind == JSON_KIND_STRING)
        json_append_text(out, value);
    buf_append_char(out, '\0');
}

/* "path" of the event, or --path, in the form in which the gateway hands it on. */
static bool read_route_path(struct route_run *r) {
    const char *path = r->path_option != NULL ? r->path_option : r->path.ptr;
    const char *error = http_path_canonical(bytes_str(path), &r->canonical);
    if (error != NULL)
        tool_complain(r->tool, "'%s': %s", path, error);
    buf_append_char(&r->canonical, '\0');
    r->event.path = r->canonical.ptr;
    return error == NULL;
}

static bool read_event(struct route_run *r) {
    struct buf error = {0};
    struct json_document *document = json_open(buf_bytes(&r->input), &error);
    bool is_object = document != NULL && json_root(document).kind == JSON_KIND_OBJECT;
    if (!is_object)
        tool_complain(r->tool, "the event on standard input is no JSON object: %.*s",
                      BYTES_FMT(buf_bytes(&error)));
    if (is_object) {
        struct json_value root = json_root(document);
        read_text(json_member(root, "path"), &r->path);
        read_text(json_member(json_member(root, "endpoint"), "name"), &r->endpoint);
        read_data(r, json_member(root, "data"));
        r->event.json = buf_bytes(&r->input);
    }
    json_close(document);
    buf_deinit(&error);
    return is_object && read_route_path(r);
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
    struct app_handler handler = {route->function, route->arguments, "signal route"};
    switch (app_call(r->event.call.app, &handler, route_event_push, on_end, r, &call, &error)) {
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
    free_texts(&r->names);
    free_texts(&r->groups);
    free_texts(&r->clients);
    return exit_code;
}

static const struct option options[] = {
    {.name = "path",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct route_run, path_option),
     .placeholder = "PATH",
     .help = "of the URL that the client connected to, instead of the event's"},
};

const struct verb verb_run_route = {
    .name = "run-route",
    .arguments = "APP < event.json",
    .summary = "run a signal route offline; print what it would send",
    .details =
        "The event is a JSON object with what handlers find in `event`: \"path\" (of the URL), "
        "\"data\"\n(\"message\" …), \"name\", \"group\", \"client_id\", \"request\", "
        "\"endpoint\"; all but the path may be\nabsent, and \"message\" may stand at the top. "
        "Each send, reply and close is one JSON line.\nstore, lock and lists need Redis and "
        "fail here.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = ARRAY_LEN(options),
    .size = sizeof(struct route_run),
    .run = run};
