/* options.c - see options.h. An option is looked up in the verb's own table, then among those of
 * all verbs, then among the settings. */
#include "tools/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/suggest.h"
#include "tools/tool.h"
#include "tools/verb.h"

static const struct option json_option = {"json", OPTION_FLAG, offsetof(struct tool, is_json), NULL,
                                          "print JSON, for scripts"};
static const struct option timeout_option = {"timeout",
                                             OPTION_DURATION,
                                             offsetof(struct tool, timeout_ms),
                                             "TIME",
                                             "how long to wait for Redis",
                                             .initial = "5s"};

static bool parse_duration(const char *text, int64_t *ms_out) {
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || end == text || !(value >= 0) || value > 1e9)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *ms_out = (int64_t)(value * (double)units[i].ms);
            return true;
        }
    }
    return false;
}

static bool set_list(struct tool *t, struct settings_list *list, const struct option *o,
                     const char *value) {
    if (list->count == SETTINGS_LIST_MAX)
        return tool_complain(t, "--%s is given more than %d times", o->name, SETTINGS_LIST_MAX);
    list->items[list->count++] = value;
    return true;
}

static bool set_number(struct tool *t, int64_t *number, const struct option *o, const char *value) {
    char *end;
    errno = 0;
    *number = strtoll(value, &end, 10);
    if (errno == 0 && end != value && *end == '\0' && *number >= o->lowest && *number <= o->highest)
        return true;
    return tool_complain(t, "--%s=%s: must be a number from %" PRId64 " to %" PRId64, o->name,
                         value, o->lowest, o->highest);
}

static bool set(struct tool *t, void *base, const struct option *o, const char *value) {
    void *field = (char *)base + o->offset;
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)field = true; return true;
    case OPTION_TEXT: *(const char **)field = value; return true;
    case OPTION_LIST: return set_list(t, field, o, value);
    case OPTION_NUMBER: return set_number(t, field, o, value);
    case OPTION_DURATION: break;
    }
    if (parse_duration(value, field))
        return true;
    return tool_complain(t, "--%s=%s: must be a time, as in 200ms, 2s or 1m", o->name, value);
}

/* *base_out: the struct the option's offset is in. */
static const struct option *find(struct tool *t, void *own, const char *name, void **base_out) {
    *base_out = own;
    for (size_t i = 0; i < t->verb->option_count; i++)
        if (strcmp(t->verb->options[i].name, name) == 0)
            return &t->verb->options[i];
    *base_out = t;
    if ((t->verb->flags & VERB_JSON) && strcmp(name, json_option.name) == 0)
        return &json_option;
    if ((t->verb->flags & VERB_REDIS) && strcmp(name, timeout_option.name) == 0)
        return &timeout_option;
    return NULL;
}

static bool pass_on(struct tool *t, const char *name, const char *value) {
    static struct settings scratch; /* only for the check of the value */
    if (t->passed_count + 2 > TOOL_PASSED_MAX)
        return tool_complain(t, "too many settings");
    t->passed[t->passed_count++] = name;
    t->passed[t->passed_count++] = value;
    return settings_set(&scratch, FOR_DAEMONS, name, value) == SETTINGS_OK;
}

static bool is_for_daemons(const struct tool *t, const char *name) {
    return (t->verb->flags & VERB_DAEMON_SETTINGS) && settings_is_known(FOR_DAEMONS, name) &&
           strcmp(name, "redis") != 0;
}

static bool set_setting(struct tool *t, const char *name, const char *value) {
    if (is_for_daemons(t, name) && !pass_on(t, name, value))
        return false;
    if (settings_is_known(FOR_CLI, name) &&
        settings_set(&t->settings, FOR_CLI, name, value) != SETTINGS_OK)
        return false;
    t->is_redis_given = t->is_redis_given || strcmp(name, "redis") == 0;
    return true;
}

static void offer_setting(void *ctx, const struct settings_row *row) {
    suggestion_offer(ctx, row->flag);
}

static void complain_of_option(const struct tool *t, const char *name) {
    struct suggestion s;
    suggestion_init(&s, name);
    for (size_t i = 0; i < t->verb->option_count; i++)
        suggestion_offer(&s, t->verb->options[i].name);
    if (t->verb->flags & VERB_JSON)
        suggestion_offer(&s, json_option.name);
    if (t->verb->flags & VERB_REDIS)
        suggestion_offer(&s, timeout_option.name);
    bool takes_all = t->verb->flags & VERB_DAEMON_SETTINGS;
    settings_each(takes_all ? FOR_ALL : FOR_CLI, &t->settings, offer_setting, &s);
    const char *meant = suggestion_best(&s);
    tool_complain(t, "--%s: no such option%s%s%s; `signalbox %s --help` lists them", name,
                  meant != NULL ? ", did you mean --" : "", meant != NULL ? meant : "",
                  meant != NULL ? "?" : "", t->verb->name);
}

/* Reads the option at argv[*at] and moves *at to its last argument. The '=' behind the name becomes
 * its end, since settings that are passed on keep pointing to the name. */
static bool read_option(struct tool *t, void *own, int argc, char **argv, int *at) {
    char *name = argv[*at] + 2;
    char *equals = strchr(name, '=');
    void *base;
    if (equals != NULL)
        *equals = '\0';
    const struct option *o = find(t, own, name, &base);
    bool is_flag = o != NULL && o->kind == OPTION_FLAG;
    if (o == NULL && !settings_is_known(FOR_CLI, name) && !is_for_daemons(t, name)) {
        complain_of_option(t, name);
        return false;
    }
    if (is_flag && equals != NULL)
        return tool_complain(t, "--%s takes no value", name);
    if (!is_flag && equals == NULL && *at + 1 == argc)
        return tool_complain(t, "--%s needs a value", name);
    const char *value = is_flag ? "" : equals != NULL ? equals + 1 : argv[++*at];
    return o != NULL ? set(t, base, o, value) : set_setting(t, name, value);
}

static bool check_count(const struct tool *t) {
    if (t->argument_count >= t->verb->min_arguments && t->argument_count <= t->verb->max_arguments)
        return true;
    return tool_complain(t, "%s; usage: signalbox %s %s",
                         t->argument_count < t->verb->min_arguments ? "an argument is missing"
                                                                    : "too many arguments",
                         t->verb->name, t->verb->arguments);
}

static bool set_initial(struct tool *t, void *own) {
    bool is_fine = true;
    for (size_t i = 0; i < t->verb->option_count; i++)
        if (t->verb->options[i].initial != NULL)
            is_fine = is_fine && set(t, own, &t->verb->options[i], t->verb->options[i].initial);
    return is_fine && set(t, t, &timeout_option, timeout_option.initial);
}

enum options_result options_parse(struct tool *t, void *own, int argc, char **argv) {
    int count = 0;
    bool has_ended = false;
    if (!set_initial(t, own))
        return OPTIONS_BAD;
    for (int i = 0; i < argc; i++) {
        if (has_ended || strncmp(argv[i], "-", 1) != 0 || argv[i][1] == '\0') {
            argv[count++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            has_ended = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return OPTIONS_HELP;
        } else if (strcmp(argv[i], "--version") == 0) {
            return OPTIONS_VERSION;
        } else if (strncmp(argv[i], "--", 2) != 0) {
            tool_complain(t, "%s: no such option; an argument that begins with '-' goes behind --",
                          argv[i]);
            return OPTIONS_BAD;
        } else if (!read_option(t, own, argc, argv, &i)) {
            return OPTIONS_BAD;
        }
    }
    argv[count] = NULL; /* argv has argc elements and a NULL */
    t->arguments = argv;
    t->argument_count = count;
    return check_count(t) ? OPTIONS_OK : OPTIONS_BAD;
}

/* --- help --- */

static void print_option(FILE *out, const struct option *o) {
    char left[64];
    snprintf(left, sizeof(left), "--%s%s%s", o->name, o->kind == OPTION_FLAG ? "" : " ",
             o->kind == OPTION_FLAG ? "" : o->placeholder);
    fprintf(out, "  %-22s %s", left, o->help);
    if (o->initial != NULL)
        fprintf(out, " [%s]", o->initial);
    fputc('\n', out);
}

void options_print_help(FILE *out, const struct tool *t) {
    const struct verb *v = t->verb;
    fprintf(out, "usage: signalbox %s %s%s[options]\n\n%s\n", v->name, v->arguments,
            *v->arguments != '\0' ? " " : "", v->summary);
    if (v->details != NULL)
        fprintf(out, "\n%s\n", v->details);
    fputc('\n', out);
    for (size_t i = 0; i < v->option_count; i++)
        print_option(out, &v->options[i]);
    if (v->flags & VERB_JSON)
        print_option(out, &json_option);
    if (v->flags & VERB_REDIS)
        print_option(out, &timeout_option);
    if (v->flags & VERB_DAEMON_SETTINGS)
        fputs("\nAll other settings of the gateway and the broker are passed on to them; "
              "`signalbox settings` lists them.\n",
              out);
    fputs("\nSettings:\n", out);
    settings_print_help(out, FOR_CLI);
    fputs(
        "\nExit status: 0 success, 1 failure, 2 the command line is wrong, 3 nobody was connected "
        "(send --wait).\n",
        out);
}
