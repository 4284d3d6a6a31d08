/*
 * settings.h - flags and environment of the three programs, from the table settings.def.
 *
 * Order: the flag, then the environment (SIGNALBOX_<NAME>; REDIS_URL for redis), then the default.
 * A wrong name or a value outside its bounds is reported in one line on standard error, which names
 * the setting, the value and the bound.
 */
#ifndef SIGNALBOX_BASE_SETTINGS_H
#define SIGNALBOX_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/must.h"

struct buf;

enum settings_who { FOR_GATEWAY = 1, FOR_BROKER = 2, FOR_CLI = 4, FOR_DAEMONS = 3, FOR_ALL = 7 };

enum { SETTINGS_LIST_MAX = 32 };

struct settings_list {
    const char *items[SETTINGS_LIST_MAX];
    size_t count;
};

/* How many there are. */
#define STRING(field, who, def, placeholder, help)           +1
#define NUMBER(field, who, def, lowest, highest, unit, help) +1
#define LIST(field, who, placeholder, help)                  +1
enum {
    SETTINGS_COUNT = 0
#include "common/base/settings.def"
};
#undef STRING
#undef NUMBER
#undef LIST

struct settings {
#define STRING(field, who, def, placeholder, help)           const char *field;
#define NUMBER(field, who, def, lowest, highest, unit, help) int64_t field;
#define LIST(field, who, placeholder, help)                  struct settings_list field;
#include "common/base/settings.def"
#undef STRING
#undef NUMBER
#undef LIST
    bool is_given[SETTINGS_COUNT]; /* by a flag or a variable; in the order of the table */
};

enum settings_result {
    SETTINGS_OK,
    SETTINGS_HELP,    /* --help: the caller prints its usage line and settings_print_help */
    SETTINGS_VERSION, /* --version */
    SETTINGS_BAD      /* one line was printed to standard error; main returns 2 */
};

/* Fills *s_out. Arguments that are no flags are moved to the front of argv[1…] and counted in
 * *rest_out; "--" ends the flags. Strings borrow from argv, the environment or the table. */
MUST_CHECK enum settings_result settings_parse(struct settings *s_out, enum settings_who who,
                                               int argc, char **argv, int *rest_out);
/* Sets one setting by its name ("max-message-bytes") as a flag would; prints the line when it is
 * wrong. */
MUST_CHECK enum settings_result settings_set(struct settings *s, enum settings_who who,
                                             const char *name, const char *value);
/* Whether `name` (without dashes) is a setting of any of `who`. */
bool settings_is_known(enum settings_who who, const char *name);

/* Whether nobody has set a number, so that it has the table's default. number: its place in *s. */
bool settings_is_default(const struct settings *s, const int64_t *number);

void settings_print_help(FILE *out, enum settings_who who);
/* The Markdown table of docs/operations.md. */
void settings_print_markdown(FILE *out);

/* One setting as the table has it, with its value and where that comes from. */
enum settings_kind { SETTINGS_STRING, SETTINGS_NUMBER, SETTINGS_LIST };
struct settings_row {
    const char *flag;        /* "max-message-bytes" */
    const char *environment; /* the variable that was read, or NULL */
    const char *help, *unit; /* unit: of a number */
    enum settings_kind kind;
    const char *text; /* SETTINGS_STRING */
    const struct settings_list *list;
    int64_t number, number_default, lowest, highest;
};
typedef void settings_row_fn(void *ctx, const struct settings_row *row);
/* In the order of the table. The row is borrowed until return. */
void settings_each(enum settings_who who, const struct settings *s, settings_row_fn *fn, void *ctx);
/* Appends a value as it may be shown: what could be a password in a URL is "***". */
void settings_append_shown(struct buf *out, const char *value);

/* What other users of the machine see of the command line (ps) is overwritten where it could be a
 * secret: a password in a URL, the value of --password or --secret. argv then points to copies of
 * such arguments, which live as long as the process. Call it first. */
void settings_hide_secrets(int argc, char **argv);

/* Applies log_level and log_format; false when they are wrong (one line was printed). */
MUST_CHECK bool settings_apply_log(const struct settings *s, const char *process);

#define SIGNALBOX_VERSION "0.1.0"

#endif
