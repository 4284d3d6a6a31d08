/* cmd_check.c - check: loads an app without serving and prints what it registers. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/app/app.h"
#include "common/base/clock.h"
#include "common/net/tls.h"
#include "tools/offline.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

/*
 * Each part is an array of objects whose members are texts. One function makes it, and it is
 * printed as JSON, or as a table whose columns are the members.
 */

static void add(json_t *row, const char *member, const char *text) {
    json_object_set_new(row, member, json_string(text != NULL ? text : ""));
}

static json_t *new_row(json_t *rows) {
    json_t *row = json_object();
    json_array_append_new(rows, row);
    return row;
}

/* --- the parts --- */

static const char *protocol_of(const struct endpoint *e) {
    static const char *const plain[] = {"", "http", "ws", "http+ws"};
    static const char *const tls[] = {"", "https", "wss", "https+wss"};
    int i = (e->is_http ? 1 : 0) | (e->is_ws ? 2 : 0);
    return e->is_tls ? tls[i] : plain[i];
}

static void list_endpoints(const struct registrations *r, json_t *rows) {
    char port[16];
    for (size_t i = 0; i < r->endpoints.count; i++) {
        const struct endpoint *e = &r->endpoints.items[i];
        json_t *row = new_row(rows);
        snprintf(port, sizeof(port), "%d", e->port);
        add(row, "protocol", protocol_of(e));
        add(row, "address", e->address);
        add(row, "port", port);
        add(row, "name", e->name);
        add(row, "hostname", e->hostname);
    }
}

/* Their files need not be on this host: what is wrong with one is only told. */
static void list_certificates(const struct registrations *r, json_t *rows) {
    for (size_t i = 0; i < r->endpoints.count; i++) {
        const struct tls_server *tls = &r->endpoints.items[i].tls;
        for (size_t k = 0; k < tls->count; k++) {
            char days[16] = "", *error = NULL;
            struct tls_facts facts;
            json_t *row = new_row(rows);
            bool is_fine = tls_examine(&tls->certificates[k], &facts, &error);
            if (is_fine)
                snprintf(days, sizeof(days), "%d", facts.days_left);
            add(row, "file", tls->certificates[k].certificate);
            add(row, "hosts", is_fine ? facts.names.ptr : "");
            add(row, "days", days);
            add(row, "problem", error);
            free(error);
            buf_deinit(&facts.names);
        }
    }
}

static void list_routes(const struct registrations *r, json_t *rows) {
    for (size_t i = 0; i < r->routes.count; i++) {
        json_t *row = new_row(rows);
        add(row, "method", r->routes.items[i].method);
        add(row, "path", r->routes.items[i].path);
        add(row, "endpoint", r->routes.items[i].endpoint);
    }
}

static void list_static(const struct registrations *r, json_t *rows) {
    for (size_t i = 0; i < r->static_folders.count; i++) {
        json_t *row = new_row(rows);
        add(row, "prefix", r->static_folders.items[i].prefix);
        add(row, "folder", r->static_folders.items[i].folder);
    }
}

static void list_signal_routes(const struct registrations *r, json_t *rows) {
    for (size_t i = 0; i < r->signal_routes.count; i++) {
        json_t *row = new_row(rows);
        add(row, "path", r->signal_routes.items[i].path);
        add(row, "endpoint", r->signal_routes.items[i].endpoint);
    }
}

static void list_events(const struct registrations *r, json_t *rows) {
    for (size_t i = 0; i < r->event_handlers.count; i++) {
        const struct event_handler *e = &r->event_handlers.items[i];
        json_t *row = new_row(rows);
        add(row, "type", event_type_text(e->type));
        add(row, "name", e->name);
        add(row, "event", e->event_name);
    }
}

static void add_level(void *rows, struct bytes name, enum level level) {
    json_t *row = new_row(rows);
    json_object_set_new(row, "name", json_stringn(name.ptr, name.len));
    add(row, "level", level_text(level));
}

/* The general level, then the Names that have one of their own. */
static void list_levels(const struct registrations *r, json_t *rows) {
    add_level(rows, BYTES_LIT("*"), levels_get(r->levels, BYTES_NONE));
    levels_each(r->levels, LEVEL_FROM_APP, add_level, rows);
}

static void list_schedules(const struct registrations *r, json_t *rows) {
    char next[32];
    for (size_t i = 0; i < r->schedules.count; i++) {
        const struct schedule *s = &r->schedules.items[i];
        time_t tick = cron_next(&s->cron, time(NULL));
        json_t *row = new_row(rows);
        add(row, "name", s->name);
        add(row, "cron", s->text);
        clock_format_utc((uint64_t)tick * 1000, next);
        add(row, "next", tick < 0 ? "never" : next);
    }
}

static void list_names(const struct registrations *r, json_t *rows) {
    static const char *const policies[] = {[SLOW_CLOSE] = "close",
                                           [SLOW_DROP_OLDEST] = "drop_oldest",
                                           [SLOW_DROP_NEWEST] = "drop_newest",
                                           [SLOW_LATEST] = "latest"};
    char keep[16];
    for (size_t i = 0; i < r->name_options.count; i++) {
        const struct name_options *n = &r->name_options.items[i];
        json_t *row = new_row(rows);
        add(row, "name", n->name);
        add(row, "slow", policies[n->slow]);
        add(row, "history", n->has_history ? "on" : "off");
        add(row, "gap", n->continues_on_gap ? "continue" : "close");
        snprintf(keep, sizeof(keep), "%u", n->keep);
        add(row, "keep", keep);
    }
}

static void list_origins(const struct registrations *r, json_t *rows) {
    for (size_t i = 0; i < r->origins.count; i++)
        add(new_row(rows), "origin", r->origins.items[i]);
}

static const struct part {
    const char *member, *title;
    void (*list)(const struct registrations *r, json_t *rows);
} parts[] = {
    {"endpoints", "endpoints", list_endpoints},
    {"certificates", "certificates", list_certificates},
    {"routes", "routes", list_routes},
    {"static", "static folders", list_static},
    {"signalRoutes", "signal routes", list_signal_routes},
    {"events", "events", list_events},
    {"levels", "broadcast levels", list_levels},
    {"schedules", "schedules", list_schedules},
    {"names", "names with options", list_names},
    {"origins", "origins", list_origins},
};

/* --- printing --- */

static void print_part(const struct part *part, json_t *rows) {
    const char *columns[TABLE_COLUMNS_MAX];
    struct table table;
    unsigned count = 0;
    size_t i;
    const char *member;
    json_t *row, *value;
    if (json_array_size(rows) == 0)
        return;
    json_object_foreach(json_array_get(rows, 0), member, value) columns[count++] = member;
    table_init(&table, count, columns);
    json_array_foreach(rows, i, row) {
        json_object_foreach(row, member, value)
            table_cell(&table, bytes_str(json_string_value(value)));
    }
    printf("%s\n", part->title);
    table_print(&table);
    putchar('\n');
}

static void print(struct tool *t, const struct app *app) {
    const struct registrations *r = app_registrations(app);
    json_t *all = json_object();
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        json_t *rows = json_array();
        parts[i].list(r, rows);
        if (!t->is_json)
            print_part(&parts[i], rows);
        json_object_set_new(all, parts[i].member, rows);
    }
    if (t->is_json) {
        json_dumpf(all, stdout, JSON_INDENT(1));
        putchar('\n');
    } else {
        printf("scope %s, signing %s\n", r->default_scope == SCOPE_LOCAL ? "local" : "global",
               !r->signing.is_on      ? "off"
               : r->signing.is_strict ? "on, strict"
                                      : "on");
    }
    json_decref(all);
}

static int run(struct tool *t, void *own) {
    (void)own;
    struct app *app = offline_load(t, t->arguments[0]);
    if (app == NULL)
        return TOOL_FAILED;
    print(t, app);
    app_release(app);
    return TOOL_OK;
}

const struct verb verb_check = {
    .name = "check",
    .arguments = "APP",
    .summary = "load an app without serving it, and print what it registers",
    .details = "APP is the app file or its folder. An error is printed as file:line: message.",
    .flags = VERB_JSON,
    VERB_COUNT(1, 1),
    .run = run};
