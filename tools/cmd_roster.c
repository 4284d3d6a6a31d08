/* cmd_roster.c - gateways, brokers: which processes there are, by their heartbeats. */
#include <inttypes.h>
#include <stdio.h>

#include "common/admin/roster.h"
#include "common/base/buf.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

static void print_table(const struct roster_row *rows, size_t count, bool is_gateways) {
    static const char *const columns[] = {"ID", "STATE", "CONNECTIONS"};
    struct table table;
    char number[24];
    table_init(&table, is_gateways ? 3 : 2, columns);
    for (size_t i = 0; i < count; i++) {
        snprintf(number, sizeof(number), "%" PRId64, rows[i].connections);
        table_cell(&table, bytes_str(rows[i].id));
        table_cell(&table, rows[i].is_alive ? BYTES_LIT("alive") : BYTES_LIT("silent"));
        if (is_gateways)
            table_cell(&table, bytes_str(number));
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
    "A process is alive when its heartbeat moves while we look, which takes a second; one that\n"
    "is silent for longer than --dead-after-ms is buried by the brokers and leaves the list.";

const struct verb verb_gateways = {.name = "gateways",
                                   .arguments = "",
                                   .summary = "the gateways, and how many connections each has",
                                   .details = details,
                                   .flags = VERB_REDIS | VERB_JSON,
                                   .run = run};

const struct verb verb_brokers = {.name = "brokers",
                                  .arguments = "",
                                  .summary = "the brokers",
                                  .details = details,
                                  .flags = VERB_REDIS | VERB_JSON,
                                  .run = run};
