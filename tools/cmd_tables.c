/* cmd_tables.c - config, settings, metrics, close-codes: the tables that code and manual share. */
#include <inttypes.h>
#include <stdio.h>

#include "common/app/json.h"
#include "common/base/metrics.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

struct tables {
    bool is_markdown;
};

static const struct option options[] = {
    {.name = "markdown",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct tables, is_markdown),
     .help = "as the manual has it"},
};

/* --- config --- */

static void print_json_value(const char *field, struct bytes value, bool is_number,
                             bool *is_first) {
    struct buf text = {0};
    buf_append_str(&text, *is_first ? "{\"" : ",\"");
    for (; *field != '\0'; field++)
        buf_append_char(&text, *field == '_' ? '-' : *field);
    buf_append_str(&text, "\":");
    if (is_number)
        buf_append(&text, value);
    else
        json_append_string(&text, value);
    printf("%.*s", BYTES_FMT(buf_bytes(&text)));
    buf_deinit(&text);
    *is_first = false;
}

static void print_json_list(const char *field, const struct settings_list *list, bool *is_first) {
    struct buf text = {0};
    buf_append_char(&text, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_append_char(&text, ',');
        json_append_string(&text, bytes_str(list->items[i]));
    }
    buf_append_char(&text, ']');
    print_json_value(field, buf_bytes(&text), true, is_first);
    buf_deinit(&text);
}

static void print_json_number(const char *field, int64_t number, bool *is_first) {
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, number);
    print_json_value(field, bytes_str(text), true, is_first);
}

static void print_config_json(const struct settings *s) {
    bool is_first = true;
#define STRING(field, who, def, placeholder, help)                                                 \
    print_json_value(#field, bytes_str(s->field), false, &is_first);
#define NUMBER(field, who, def, lowest, highest, unit, help)                                       \
    print_json_number(#field, s->field, &is_first);
#define LIST(field, who, placeholder, help) print_json_list(#field, &s->field, &is_first);
#include "common/base/settings.def"
#undef STRING
#undef NUMBER
#undef LIST
    puts("}");
}

/* The settings of all programs, by this environment and these flags. */
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
    if (t->is_json)
        print_config_json(&all);
    else
        settings_print_values(stdout, FOR_ALL, &all);
    return TOOL_OK;
}

const struct verb verb_config = {
    .name = "config",
    .arguments = "",
    .summary = "the settings of all programs with the values they would have here",
    .flags = VERB_JSON | VERB_DAEMON_SETTINGS,
    .run = run_config};

/* --- settings, metrics, close-codes --- */

static int run_settings(struct tool *t, void *own) {
    (void)t;
    if (((struct tables *)own)->is_markdown)
        settings_print_markdown(stdout);
    else
        settings_print_help(stdout, FOR_ALL);
    return TOOL_OK;
}

const struct verb verb_settings = {.name = "settings",
                                   .arguments = "",
                                   .summary = "every setting: flag, bounds, meaning",
                                   .options = options,
                                   .option_count = ARRAY_LEN(options),
                                   .size = sizeof(struct tables),
                                   .run = run_settings};

static const struct metric_row {
    const char *name, *kind, *help;
} metric_rows[] = {
#define COUNTER(name, help) {"signalbox_" #name "_total", "counter", help},
#define GAUGE(name, help)   {"signalbox_" #name, "gauge", help},
#include "common/base/metrics.def"
#undef COUNTER
#undef GAUGE
};

static int run_metrics(struct tool *t, void *own) {
    static const char *const columns[] = {"METRIC", "KIND", "WHAT"};
    struct table table;
    (void)t;
    if (((struct tables *)own)->is_markdown) {
        metrics_print_markdown(stdout);
        return TOOL_OK;
    }
    table_init(&table, 3, columns);
    for (size_t i = 0; i < ARRAY_LEN(metric_rows); i++) {
        table_cell(&table, bytes_str(metric_rows[i].name));
        table_cell(&table, bytes_str(metric_rows[i].kind));
        table_cell(&table, bytes_str(metric_rows[i].help));
    }
    table_print(&table);
    return TOOL_OK;
}

const struct verb verb_metrics = {.name = "metrics",
                                  .arguments = "",
                                  .summary = "every metric and what it means",
                                  .options = options,
                                  .option_count = ARRAY_LEN(options),
                                  .size = sizeof(struct tables),
                                  .run = run_metrics};

static const struct close_row {
    const char *code, *reason, *docs;
} close_rows[] = {
#define X(NAME, code, text, docs) {#code, text, docs},
#include "gateway/close_reason.def"
#undef X
};

static int run_close_codes(struct tool *t, void *own) {
    static const char *const columns[] = {"CODE", "REASON", "WHEN"};
    struct table table;
    bool is_markdown = ((struct tables *)own)->is_markdown;
    (void)t;
    if (is_markdown)
        puts("| code | reason | when |\n|---|---|---|");
    table_init(&table, 3, columns);
    for (size_t i = 0; i < ARRAY_LEN(close_rows); i++) {
        const struct close_row *row = &close_rows[i];
        if (is_markdown) {
            printf("| %s | %s | %s |\n", row->code, row->reason, row->docs);
            continue;
        }
        table_cell(&table, bytes_str(row->code));
        table_cell(&table, bytes_str(row->reason));
        table_cell(&table, bytes_str(row->docs));
    }
    table_print(&table);
    return TOOL_OK;
}

const struct verb verb_close_codes = {.name = "close-codes",
                                      .arguments = "",
                                      .summary = "why a gateway closes a connection",
                                      .options = options,
                                      .option_count = ARRAY_LEN(options),
                                      .size = sizeof(struct tables),
                                      .run = run_close_codes};
