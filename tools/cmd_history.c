/* cmd_history.c - history: what is retained of a Name, the newest message first. */
#include <errno.h>
#include <stddef.h>

#include "common/admin/message_json.h"
#include "common/bus/log/retained.h"
#include "tools/message_line.h"
#include "tools/tool.h"
#include "tools/verb.h"

struct history {
    int64_t limit;      /* option */
    const char *before; /* option */
    struct tool *tool;
    struct message_id before_id;
};

static void print_page(struct history *h, const struct retained_page *page) {
    struct bytes name = bytes_str(h->tool->arguments[0]);
    struct buf line = {0};
    if (h->tool->is_json) {
        message_json_append_page(&line, name, page);
        tool_print(&line);
        return;
    }
    for (size_t i = 0; i < page->count; i++) {
        const struct message *m = &page->messages[i];
        message_line_append(&line, m->is_to_every ? BYTES_LIT("*") : name, m);
        tool_print(&line);
    }
}

static void on_page(void *ctx, int status, const struct retained_page *page) {
    struct history *h = ctx;
    if (status == -ESTALE) {
        (void)tool_complain(h->tool, "%s", retained_failure(status));
        tool_end(h->tool, TOOL_FAILED);
    } else if (!tool_ends_lost(h->tool, status < 0)) {
        print_page(h, page);
        tool_end(h->tool, TOOL_OK);
    }
}

static void on_ready(void *ctx) {
    struct history *h = ctx;
    const struct retained_ask ask = {.name = bytes_str(h->tool->arguments[0]),
                                     .before = h->before_id,
                                     .limit = (unsigned)h->limit};
    (void)retained_start(h->tool->bus, &ask, on_page, h);
}

static int run(struct tool *t, void *own) {
    struct history *h = own;
    h->tool = t;
    if (h->before != NULL && !retained_parse_before(bytes_str(h->before), &h->before_id)) {
        (void)tool_complain(t, "--%s", RETAINED_NO_ID);
        return TOOL_USAGE;
    }
    return tool_connect(t) ? tool_run(t, on_ready, h) : TOOL_USAGE;
}

static const struct option options[] = {
    {"limit", OPTION_NUMBER, offsetof(struct history, limit), "N", "at most so many messages: 100",
     .lowest = 1, .highest = LOOK_BACK_MAX, .initial = "100"},
    {"before", OPTION_TEXT, offsetof(struct history, before), "ID",
     "only those before this message: the next page"},
};

const struct verb verb_history = {
    .name = "history",
    .arguments = "NAME",
    .summary = "list the messages of a Name that are retained, the newest first",
    .details =
        "With them come those to every Name, which are shown with the Name *. A page has at\n"
        "most --limit messages and 1 MiB of them; the last id of a page is the --before of the\n"
        "next one, which --json names: \"before\", null at the end. Control bytes are shown as\n"
        "\\xNN, and long data is cut; --json has all of it.",
    .flags = VERB_REDIS | VERB_JSON,
    VERB_COUNT(1, 1),
    VERB_OPTIONS(options),
    VERB_RUN(struct history, run)};
