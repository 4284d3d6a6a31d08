/* cmd_close.c - close: closes the connections of a Name, wherever they are. */
#include <inttypes.h>

#include "common/json/json_text.h"
#include "common/base/close_reason.h"
#include "common/base/utf8.h"
#include "tools/message.h"
#include "tools/send.h"
#include "tools/verb.h"

struct closing {
    struct settings_list groups, clients;
    int64_t code;
    const char *reason;
    struct send send;
};

/* False with one line in error_out. */
static bool write_text(struct closing *c, const char *name, struct buf *out,
                       struct buf *error_out) {
    buf_append_str(out, "{\"op\":\"close\",\"name\":");
    json_append_string(out, bytes_str(name));
    buf_append_char(out, ',');
    if (!message_list_write(out, "group", &c->groups, error_out) ||
        !message_list_write(out, "clientId", &c->clients, error_out))
        return false;
    buf_printf(out, "\"code\":%" PRId64 ",\"reason\":", c->code);
    json_append_string(out, bytes_str(c->reason));
    buf_append_char(out, '}');
    return message_check(buf_bytes(out), error_out) == MESSAGE_FINE;
}

static void on_ready(void *ctx) {
    send_text_start(ctx);
}

static bool check(const struct tool *t, const struct closing *c) {
    struct bytes reason = bytes_str(c->reason);
    if (*t->arguments[0] == '\0')
        tool_complain(t, "NAME is empty");
    else if (!close_code_is_allowed(c->code))
        tool_complain(t, "--code=%" PRId64 ": " CLOSE_CODE_RULE, c->code);
    else if (reason.len > CLOSE_TEXT_MAX || !utf8_is_valid(reason))
        tool_complain(t, "--reason: must be UTF-8 of at most %d bytes", CLOSE_TEXT_MAX);
    else
        return true;
    return false;
}

static int run(struct tool *t, void *own) {
    struct closing *c = own;
    struct buf error = {0};
    int exit_code = TOOL_USAGE;
    if (!check(t, c))
        return TOOL_USAGE;
    c->send.tool = t;
    if (!write_text(c, t->arguments[0], &c->send.text, &error))
        tool_complain(t, "%.*s", BYTES_FMT(buf_bytes(&error)));
    else if (tool_connect(t))
        exit_code = tool_run(t, on_ready, &c->send);
    buf_deinit(&c->send.text);
    buf_deinit(&error);
    return exit_code;
}

static const struct option options[] = {
    {.name = "group",
     .kind = OPTION_LIST,
     .offset = offsetof(struct closing, groups),
     .placeholder = "GROUP",
     .help = "only of this group; may be given several times"},
    {.name = "client",
     .kind = OPTION_LIST,
     .offset = offsetof(struct closing, clients),
     .placeholder = "ID",
     .help = "only this client id; may be given several times"},
    {.name = "code",
     .kind = OPTION_NUMBER,
     .offset = offsetof(struct closing, code),
     .placeholder = "N",
     .help = "close code: 1000, 1001, or 3000 to 4999",
     .lowest = 1000,
     .highest = 4999,
     .initial = "1000"},
    {.name = "reason",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct closing, reason),
     .placeholder = "TEXT",
     .help = "what the client is told",
     .initial = ""},
};

const struct verb verb_close = {.name = "close",
                                .arguments = "NAME",
                                .summary = "close connections",
                                .flags = VERB_REDIS | VERB_JSON,
                                .min_arguments = 1,
                                .max_arguments = 1,
                                .options = options,
                                .option_count = ARRAY_LEN(options),
                                .size = sizeof(struct closing),
                                .run = run};
