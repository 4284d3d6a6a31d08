/* cmd_close.c - close: closes the connections of a Name at whatever gateways they are. */
#include <inttypes.h>

#include "common/base/close_reason.h"
#include "common/base/utf8.h"
#include "tools/send_one.h"
#include "tools/verb.h"

struct closing {
    struct settings_list groups, clients;
    int64_t code;
    const char *reason;
    struct send_one one;
};

static bool check(const struct tool *t, const struct closing *c) {
    struct bytes reason = bytes_str(c->reason);
    if (*t->arguments[0] == '\0')
        return tool_complain(t, "NAME is empty");
    if (!close_code_is_allowed(c->code))
        return tool_complain(t, "--code=%" PRId64 ": " CLOSE_CODE_RULE, c->code);
    if (reason.len > CLOSE_TEXT_MAX || !utf8_is_valid(reason))
        return tool_complain(t, "--reason: must be UTF-8 of at most %d bytes", CLOSE_TEXT_MAX);
    return true;
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
     "the close code: 1000, 1001, or 3000 to 4999", .lowest = 1000, .highest = 4999,
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
