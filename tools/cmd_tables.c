/* cmd_tables.c - config, settings, metrics, close-codes: print the tables that code and manual
 * share. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json/json_text.h"
#include "common/base/close_reason.h"
#include "common/base/metrics.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

struct tables {
    bool is_markdown;
};

static const struct option options[] = {
    {"markdown", OPTION_FLAG, offsetof(struct tables, is_markdown), NULL,
     "print the table as the manual has it"},
};

/* --- config --- */

/*
 * The settings of all programs, as this environment and these flags make them. In text, a comment
 * with the source and the bounds stands before each `name=value`; in JSON, the values are members,
 * and "sources" has the rest.
 */
struct config {
    const struct tool *tool;
    struct buf values, sources; /* JSON */
};

static void append_source(struct buf *out, const struct tool *t, const struct settings_row *row) {
    if (tool_passed(t, row->flag) != NULL || (t->is_redis_given && strcmp(row->flag, "redis") == 0))
        buf_printf(out, "--%s", row->flag);
    else
        buf_append_str(out, row->environment != NULL ? row->environment : "default");
}

static void print_row(void *ctx, const struct settings_row *row) {
    struct config *c = ctx;
    struct buf line = {0};
    buf_append_str(&line, "# ");
    append_source(&line, c->tool, row);
    if (row->kind == SETTINGS_NUMBER)
        buf_printf(&line, "; %" PRId64 " to %" PRId64 " %s, by default %" PRId64, row->lowest,
                   row->highest, row->unit, row->number_default);
    buf_printf(&line, "; %s\n%s=", row->help, row->flag);
    if (row->kind == SETTINGS_NUMBER)
        buf_printf(&line, "%" PRId64, row->number);
    else if (row->kind == SETTINGS_STRING)
        settings_append_shown(&line, row->text);
    for (size_t i = 0; row->kind == SETTINGS_LIST && i < row->list->count; i++) {
        if (i > 0)
            buf_printf(&line, "\n%s=", row->flag);
        settings_append_shown(&line, row->list->items[i]);
    }
    tool_print(&line);
}

static void append_shown_string(struct buf *out, const char *text) {
    struct buf shown = {0};
    settings_append_shown(&shown, text);
    json_append_string(out, buf_bytes(&shown));
    buf_deinit(&shown);
}

static void append_value(struct buf *out, const struct settings_row *row) {
    if (row->kind == SETTINGS_NUMBER)
        buf_printf(out, "%" PRId64, row->number);
    else if (row->kind == SETTINGS_STRING)
        append_shown_string(out, row->text);
    else
        buf_append_char(out, '[');
    for (size_t i = 0; row->kind == SETTINGS_LIST && i < row->list->count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        append_shown_string(out, row->list->items[i]);
    }
    if (row->kind == SETTINGS_LIST)
        buf_append_char(out, ']');
}

static void append_bounds(struct buf *out, const struct settings_row *row) {
    if (row->kind == SETTINGS_NUMBER)
        buf_printf(out,
                   ",\"default\":%" PRId64 ",\"lowest\":%" PRId64 ",\"highest\":%" PRId64
                   ",\"unit\":\"%s\"",
                   row->number_default, row->lowest, row->highest, row->unit);
}

static void append_row(void *ctx, const struct settings_row *row) {
    struct config *c = ctx;
    struct buf source = {0};
    buf_printf(&c->values, "%s\"%s\":", c->values.len > 0 ? "," : "", row->flag);
    append_value(&c->values, row);
    append_source(&source, c->tool, row);
    buf_printf(&c->sources, "%s\"%s\":{\"source\":", c->sources.len > 0 ? ",\n " : "", row->flag);
    json_append_string(&c->sources, buf_bytes(&source));
    append_bounds(&c->sources, row);
    buf_append_char(&c->sources, '}');
    buf_deinit(&source);
}

static void print_config(const struct tool *t, const struct settings *all) {
    struct config c = {.tool = t};
    settings_each(FOR_ALL, all, t->is_json ? append_row : print_row, &c);
    if (t->is_json)
        printf("{%.*s,\n\"sources\":{%.*s}}\n", BYTES_FMT(buf_bytes(&c.values)),
               BYTES_FMT(buf_bytes(&c.sources)));
    buf_deinit(&c.values);
    buf_deinit(&c.sources);
}

static int run_config(struct tool *t, void *own) {
    char *no_arguments[] = {"signalbox", NULL};
    struct settings all;
    int rest;
    (void)own;
    if (settings_parse(&all, FOR_ALL, 1, no_arguments, &rest) != SETTINGS_OK)
        return TOOL_USAGE;
    for (int i = 0; i < t->passed_count; i += 2)
        if (settings_set(&all, FOR_ALL, t->passed[i], t->passed[i + 1]) != SETTINGS_OK)
            return TOOL_USAGE;
    if (t->is_redis_given)
        all.redis = t->settings.redis;
    print_config(t, &all);
    return TOOL_OK;
}

const struct verb verb_config = {
    .name = "config",
    .arguments = "",
    .summary = "print the settings of all programs with the values they would have here",
    .details =
        "The values follow from this environment and the flags given here. Each is shown with\n"
        "its source (a flag, a variable, or the default) and its bounds; passwords in URLs\n"
        "are shown as ***. A running process keeps the values that it was started with.",
    .flags = VERB_JSON | VERB_DAEMON_SETTINGS,
    .run = run_config};

/* --- settings, metrics, close-codes --- */

static void append_setting(void *ctx, const struct settings_row *row) {
    struct buf *out = ctx;
    tool_append_json(out, out->len > 0 ? ",\n {\"flag\":" : "[{\"flag\":", bytes_str(row->flag));
    append_bounds(out, row);
    tool_append_json(out, ",\"what\":", bytes_str(row->help));
    buf_append_char(out, '}');
}

static int run_settings(struct tool *t, void *own) {
    struct buf json = {0};
    if (t->is_json) {
        settings_each(FOR_ALL, &t->settings, append_setting, &json);
        buf_append_char(&json, ']');
        tool_print(&json);
    } else if (((struct tables *)own)->is_markdown) {
        settings_print_markdown(stdout);
    } else {
        settings_print_help(stdout, FOR_ALL);
    }
    return TOOL_OK;
}

const struct verb verb_settings = {.name = "settings",
                                   .arguments = "",
                                   .summary = "list every setting: flag, bounds, meaning",
                                   .flags = VERB_JSON,
                                   VERB_OPTIONS(options),
                                   VERB_RUN(struct tables, run_settings)};

struct rows {
    size_t columns, count; /* count: of texts */
    const char *const *heads, *const *texts;
};

/* As JSON, rows are objects whose members are the columns in lower case. */
static void print_json_rows(const struct rows *r) {
    struct buf out = {0};
    for (size_t i = 0; i < r->count; i++) {
        size_t column = i % r->columns;
        buf_append_str(&out, i == 0 ? "[{\"" : column == 0 ? "},\n {\"" : ",\"");
        for (const char *c = r->heads[column]; *c != '\0'; c++)
            buf_append_char(&out, (char)tolower(*c));
        tool_append_json(&out, "\":", bytes_str(r->texts[i]));
    }
    buf_append_str(&out, "}]");
    tool_print(&out);
}

static void print_rows(const struct tool *t, const struct rows *r) {
    struct table table;
    if (t->is_json) {
        print_json_rows(r);
        return;
    }
    table_init(&table, r->columns, r->heads);
    for (size_t i = 0; i < r->count; i++)
        table_cell(&table, bytes_str(r->texts[i]));
    table_print(&table);
}

static int run_metrics(struct tool *t, void *own) {
    static const char *const heads[] = {"METRIC", "KIND", "WHAT"};
    static const char *const texts[] = {
#define COUNTER(name, help) "signalbox_" #name "_total", "counter", help,
#define GAUGE(name, help)   "signalbox_" #name, "gauge", help,
#include "common/base/metrics.def"
#undef COUNTER
#undef GAUGE
    };
    if (!t->is_json && ((struct tables *)own)->is_markdown)
        metrics_print_markdown(stdout);
    else
        print_rows(t, &(struct rows){ARRAY_LEN(heads), ARRAY_LEN(texts), heads, texts});
    return TOOL_OK;
}

const struct verb verb_metrics = {.name = "metrics",
                                  .arguments = "",
                                  .summary = "list every metric and what it means",
                                  .flags = VERB_JSON,
                                  VERB_OPTIONS(options),
                                  VERB_RUN(struct tables, run_metrics)};

static int run_close_codes(struct tool *t, void *own) {
    static const char *const heads[] = {"CODE", "REASON", "RETURN", "WHEN"};
    static const char *const texts[] = {
#define RETURN                                "yes"
#define STAY                                  "no"
#define X(NAME, code, may_return, text, docs) #code, text, may_return, docs,
#include "common/base/close_reason.def"
#undef X
    };
    if (!t->is_json && ((struct tables *)own)->is_markdown)
        close_reason_print_markdown(stdout);
    else
        print_rows(t, &(struct rows){ARRAY_LEN(heads), ARRAY_LEN(texts), heads, texts});
    return TOOL_OK;
}

const struct verb verb_close_codes = {
    .name = "close-codes",
    .arguments = "",
    .summary = "list the reasons for which a gateway closes a connection",
    .flags = VERB_JSON,
    VERB_OPTIONS(options),
    VERB_RUN(struct tables, run_close_codes)};
