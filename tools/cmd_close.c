/* cmd_close.c - close: closes the connections of a Name at whatever gateways they are. */
#include <limits.h>

#include "tools/send_one.h"
#include "tools/verb.h"

struct closing {
    struct settings_list groups, clients;
    int64_t code;
    const char *reason;
    struct send_one one;
};

static bool check(const struct tool *t, const struct closing *c) {
    struct buf error = {0};
    if (*t->arguments[0] == '\0')
        return tool_complain(t, "NAME is empty");
    bool is_fine = delivery_check_close(c->code, bytes_str(c->reason), &error);
    if (!is_fine)
        tool_complain(t, "%.*s", BYTES_FMT(buf_bytes(&error)));
    buf_deinit(&error);
    return is_fine;
}

static int run(struct tool *t, void *own) {
    struct closing *c = own;
    int exit_code = TOOL_USAGE;
    if (!check(t, c))
        return TOOL_USAGE;
    c->one.tool = t;
    c->one.what =
        (struct delivery){.kind = MESSAGE_CLOSE, .code = c->code, .data = bytes_str(c->reason)};
    if (send_one_address(&c->one, t->arguments[0], &c->groups, &c->clients))
        exit_code = send_one_run(&c->one);
    send_one_deinit(&c->one);
    return exit_code;
}

static const struct option options[] = {
    {"group", OPTION_LIST, offsetof(struct closing, groups), "GROUP",
     "close only those of this group; may be given several times"},
    {"client", OPTION_LIST, offsetof(struct closing, clients), "ID",
     "close only those with this client id; may be given several times"},
    {"code", OPTION_NUMBER, offsetof(struct closing, code), "N",
     "the close code: 1000, 1001, or 3000 to 4999", .lowest = 0, .highest = INT_MAX,
     .initial = "1000"},
    {"reason", OPTION_TEXT, offsetof(struct closing, reason), "TEXT",
     "the reason in the close frame", .initial = ""},
};

const struct verb verb_close = {.name = "close",
                                .arguments = "NAME",
                                .summary = "close the connections of a Name",
                                .flags = VERB_REDIS | VERB_JSON,
                                VERB_COUNT(1, 1),
                                VERB_OPTIONS(options),
                                VERB_RUN(struct closing, run)};
