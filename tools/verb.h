/*
 * verb.h - what a verb of the CLI is: its words, its options, and the function that runs it.
 *
 * To add a verb, write a file cmd_NAME.c with a `const struct verb verb_NAME`, and add its name to
 * VERBS below and the file to CMakeLists.txt.
 */
#ifndef SIGNALBOX_TOOLS_VERB_H
#define SIGNALBOX_TOOLS_VERB_H

#include <stddef.h>
#include <stdint.h>

struct tool;

/* What scripts may rely on. */
enum tool_exit {
    TOOL_OK = 0,
    TOOL_FAILED = 1, /* no Redis, refused, not valid, not ready … */
    TOOL_USAGE = 2,  /* the command line is wrong */
    TOOL_NOBODY = 3  /* send --wait: nobody was connected */
};

enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_LIST,    /* struct settings_list */
    OPTION_NUMBER,  /* int64_t */
    OPTION_DURATION /* int64_t, ms: 200ms, 2s, 1m, 1h, or ms without a unit */
};

struct option {
    const char *name; /* without dashes */
    enum option_kind kind;
    size_t offset;           /* in the verb's own struct */
    const char *placeholder; /* not of a flag */
    const char *help;
    int64_t lowest, highest; /* of a number */
    const char *initial;     /* the value when it is not given, or NULL */
};

enum verb_flag {
    VERB_REDIS = 1,          /* speaks to Redis: --timeout */
    VERB_JSON = 2,           /* --json */
    VERB_DAEMON_SETTINGS = 4 /* takes the settings of gateway and broker and passes them on */
};

#define VERB_OPTIONS(table)   .options = table, .option_count = ARRAY_LEN(table)
#define VERB_COUNT(min, max)  .min_arguments = min, .max_arguments = max
#define VERB_RUN(own, run_fn) .size = sizeof(own), .run = run_fn

struct verb {
    const char *name;
    const char *arguments; /* "NAME [DATA]" */
    const char *summary;   /* one line, imperative */
    const char *details;   /* whole sentences for --help, or NULL */
    unsigned flags;
    int min_arguments, max_arguments;
    const struct option *options;
    size_t option_count;
    size_t size; /* of the verb's own struct */
    /* own: the verb's struct, zeroed, its options filled in. Returns the exit status. */
    int (*run)(struct tool *t, void *own);
};

/* In the order in which they are listed. */
/* clang-format off */
#define VERBS(X) \
    X(up) X(send) X(tail) X(history) X(names) X(groups) X(clients) X(gateways) X(brokers) \
    X(close) X(join) X(leave) X(level) X(drain) X(undrain) X(reload) X(trace) X(secret) X(sign) \
    X(verify) X(check) X(run_route) X(ready) X(doctor) X(config) X(settings) X(metrics) \
    X(close_codes) X(redis_acl)
/* clang-format on */

#define X(name) extern const struct verb verb_##name;
VERBS(X)
#undef X

#endif
