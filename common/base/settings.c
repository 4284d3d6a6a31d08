/*
 * settings.c - see settings.h. The table is expanded into an array of descriptions; all work goes
 * over that array. To add a setting: settings.def.
 */
#include "common/base/settings.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/memory_budget.h"
#include "common/base/suggest.h"

struct description {
    enum settings_kind kind;
    int who;
    const char *field;
    size_t offset;
    const char *text_default;
    int64_t number_default, lowest, highest;
    const char *placeholder; /* for a number: its unit */
    const char *help;
};

static const struct description table[] = {
#define STRING(field, who, def, placeholder, help)                                                 \
    {SETTINGS_STRING, who, #field, offsetof(struct settings, field), def, 0, 0, 0,                 \
     placeholder,     help},
#define NUMBER(field, who, def, lowest, highest, unit, help)                                       \
    {SETTINGS_NUMBER, who,  #field, offsetof(struct settings, field), "", def, lowest,             \
     highest,         unit, help},
#define LIST(field, who, placeholder, help)                                                        \
    {SETTINGS_LIST, who, #field, offsetof(struct settings, field), "", 0, 0, 0, placeholder, help},
#include "common/base/settings.def"
#undef STRING
#undef NUMBER
#undef LIST
};

/* "max_message_bytes" → "max-message-bytes" or "SIGNALBOX_MAX_MESSAGE_BYTES". */
static void spell(const char *field, bool is_environment, char out[80]) {
    size_t n = 0;
    if (is_environment)
        n = (size_t)snprintf(out, 80, "SIGNALBOX_");
    for (; *field && n < 79; field++)
        out[n++] = is_environment  ? (char)toupper((unsigned char)*field)
                   : *field == '_' ? '-'
                                   : *field;
    out[n] = '\0';
}

static const struct description *find(enum settings_who who, const char *name) {
    char flag[80];
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        spell(table[i].field, false, flag);
        if ((table[i].who & (int)who) && strcmp(flag, name) == 0)
            return &table[i];
    }
    return NULL;
}

static enum settings_result set_number(struct settings *s, const struct description *d,
                                       const char *name, const char *value) {
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < d->lowest || number > d->highest) {
        fprintf(stderr, "%s=%s: must be a number of %s from %" PRId64 " to %" PRId64 "\n", name,
                value, d->placeholder, d->lowest, d->highest);
        return SETTINGS_BAD;
    }
    *(int64_t *)((char *)s + d->offset) = number;
    return SETTINGS_OK;
}

static enum settings_result set_list(struct settings *s, const struct description *d,
                                     const char *name, const char *value) {
    struct settings_list *list = (struct settings_list *)((char *)s + d->offset);
    if (list->count == SETTINGS_LIST_MAX) {
        fprintf(stderr, "%s=%s: given more than %d times\n", name, value, SETTINGS_LIST_MAX);
        return SETTINGS_BAD;
    }
    list->items[list->count++] = value;
    return SETTINGS_OK;
}

static enum settings_result set(struct settings *s, const struct description *d, const char *name,
                                const char *value) {
    s->is_given[d - table] = true;
    if (d->kind == SETTINGS_NUMBER)
        return set_number(s, d, name, value);
    if (d->kind == SETTINGS_LIST)
        return set_list(s, d, name, value);
    *(const char **)((char *)s + d->offset) = value;
    return SETTINGS_OK;
}

static void complain_of_name(enum settings_who who, const char *name) {
    struct suggestion s;
    char flag[80];
    suggestion_init(&s, name);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        spell(table[i].field, false, flag);
        if (table[i].who & (int)who)
            suggestion_offer(&s, flag);
    }
    const char *meant = suggestion_best(&s);
    fprintf(stderr, "--%s: no such setting%s%s%s; --help lists them\n", name,
            meant != NULL ? ", did you mean --" : "", meant != NULL ? meant : "",
            meant != NULL ? "?" : "");
}

enum settings_result settings_set(struct settings *s, enum settings_who who, const char *name,
                                  const char *value) {
    const struct description *d = find(who, name);
    if (d == NULL) {
        complain_of_name(who, name);
        return SETTINGS_BAD;
    }
    char shown[84] = "--";
    spell(d->field, false, shown + 2);
    return set(s, d, shown, value);
}

bool settings_is_known(enum settings_who who, const char *name) {
    return find(who, name) != NULL;
}

bool settings_is_default(const struct settings *s, const int64_t *number) {
    size_t offset = (size_t)((const char *)number - (const char *)s);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].offset == offset)
            return *number == table[i].number_default && !s->is_given[i];
    return false;
}

static void set_defaults(struct settings *s) {
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].kind == SETTINGS_STRING)
            *(const char **)((char *)s + table[i].offset) = table[i].text_default;
        else if (table[i].kind == SETTINGS_NUMBER)
            *(int64_t *)((char *)s + table[i].offset) = table[i].number_default;
    }
}

static enum settings_result read_environment(struct settings *s, enum settings_who who) {
    char name[80];
    if (getenv("REDIS_URL"))
        s->redis = getenv("REDIS_URL");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        spell(table[i].field, true, name);
        const char *value = getenv(name);
        if (value == NULL || !(table[i].who & (int)who))
            continue;
        if (set(s, &table[i], name, value) != SETTINGS_OK)
            return SETTINGS_BAD;
    }
    return SETTINGS_OK;
}

/* One "--name=value" or "--name value" at argv[*at]; moves *at past what it used. */
static enum settings_result read_flag(struct settings *s, enum settings_who who, int argc,
                                      char **argv, int *at) {
    char *name = argv[*at] + 2;
    char *equals = strchr(name, '=');
    if (equals != NULL) {
        *equals = '\0';
        enum settings_result result = settings_set(s, who, name, equals + 1);
        *equals = '=';
        return result;
    }
    if (settings_is_known(who, name) && *at + 1 == argc) {
        fprintf(stderr, "--%s: needs a value\n", name);
        return SETTINGS_BAD;
    }
    return settings_set(s, who, name, *at + 1 < argc ? argv[++*at] : "");
}

/* A list that is given by flags takes the place of the environment's. */
static void forget_list(struct settings_list *list, const struct settings_list *from_environment) {
    (void)from_environment;
    list->count = 0;
}

static void restore_list(struct settings_list *list, const struct settings_list *from_environment) {
    if (list->count == 0)
        *list = *from_environment;
}

static void each_list(struct settings *s, const struct settings *from_environment,
                      void (*fn)(struct settings_list *, const struct settings_list *)) {
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].kind == SETTINGS_LIST)
            fn((struct settings_list *)((char *)s + table[i].offset),
               (const struct settings_list *)((const char *)from_environment + table[i].offset));
}

enum settings_result settings_parse(struct settings *s_out, enum settings_who who, int argc,
                                    char **argv, int *rest_out) {
    set_defaults(s_out);
    *rest_out = 0;
    if (read_environment(s_out, who) != SETTINGS_OK)
        return SETTINGS_BAD;
    struct settings from_environment = *s_out;
    each_list(s_out, &from_environment, forget_list);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                argv[1 + (*rest_out)++] = argv[i];
            break;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return SETTINGS_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return SETTINGS_VERSION;
        if (strncmp(argv[i], "--", 2) != 0)
            argv[1 + (*rest_out)++] = argv[i];
        else if (read_flag(s_out, who, argc, argv, &i) != SETTINGS_OK)
            return SETTINGS_BAD;
    }
    each_list(s_out, &from_environment, restore_list);
    if (s_out->max_memory_bytes == 0)
        s_out->max_memory_bytes = (int64_t)memory_default("");
    return SETTINGS_OK;
}

void settings_print_help(FILE *out, enum settings_who who) {
    char flag[80];
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct description *d = &table[i];
        if (!(d->who & (int)who))
            continue;
        spell(d->field, false, flag);
        fprintf(out, "  --%s %s\n        %s", flag,
                d->kind == SETTINGS_NUMBER ? "N" : d->placeholder, d->help);
        if (d->kind == SETTINGS_NUMBER)
            fprintf(out, " [%" PRId64 " %s]", d->number_default, d->placeholder);
        else if (*d->text_default)
            fprintf(out, " [%s]", d->text_default);
        fputc('\n', out);
    }
    fputs("  --help, --version\n\nEach flag is also an environment variable: --log-level is "
          "SIGNALBOX_LOG_LEVEL.\n",
          out);
}

void settings_print_markdown(FILE *out) {
    char flag[80];
    static const char *const who_names[] = {"",    "gateway", "broker", "gateway, broker",
                                            "CLI", "",        "",       "all"};
    fputs("| flag | programs | default | bounds | what |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct description *d = &table[i];
        spell(d->field, false, flag);
        fprintf(out, "| `--%s` | %s | ", flag, who_names[d->who & 7]);
        if (d->kind == SETTINGS_NUMBER)
            fprintf(out, "%" PRId64 " %s | %" PRId64 " … %" PRId64, d->number_default,
                    d->placeholder, d->lowest, d->highest);
        else
            fprintf(out, "%s | ", *d->text_default ? d->text_default : "none");
        fprintf(out, " | %s |\n", d->help);
    }
}

/* ---- values */

/* REDIS_URL is read first, so a variable of ours wins over it. */
static const char *variable_of(const struct description *d, char name[80]) {
    spell(d->field, true, name);
    if (getenv(name) != NULL)
        return name;
    bool is_redis = strcmp(d->field, "redis") == 0;
    return is_redis && getenv("REDIS_URL") != NULL ? "REDIS_URL" : NULL;
}

void settings_each(enum settings_who who, const struct settings *s, settings_row_fn *fn,
                   void *ctx) {
    char flag[80], variable[80];
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct description *d = &table[i];
        const void *field = (const char *)s + d->offset;
        if (!(d->who & (int)who))
            continue;
        spell(d->field, false, flag);
        struct settings_row row = {.flag = flag,
                                   .environment = variable_of(d, variable),
                                   .help = d->help,
                                   .unit = d->placeholder,
                                   .kind = d->kind,
                                   .number_default = d->number_default,
                                   .lowest = d->lowest,
                                   .highest = d->highest};
        switch (d->kind) {
        case SETTINGS_STRING: row.text = *(const char *const *)field; break;
        case SETTINGS_NUMBER: row.number = *(const int64_t *)field; break;
        case SETTINGS_LIST: row.list = field; break;
        }
        fn(ctx, &row);
    }
}

/* The end of the run of bytes that are none of `stops`. */
static const char *up_to(const char *from, const char *stops) {
    return from + strcspn(from, stops);
}

static const char *last_at(const char *from, const char *end) {
    while (end > from && end[-1] != '@')
        end--;
    return end > from ? end - 1 : NULL;
}

/* user:PASSWORD@ after "://", up to the last '@' before the path, as the parsers have it. A
 * password may have a '/' or '?' that should have been percent-encoded: no parser takes that URL,
 * and it is not shown either. */
static const char *append_authority(struct buf *out, const char *from) {
    const char *at = last_at(from, up_to(from, "/?# "));
    if (at == NULL && *from != '/')
        at = last_at(from, up_to(from, "?# "));
    if (at == NULL && *from != '/' && strchr(from, '=') == NULL)
        at = last_at(from, up_to(from, " "));
    if (at == NULL)
        return from;
    const char *colon = memchr(from, ':', (size_t)(at - from));
    if (colon == NULL)
        return from;
    buf_append(out, bytes_of(from, (size_t)(colon + 1 - from)));
    buf_append_str(out, "***");
    return at;
}

void settings_append_shown(struct buf *out, const char *value) {
    static const char authority[] = "://", password[] = "password=";
    if (*value != '/' && strstr(value, authority) == NULL)
        value = append_authority(out, value);
    while (*value != '\0') {
        if (strncmp(value, authority, strlen(authority)) == 0) {
            buf_append_str(out, authority);
            value = append_authority(out, value + strlen(authority));
        } else if (strncasecmp(value, password, strlen(password)) == 0) {
            buf_append(out, bytes_of(value, strlen(password)));
            buf_append_str(out, "***");
            value = up_to(value + strlen(password), "& ");
        } else {
            buf_append_char(out, *value++);
        }
    }
}

static bool is_secret_flag(const char *flag) {
    return strcmp(flag, "--password") == 0 || strcmp(flag, "--secret") == 0;
}

/* "--secret=x": where the x begins, or NULL. */
static char *secret_value(char *argument) {
    static const char *const flags[] = {"--password=", "--secret="};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (strncmp(argument, flags[i], strlen(flags[i])) == 0)
            return argument + strlen(flags[i]);
    return NULL;
}

/* In the place of `text`, no longer than it. */
static void overwrite(char *text, struct bytes shown) {
    size_t len = strlen(text);
    memset(text, '\0', len);
    memcpy(text, shown.ptr, shown.len < len ? shown.len : len);
}

void settings_hide_secrets(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *original = argv[i], *value = secret_value(original);
        struct buf shown = {0};
        settings_append_shown(&shown, original);
        bool is_value = is_secret_flag(argv[i - 1]);
        if (is_value || value != NULL || !bytes_equal_str(buf_bytes(&shown), original)) {
            argv[i] = mem_strdup(original);
            if (is_value || value != NULL)
                overwrite(is_value ? original : value, BYTES_LIT("***"));
            else
                overwrite(original, buf_bytes(&shown));
        }
        buf_deinit(&shown);
    }
}

bool settings_apply_log(const struct settings *s, const char *process) {
    enum log_level level;
    if (!log_level_parse(s->log_level, &level)) {
        fprintf(stderr, "--log-level=%s: must be debug, info, warn or error\n", s->log_level);
        return false;
    }
    if (strcmp(s->log_format, "text") != 0 && strcmp(s->log_format, "json") != 0) {
        fprintf(stderr, "--log-format=%s: must be text or json\n", s->log_format);
        return false;
    }
    log_init(process);
    log_set_level(level);
    log_set_json(strcmp(s->log_format, "json") == 0);
    return true;
}
