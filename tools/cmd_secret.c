/* cmd_secret.c - secret: makes the files of a fleet's secrets that are not there yet, and then
 * becomes another program, such as a gateway that reads them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "tools/tool.h"
#include "tools/verb.h"

struct secret {
    struct settings_list files;
};

/* made: appended to, each in quotes. */
static bool make(struct tool *t, const char *path, struct buf *made) {
    int result = tool_make_secret(t, "--file=", path);
    if (result == 1 && !t->is_json)
        fprintf(stderr, "signalbox: made %s\n", path);
    if (result == 1)
        tool_append_json(made, made->len > 0 ? "," : "", bytes_str(path));
    return result >= 0;
}

static int run_secret(struct tool *t, void *own) {
    struct secret *s = own;
    struct buf made = {0};
    bool is_fine = true;
    if (s->files.count == 0) {
        tool_complain(t, "needs a file: give --file");
        return TOOL_USAGE;
    }
    for (size_t i = 0; is_fine && i < s->files.count; i++)
        is_fine = make(t, s->files.items[i], &made);
    if (is_fine && t->is_json)
        printf("{\"made\":[%.*s]}\n", BYTES_FMT(buf_bytes(&made)));
    buf_deinit(&made);
    if (!is_fine || t->argument_count == 0)
        return is_fine ? TOOL_OK : TOOL_FAILED;
    fflush(stdout);
    execvp(t->arguments[0], t->arguments);
    tool_complain(t, "%s: %s", t->arguments[0], strerror(errno));
    return TOOL_FAILED;
}

static const struct option options[] = {
    {"file", OPTION_LIST, offsetof(struct secret, files), "FILE",
     "a file that holds a secret; it may be given several times"},
};

const struct verb verb_secret = {
    .name = "secret",
    .arguments = "[-- PROGRAM ARGUMENT…]",
    .summary = "make files with random secrets, once",
    .details =
        "A file that is not there is made with 256 random bits, readable by its owner alone; a "
        "file "
        "that is\nthere stays as it is. Of several processes that make the same file, one wins. "
        "Then the program\nbehind -- runs in the place of this one. For --admin-token-file, "
        "--cluster-secret-file and an app's\nsigning secret.",
    .flags = VERB_JSON,
    VERB_COUNT(0, 1000),
    VERB_OPTIONS(options),
    VERB_RUN(struct secret, run_secret)};
