/* signalbox.c - the CLI: finds the verb and runs it. The verbs are in cmd_*.c; verb.h lists
 * them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/suggest.h"
#include "tools/options.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

enum { SHOWN_MAX = 60 };

static const struct verb *const verbs[] = {
#define X(name) &verb_##name,
    VERBS(X)
#undef X
};

static void complain_of_verb(const char *name) {
    struct suggestion s;
    struct buf shown = {0};
    suggestion_init(&s, name);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        suggestion_offer(&s, verbs[i]->name);
    suggestion_offer(&s, "--help");
    suggestion_offer(&s, "--version");
    const char *meant = suggestion_best(&s);
    table_append_shown(&shown, bytes_head(bytes_str(name), SHOWN_MAX));
    fprintf(stderr, "signalbox: there is no verb '%.*s'%s%s%s; `signalbox --help` lists them\n",
            BYTES_FMT(buf_bytes(&shown)), meant != NULL ? ", did you mean '" : "",
            meant != NULL ? meant : "", meant != NULL ? "'?" : "");
    buf_deinit(&shown);
}

static void print_verbs(FILE *out) {
    fputs("usage: signalbox VERB … [--redis URL]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        fprintf(out, "  %-12s %s\n", verbs[i]->name, verbs[i]->summary);
    fputs("\n`signalbox VERB --help` says more. The Redis is that of --redis, else of REDIS_URL, "
          "else of "
          "a\n`signalbox up` in this folder, else redis://127.0.0.1:6379.\n",
          out);
}

/* Only errors are logged unless somebody asked for more. */
static bool read_environment(struct tool *t) {
    char *no_arguments[] = {"signalbox", NULL};
    int rest;
    if (settings_parse(&t->settings, FOR_CLI, 1, no_arguments, &rest) != SETTINGS_OK)
        return false;
    if (getenv("SIGNALBOX_LOG_LEVEL") == NULL)
        t->settings.log_level = "error";
    return true;
}

static int run(struct tool *t, void *own, int argc, char **argv) {
    if (!read_environment(t))
        return TOOL_USAGE;
    switch (options_parse(t, own, argc, argv)) {
    case OPTIONS_HELP: options_print_help(stdout, t); return TOOL_OK;
    case OPTIONS_VERSION: puts(SIGNALBOX_VERSION); return TOOL_OK;
    case OPTIONS_BAD: return TOOL_USAGE;
    case OPTIONS_OK: break;
    }
    if (!settings_apply_log(&t->settings, "signalbox"))
        return TOOL_USAGE;
    MUST(uv_loop_init(&t->loop) == 0);
    int exit_code = t->verb->run(t, own);
    tool_close(t);
    MUST(uv_loop_close(&t->loop) == 0);
    return exit_code;
}

int main(int argc, char **argv) {
    settings_hide_secrets(argc, argv);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_verbs(stdout);
        return TOOL_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts(SIGNALBOX_VERSION);
        return TOOL_OK;
    }
    struct tool t = {0};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i]->name, argv[1]) == 0)
            t.verb = verbs[i];
    if (t.verb == NULL) {
        complain_of_verb(argv[1]);
        return TOOL_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    void *own = mem_zalloc(t.verb->size + 1);
    int exit_code = run(&t, own, argc - 2, argv + 2);
    free(own);
    if (!tool_flush() && exit_code == TOOL_OK)
        exit_code = TOOL_FAILED;
    return exit_code;
}
