/* cmd_lists.c - names, groups, clients: list who is connected, from the registry. gateways,
 * brokers: list the processes, from their heartbeats. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/admin/listing.h"
#include "common/admin/roster.h"
#include "common/base/clock.h"
#include "common/base/fold.h"
#include "common/bus/cluster/about.h"
#include "common/bus/cluster/registry.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

struct list {
    const char *group; /* option of clients */
    struct tool *tool;
    struct buf json;
    struct table table;
    bool has_rows;
    char **groups; /* one for each connection that has one */
    size_t group_count;
};

static int run_list(struct tool *t, void *own, void (*on_ready)(void *ctx)) {
    struct list *l = own;
    l->tool = t;
    int exit_code = tool_connect(t) ? tool_run(t, on_ready, l) : TOOL_USAGE;
    for (size_t i = 0; i < l->group_count; i++)
        free(l->groups[i]);
    free(l->groups);
    buf_deinit(&l->json);
    buf_deinit(&l->table.cells);
    return exit_code;
}

/* The list comes in parts. */
static void begin_part(struct list *l) {
    if (l->has_rows)
        buf_append_char(&l->json, ',');
    l->has_rows = true;
}

static void end(struct list *l) {
    buf_append_char(&l->json, ']');
    if (l->tool->is_json)
        tool_print(&l->json);
    else
        table_print(&l->table);
    tool_end(l->tool, TOOL_OK);
}

/* --- names --- */

static void on_names(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct list *l = ctx;
    if (tool_ends_lost(l->tool, status < 0))
        return;
    if (count > 0)
        begin_part(l);
    listing_write_names(&l->json, rows, count);
    for (size_t i = 0; i < count; i++)
        table_cell(&l->table, rows[i].name);
    if (status != REGISTRY_PART)
        end(l);
}

static void names_on_ready(void *ctx) {
    static const char *const columns[] = {"NAME"};
    struct list *l = ctx;
    table_init(&l->table, 1, columns);
    buf_append_char(&l->json, '[');
    registry_names_in_parts(l->tool->registry, on_names, l);
}

static int run_names(struct tool *t, void *own) {
    return run_list(t, own, names_on_ready);
}

const struct verb verb_names = {.name = "names",
                                .arguments = "",
                                .summary = "list the Names with a live connection",
                                .flags = VERB_REDIS | VERB_JSON,
                                VERB_RUN(struct list, run_names)};

/* --- groups --- */

/* Groups that differ only in case stand together, so that the first of them can be shown. */
static int compare_groups(const void *a, const void *b) {
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int order = fold_compare(bytes_str(x), bytes_str(y));
    return order != 0 ? order : strcmp(x, y);
}

static void groups_on_rows(void *ctx, const struct registry_row *rows, size_t count) {
    struct list *l = ctx;
    struct conn_details d;
    for (size_t i = 0; i < count; i++) {
        conn_details_read(rows[i].value, rows[i].details, &d);
        l->groups = mem_realloc(l->groups, (l->group_count + d.groups.count) * sizeof(*l->groups));
        for (size_t k = 0; k < d.groups.count; k++)
            l->groups[l->group_count++] = bytes_dup(d.groups.items[k]);
        conn_details_free(&d);
    }
}

static void add_group_row(struct list *l, const char *group, size_t connections) {
    char number[24];
    snprintf(number, sizeof(number), "%zu", connections);
    table_cell(&l->table, bytes_str(group));
    table_cell(&l->table, bytes_str(number));
    tool_append_json(&l->json, l->json.len > 1 ? ",{\"group\":" : "{\"group\":", bytes_str(group));
    buf_printf(&l->json, ",\"connections\":%s}", number);
}

static void add_group_rows(struct list *l) {
    qsort(l->groups, l->group_count, sizeof(*l->groups), compare_groups);
    for (size_t i = 0, next; i < l->group_count; i = next) {
        next = i + 1;
        while (next < l->group_count &&
               fold_equal(bytes_str(l->groups[i]), bytes_str(l->groups[next])))
            next++;
        add_group_row(l, l->groups[i], next - i);
    }
}

static void on_end(void *ctx, int status) {
    struct list *l = ctx;
    if (tool_ends_lost(l->tool, status < 0))
        return;
    if (l->group_count > 0)
        add_group_rows(l);
    end(l);
}

static void groups_on_ready(void *ctx) {
    static const struct listing_events events = {groups_on_rows, on_end};
    static const char *const columns[] = {"GROUP", "CONNECTIONS"};
    struct list *l = ctx;
    table_init(&l->table, 2, columns);
    buf_append_char(&l->json, '[');
    struct listing_filter filter = {.name = bytes_str(l->tool->arguments[0])};
    (void)listing_start(l->tool->registry, &filter, &events, l);
}

static int run_groups(struct tool *t, void *own) {
    return run_list(t, own, groups_on_ready);
}

const struct verb verb_groups = {.name = "groups",
                                 .arguments = "NAME",
                                 .summary = "list the groups of a Name",
                                 .flags = VERB_REDIS | VERB_JSON,
                                 VERB_COUNT(1, 1),
                                 VERB_RUN(struct list, run_groups)};

/* --- clients --- */

static void add_client(struct list *l, const struct registry_row *row) {
    struct conn_value value = {0};
    struct conn_details d;
    struct buf groups = {0};
    char connected_at[32] = "";
    if (conn_value_parse(row->value, &value))
        clock_format_utc(value.connected_ms, connected_at);
    table_cell(&l->table, row->name);
    table_cell(&l->table, row->client_id);
    conn_details_read(row->value, row->details, &d);
    for (size_t i = 0; i < d.groups.count; i++) {
        if (i > 0)
            buf_append_str(&groups, ", ");
        buf_append(&groups, d.groups.items[i]);
    }
    table_cell(&l->table, buf_bytes(&groups));
    table_cell(&l->table, value.gateway);
    table_cell(&l->table, conn_value_transport(&value));
    table_cell(&l->table, bytes_str(connected_at));
    table_cell(&l->table, d.data);
    conn_details_free(&d);
    buf_deinit(&groups);
}

static void clients_on_rows(void *ctx, const struct registry_row *rows, size_t count) {
    struct list *l = ctx;
    begin_part(l);
    if (l->tool->is_json)
        listing_write_rows(&l->json, rows, count);
    for (size_t i = 0; !l->tool->is_json && i < count; i++)
        add_client(l, &rows[i]);
}

static void clients_on_ready(void *ctx) {
    static const struct listing_events events = {clients_on_rows, on_end};
    static const char *const columns[] = {"NAME",      "CLIENT ID", "GROUP", "GATEWAY",
                                          "TRANSPORT", "CONNECTED", "DATA"};
    struct list *l = ctx;
    table_init(&l->table, ARRAY_LEN(columns), columns);
    buf_append_char(&l->json, '[');
    struct listing_filter filter = {.group = bytes_str(l->group)};
    if (l->tool->argument_count > 0)
        filter.name = bytes_str(l->tool->arguments[0]);
    (void)listing_start(l->tool->registry, &filter, &events, l);
}

static int run_clients(struct tool *t, void *own) {
    return run_list(t, own, clients_on_ready);
}

static const struct option clients_options[] = {
    {"group", OPTION_TEXT, offsetof(struct list, group), "GROUP",
     "list only the connections of this group"},
};

const struct verb verb_clients = {.name = "clients",
                                  .arguments = "[NAME]",
                                  .summary = "list the connections of a Name, or all",
                                  .flags = VERB_REDIS | VERB_JSON,
                                  .max_arguments = 1,
                                  VERB_OPTIONS(clients_options),
                                  VERB_RUN(struct list, run_clients)};

/* --- gateways, brokers: by their heartbeats --- */

static void cell_or_dash(struct table *table, const char *text) {
    table_cell(table, bytes_str(*text != '\0' ? text : "-"));
}

static void print_roster(const struct roster_row *rows, size_t count, bool is_gateways) {
    static const char *const gateways[] = {"ID",    "STATE", "CONNECTIONS", "LISTENS",
                                           "ADMIN", "HOST",  "PID",         "VERSION"};
    static const char *const brokers[] = {"ID", "STATE", "ADMIN", "HOST", "PID", "VERSION"};
    struct table table;
    char number[24];
    table_init(&table, is_gateways ? ARRAY_LEN(gateways) : ARRAY_LEN(brokers),
               is_gateways ? gateways : brokers);
    for (size_t i = 0; i < count; i++) {
        const struct about_row *about = rows[i].about;
        snprintf(number, sizeof(number), "%" PRId64, rows[i].connections);
        table_cell(&table, bytes_str(rows[i].id));
        table_cell(&table, bytes_str(roster_state(&rows[i])));
        if (is_gateways) {
            table_cell(&table, bytes_str(number));
            cell_or_dash(&table, about->listen);
        }
        cell_or_dash(&table, about->admin);
        cell_or_dash(&table, about->host);
        snprintf(number, sizeof(number), "%" PRId64, about->pid);
        cell_or_dash(&table, about->pid > 0 ? number : "");
        cell_or_dash(&table, about->version);
    }
    table_print(&table);
}

static void on_roster(void *ctx, int status, const struct roster_row *rows, size_t count) {
    struct tool *t = ctx;
    struct buf json = {0};
    if (tool_ends_lost(t, status < 0))
        return;
    if (t->is_json) {
        roster_write_json(&json, rows, count);
        tool_print(&json);
    } else {
        print_roster(rows, count, t->verb == &verb_gateways);
    }
    tool_end(t, TOOL_OK);
}

static void roster_on_ready(void *ctx) {
    struct tool *t = ctx;
    enum roster_kind kind = t->verb == &verb_gateways ? ROSTER_GATEWAYS : ROSTER_BROKERS;
    (void)roster_look(t->bus, kind, ROSTER_PATIENCE_MS, on_roster, t);
}

static int run_roster(struct tool *t, void *own) {
    (void)own;
    return tool_connect(t) ? tool_run(t, roster_on_ready, t) : TOOL_USAGE;
}

static const char roster_details[] =
    "A process is alive when its heartbeat moves while the CLI looks, which takes a\n"
    "second. The brokers declare a process dead that is silent for longer than\n"
    "--dead-after-ms, and it leaves the list. A gateway may also be draining or drained\n"
    "(`signalbox drain`), or ending (after a signal). While Redis refuses writes, no\n"
    "heartbeat can move: the state is unknown, and null in --json.";

const struct verb verb_gateways = {
    .name = "gateways",
    .arguments = "",
    .summary = "list the gateways: state, connections, addresses, host, version",
    .details = roster_details,
    .flags = VERB_REDIS | VERB_JSON,
    .run = run_roster};

const struct verb verb_brokers = {.name = "brokers",
                                  .arguments = "",
                                  .summary = "list the brokers: state, addresses, host, version",
                                  .details = roster_details,
                                  .flags = VERB_REDIS | VERB_JSON,
                                  .run = run_roster};
