/*
 * cmd_send.c - send: publishes through the durable public entrance.
 *
 *     on_ready ─▶ send_receipts.c ─▶ publish ─▶ on_published ─▶ verdict ─▶ on_verdict
 *            │                          ▲          ─▶ receipts_await_id ─▶ send_on_id
 *            ├──────────────────────────┘ (--no-wait, --every)
 *            └─▶ send_lines.c (--stdin)           ─▶ receipts_collect (--wait)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json_text.h"
#include "common/bus/log/publish.h"
#include "tools/message.h"
#include "tools/receipts.h"
#include "tools/send.h"
#include "tools/verb.h"
#include "tools/verdict.h"

void send_print_ids(const struct send *s) {
    printf("\"entry\":\"%s\",\"id\":", s->entry);
    if (s->message_id[0] != '\0')
        printf("\"%s\"", s->message_id);
    else
        printf("null");
}

/* What is no message's id is not shown as one. */
static void print_id(const struct send *s) {
    if (s->tool->is_json) {
        putchar('{');
        send_print_ids(s);
        puts("}");
    } else if (s->message_id[0] != '\0') {
        puts(s->message_id);
    } else {
        printf("entry %s\n", s->entry);
    }
    (void)tool_flush();
}

/* What goes to every Name has an id in each partition; and one that is not waited for has none yet.
 * What `close` sends has none. */
static bool has_one_id(const struct send *s) {
    return s->name != NULL && !s->has_no_wait;
}

static void finish(struct send *s) {
    bool collects = s->receipts != NULL && s->wait_ms > 0;
    if (!collects || !s->tool->is_json)
        print_id(s);
    if (collects)
        receipts_collect(s->receipts, (uint64_t)s->wait_ms);
    else
        tool_end(s->tool, TOOL_OK);
}

void send_on_id(void *ctx, struct bytes id) {
    struct send *s = ctx;
    snprintf(s->message_id, sizeof(s->message_id), "%.*s", BYTES_FMT(id));
    finish(s);
}

static void on_verdict(void *ctx, enum verdict_kind kind, size_t refused, struct bytes reason) {
    struct send *s = ctx;
    (void)refused;
    switch (kind) {
    case VERDICT_REFUSED:
        tool_complain(s->tool, "refused: %.*s", BYTES_FMT(reason));
        tool_end(s->tool, TOOL_FAILED);
        return;
    case VERDICT_LOST:
        tool_complain(s->tool, "accepted, but the connection to Redis broke before the verdict");
        tool_end(s->tool, TOOL_FAILED);
        return;
    case VERDICT_WAITS:
        tool_complain(s->tool, "accepted and kept, but no broker has taken it yet: does one run?");
        print_id(s);
        tool_end(s->tool, s->wait_ms > 0 ? TOOL_FAILED : TOOL_OK);
        return;
    case VERDICT_TAKEN: break;
    }
    if (has_one_id(s))
        receipts_await_id(s->receipts, SEND_ID_MS);
    else
        finish(s);
}

static void ask_verdict(struct send *s) {
    struct verdict_question q = {.first = bytes_str(s->entry),
                                 .last = bytes_str(s->entry),
                                 .beginning = buf_bytes(&s->text),
                                 .patience_ms =
                                     s->wait_ms > 0 ? (uint64_t)s->wait_ms : SEND_VERDICT_MS};
    verdict_ask(s->tool->bus, &q, on_verdict, s);
}

static void on_published(void *ctx, int status, struct bytes id) {
    struct send *s = ctx;
    if (status < 0) {
        tool_complain(s->tool, "%.*s", BYTES_FMT(id));
        tool_end(s->tool, TOOL_FAILED);
        return;
    }
    snprintf(s->entry, sizeof(s->entry), "%.*s", BYTES_FMT(id));
    if (s->has_no_wait) {
        print_id(s);
        tool_end(s->tool, TOOL_OK);
    } else {
        ask_verdict(s);
    }
}

void send_text_start(struct send *s) {
    struct buf error = {0};
    if (publish_check(s->tool->bus, s->text.len, &error) == 0) {
        publish_json(s->tool->bus, buf_bytes(&s->text), on_published, s);
    } else {
        tool_complain(s->tool, "%.*s", BYTES_FMT(buf_bytes(&error)));
        tool_end(s->tool, TOOL_FAILED);
    }
    buf_deinit(&error);
}

/* The token goes in front of the message's other members. */
static void start_with_receipts(struct send *s) {
    struct buf text = {0};
    send_receipts_start(s);
    buf_printf(&text, "{\"receipt\":\"%s\",", receipts_token(s->receipts));
    buf_append(&text, bytes_from(buf_bytes(&s->text), 1));
    buf_deinit(&s->text);
    s->text = text;
}

static void on_ready(void *ctx) {
    struct send *s = ctx;
    if (s->is_stdin)
        send_lines_start(s);
    else if (s->wait_ms > 0 || has_one_id(s))
        start_with_receipts(s);
    else
        send_text_start(s);
}

/* --- the command line --- */

static bool check(const struct send *s) {
    const struct tool *t = s->tool;
    const char *wrong = NULL;
    int wanted = (s->is_every ? 0 : 1) + (s->is_stdin ? 0 : 1);
    if (t->argument_count != wanted)
        wrong = s->is_every && s->is_stdin ? "no arguments go with --every --stdin"
                : s->is_every              ? "--every takes DATA and no NAME"
                : s->is_stdin              ? "--stdin takes NAME and no DATA"
                                           : "needs NAME and DATA";
    else if (!s->is_every && *t->arguments[0] == '\0')
        wrong = "NAME is empty; --every is for every Name";
    else if (s->is_stdin && s->id != NULL)
        wrong = "--id is the key of one message: not with --stdin";
    else if (s->is_stdin && s->wait_ms > 0)
        wrong = "--wait is for one message: not with --stdin";
    else if (s->has_no_wait && s->wait_ms > 0)
        wrong = "--wait or --no-wait, not both";
    if (wrong != NULL)
        tool_complain(t, "%s", wrong);
    return wrong == NULL;
}

/* --stdin: the head is held against what a line may be. */
static enum message_check check_head(const struct send *s, struct buf *error) {
    struct buf text = {0};
    enum message_check check = MESSAGE_BAD;
    if (message_write(buf_bytes(&s->head), BYTES_LIT("x"), false, &text, error))
        check = message_check(buf_bytes(&text), error);
    buf_deinit(&text);
    return check;
}

static enum message_check write_texts(struct send *s, struct buf *error) {
    const struct tool *t = s->tool;
    s->name = s->is_every ? NULL : t->arguments[0];
    struct message_head head = {.name = s->name,
                                .groups = &s->groups,
                                .clients = &s->clients,
                                .id = s->id,
                                .is_binary = s->is_binary};
    if (!message_head_write(&head, &s->head, error))
        return MESSAGE_BAD;
    if (s->is_stdin)
        return check_head(s, error);
    if (!message_write(buf_bytes(&s->head), bytes_str(t->arguments[t->argument_count - 1]),
                       s->is_json_data, &s->text, error))
        return MESSAGE_BAD;
    return message_check(buf_bytes(&s->text), error);
}

/* There is no id of what is not sent. */
static int complain(const struct send *s, enum message_check check, struct bytes why) {
    tool_complain(s->tool, "%.*s", BYTES_FMT(why));
    if (check == MESSAGE_BAD)
        return TOOL_USAGE;
    if (s->tool->is_json)
        puts("{\"entry\":null,\"id\":null}");
    return TOOL_FAILED;
}

static int run(struct tool *t, void *own) {
    struct send *s = own;
    struct buf error = {0};
    int exit_code = TOOL_USAGE;
    s->tool = t;
    if (!check(s))
        return TOOL_USAGE;
    enum message_check kind = write_texts(s, &error);
    if (kind != MESSAGE_FINE)
        exit_code = complain(s, kind, buf_bytes(&error));
    else if (tool_connect(t))
        exit_code = tool_run(t, on_ready, s);
    buf_deinit(&error);
    buf_deinit(&s->head);
    buf_deinit(&s->text);
    receipts_drop(s->receipts);
    return exit_code;
}

#define AT(field) offsetof(struct send, field)
static const struct option options[] = {
    {.name = "group",
     .kind = OPTION_LIST,
     .offset = AT(groups),
     .placeholder = "GROUP",
     .help = "only to this group; may be given several times"},
    {.name = "client",
     .kind = OPTION_LIST,
     .offset = AT(clients),
     .placeholder = "ID",
     .help = "only to this client id; may be given several times"},
    {.name = "every",
     .kind = OPTION_FLAG,
     .offset = AT(is_every),
     .help = "to every Name: DATA alone, without NAME"},
    {.name = "id",
     .kind = OPTION_TEXT,
     .offset = AT(id),
     .placeholder = "KEY",
     .help = "a repetition with the same key is published once"},
    {.name = "binary", .kind = OPTION_FLAG, .offset = AT(is_binary), .help = "a binary frame"},
    {.name = "json-data",
     .kind = OPTION_FLAG,
     .offset = AT(is_json_data),
     .help = "DATA is JSON text, checked and sent compact"},
    {.name = "stdin",
     .kind = OPTION_FLAG,
     .offset = AT(is_stdin),
     .help = "one message a line from standard input"},
    {.name = "wait",
     .kind = OPTION_DURATION,
     .offset = AT(wait_ms),
     .placeholder = "TIME",
     .help = "tell who got it: matched, written, queued, dropped, per gateway"},
    {.name = "no-wait",
     .kind = OPTION_FLAG,
     .offset = AT(has_no_wait),
     .help = "do not look for a refusal"},
};
#undef AT

const struct verb verb_send = {
    .name = "send",
    .arguments = "NAME DATA",
    .summary = "publish a message; prints its id",
    .details =
        "DATA goes out as it is. What is printed is the message's id, which clients, tail and "
        "trace show,\nonce a broker has published it; a refusal by a broadcast level ends with "
        "status 1. When no\nbroker takes it within 300 ms, when it repeats an --id, with "
        "--no-wait and with --every,\n\"entry\" and the id of its entry in Redis, where it is "
        "kept, are printed instead.",
    .flags = VERB_REDIS | VERB_JSON,
    .max_arguments = 2,
    .options = options,
    .option_count = ARRAY_LEN(options),
    .size = sizeof(struct send),
    .run = run};
