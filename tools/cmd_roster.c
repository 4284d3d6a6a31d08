/* cmd_roster.c - gateways, brokers: list the processes by their heartbeats. */
#include <inttypes.h>
#include <stdio.h>

#include "common/admin/roster.h"
#include "common/base/buf.h"
#include "common/bus/cluster/about.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

static void cell_or_dash(struct table *table, const char *text) {
    table_cell(table, bytes_str(*text != '\0' ? text : "-"));
}

static void print_table(const struct roster_row *rows, size_t count, bool is_gateways) {
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
    if (status < 0) {
        tool_end_lost(t);
        return;
    }
    if (t->is_json) {
        roster_write_json(&json, rows, count);
        printf("%.*s\n", BYTES_FMT(buf_bytes(&json)));
    } else {
        print_table(rows, count, t->verb == &verb_gateways);
    }
    buf_deinit(&json);
    tool_end(t, TOOL_OK);
}

static void on_ready(void *ctx) {
    struct tool *t = ctx;
    enum roster_kind kind = t->verb == &verb_gateways ? ROSTER_GATEWAYS : ROSTER_BROKERS;
    (void)roster_look(t->bus, kind, ROSTER_PATIENCE_MS, on_roster, t);
}

static int run(struct tool *t, void *own) {
    (void)own;
    return tool_connect(t) ? tool_run(t, on_ready, t) : TOOL_USAGE;
}

static const char details[] =
    "A process is alive when its heartbeat moves while the CLI looks, which takes a\n"
    "second. The brokers declare a process dead that is silent for longer than\n"
    "--dead-after-ms, and it leaves the list. A gateway may also be draining or drained\n"
    "(`signalbox drain`), or ending (after a signal). While Redis refuses writes, no\n"
    "heartbeat can move: the state is unknown, and null in --json.";

const struct verb verb_gateways = {
    .name = "gateways",
    .arguments = "",
    .summary = "list the gateways: state, connections, addresses, host, version",
    .details = details,
    .flags = VERB_REDIS | VERB_JSON,
    .run = run};

const struct verb verb_brokers = {.name = "brokers",
                                  .arguments = "",
                                  .summary = "list the brokers: state, addresses, host, version",
                                  .details = details,
                                  .flags = VERB_REDIS | VERB_JSON,
                                  .run = run};
