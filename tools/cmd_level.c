/* cmd_level.c - level: reads or sets the broadcast levels that hold for the whole cluster at run
 * time (rules.h). The levels of the app file are not visible from here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json_text.h"
#include "common/send/address.h"
#include "common/send/levels.h"
#include "common/base/fold.h"
#include "common/bus/ask.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/rules.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

static const char prefix[] = "level:";

struct level_run {
    struct tool *tool;
    struct rules *rules;
    struct buf field; /* "level:<name, lower case>", or empty: all */
    struct buf value; /* to set; empty: unset */
    /* what was read */
    char **names, **values;
    size_t count;
};

/* --- reading --- */

static void on_change(void *ctx, struct bytes field, struct bytes value) {
    struct level_run *l = ctx;
    if (!bytes_starts_with(field, bytes_str(prefix)) || value.len == 0)
        return;
    l->names = mem_realloc(l->names, (l->count + 1) * sizeof(*l->names));
    l->values = mem_realloc(l->values, (l->count + 1) * sizeof(*l->values));
    l->names[l->count] = bytes_dup(bytes_from(field, strlen(prefix)));
    l->values[l->count++] = bytes_dup(value);
}

static const char *value_of(const struct level_run *l, const char *name) {
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->names[i], name) == 0)
            return l->values[i];
    return NULL;
}

/* An empty value means that no level is set. */
static void print_level(struct bytes value) {
    struct buf json = {0};
    if (value.len > 0)
        json_append_string(&json, value);
    else
        buf_append_str(&json, "null");
    printf("{\"level\":%.*s}\n", BYTES_FMT(buf_bytes(&json)));
    buf_deinit(&json);
}

static void print_one(const struct level_run *l) {
    const char *name = l->field.ptr + strlen(prefix), *value = value_of(l, name);
    const char *general = value_of(l, "*");
    if (l->tool->is_json)
        print_level(value != NULL ? bytes_str(value) : BYTES_NONE);
    else if (value != NULL)
        table_line(stdout, "%s", value);
    else if (general != NULL)
        table_line(stdout, "%s (set for *)", general);
    else
        puts("not set: the app file decides");
}

static void print_all(const struct level_run *l) {
    static const char *const columns[] = {"NAME", "LEVEL"};
    struct table table;
    struct buf json = {0};
    table_init(&table, 2, columns);
    for (size_t i = 0; i < l->count; i++) {
        table_cell(&table, bytes_str(l->names[i]));
        table_cell(&table, bytes_str(l->values[i]));
        tool_append_json(&json, i > 0 ? ",{\"name\":" : "{\"name\":", bytes_str(l->names[i]));
        tool_append_json(&json, ",\"level\":", bytes_str(l->values[i]));
        buf_append_char(&json, '}');
    }
    if (l->tool->is_json)
        printf("[%.*s]\n", BYTES_FMT(buf_bytes(&json)));
    else
        table_print(&table);
    buf_deinit(&table.cells);
    buf_deinit(&json);
}

/* The rules were requested earlier on the same connection, so they have been read now. */
static void on_asked(void *ctx, const struct ask_answer *a) {
    struct level_run *l = ctx;
    if (tool_ends_lost(l->tool, a->is_lost || *bus_refusals(l->tool->bus) != '\0'))
        return;
    if (l->field.len > 0)
        print_one(l);
    else
        print_all(l);
    tool_end(l->tool, TOOL_OK);
}

/* --- setting --- */

static void on_set(void *ctx, int status) {
    struct level_run *l = ctx;
    if (tool_ends_lost(l->tool, status < 0))
        return;
    if (l->tool->is_json)
        print_level(buf_bytes(&l->value));
    tool_end(l->tool, TOOL_OK);
}

static void on_ready(void *ctx) {
    struct level_run *l = ctx;
    if (l->tool->argument_count < 2) {
        ask_clock(l->tool->bus, on_asked, l);
        return;
    }
    if (!tool_is_believed(l->tool))
        return;
    struct bytes field = bytes_str(l->field.ptr);
    rules_set(l->rules, field, buf_bytes(&l->value), on_set, l);
}

/* --- the command line --- */

static bool read_arguments(struct level_run *l) {
    const struct tool *t = l->tool;
    enum level level;
    if (t->argument_count > 0) {
        struct bytes name = bytes_str(t->arguments[0]);
        const char *fault = name.len == 0 ? "is empty" : address_fault(name);
        if (fault != NULL)
            return tool_complain(t, "NAME: %s", fault);
        buf_append_str(&l->field, prefix);
        fold_append(&l->field, name);
        buf_append_char(&l->field, '\0');
    }
    if (t->argument_count < 2 || strcmp(t->arguments[1], "unset") == 0)
        return true;
    if (!level_parse(bytes_str(t->arguments[1]), &level))
        return tool_complain(t, "%s: must be name, group, client_id or unset", t->arguments[1]);
    buf_append_str(&l->value, level_text(level));
    return true;
}

static int run(struct tool *t, void *own) {
    struct level_run *l = own;
    int exit_code = TOOL_USAGE;
    l->tool = t;
    if (read_arguments(l) && tool_connect(t)) {
        l->rules = rules_new(t->bus, on_change, l);
        exit_code = tool_run(t, on_ready, l);
        rules_free(l->rules);
    }
    for (size_t i = 0; i < l->count; i++) {
        free(l->names[i]);
        free(l->values[i]);
    }
    free(l->names);
    free(l->values);
    buf_deinit(&l->field);
    buf_deinit(&l->value);
    return exit_code;
}

const struct verb verb_level = {
    .name = "level",
    .arguments = "[NAME|'*' [LEVEL]]",
    .summary = "read or set broadcast levels at run time",
    .details =
        "LEVEL is name, group or client_id: the least that a send must address. '*' stands\n"
        "for every Name without a level of its own. `unset` leaves the level to the app file\n"
        "again. Without LEVEL the level is printed, without NAME all levels that are set.",
    .flags = VERB_REDIS | VERB_JSON,
    .max_arguments = 2,
    VERB_RUN(struct level_run, run)};
