/*
 * cmd_send.c - send: publishes through the durable public entrance: one message (send_one.h) or,
 * with --stdin, one a line. At most OUTSTANDING_MAX of them wait for Redis' answer. Standard input
 * may be a file, a pipe or a terminal, so uv_fs_read reads it.
 *
 *     on_read ─▶ take_lines ─▶ publish_json … on_published ─▶ take_lines ─▶ … ─▶ finish
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/utf8.h"
#include "common/bus/bus.h"
#include "common/bus/log/publish.h"
#include "tools/send_one.h"
#include "tools/verb.h"
#include "common/bus/log/verdict.h"

struct send {
    /* options */
    struct settings_list groups, clients;
    const char *id;
    bool is_binary, is_every, is_json_data, is_stdin, is_uncompressed, has_no_wait;
    int64_t wait_ms; /* 0: not given */
    /* the run */
    struct send_one one; /* --stdin: each line in its turn */
};

/* Takes the data of a message. False with one line in error_out when it is neither JSON with
 * --json-data, nor UTF-8 without. */
static bool read_data(struct send *s, struct bytes text, struct buf *error_out) {
    if (s->is_json_data) {
        struct json_document *document = json_open(text, error_out);
        if (document == NULL)
            return false;
        s->one.what.data = json_root(document).text;
        json_close(document);
        return true;
    }
    s->one.what.data = text;
    if (utf8_is_valid(text))
        return true;
    buf_append_str(error_out, "data: is not valid UTF-8");
    return false;
}

/* --- --stdin --- */

enum { OUTSTANDING_MAX = 256, READ_BYTES = 65536, LINE_MAX_BYTES = 64 * 1024 * 1024 };

struct lines {
    struct send *send;
    struct buf head; /* what the messages of all lines begin with */
    uv_fs_t read;
    char piece[READ_BYTES];
    struct buf in; /* what was read and is not sent */
    size_t at;     /* where the next line begins */
    bool is_reading, is_at_end, is_lost, has_finished;
    unsigned outstanding;
    uint64_t number, sent, failed;
    char first[64], last[64]; /* entry ids */
};

static void end(struct lines *l, uint64_t refused) {
    struct send *s = l->send;
    uint64_t failed = l->failed + refused;
    if (s->one.tool->is_json)
        printf("{\"sent\":%llu,\"failed\":%llu}\n", (unsigned long long)(l->sent - refused),
               (unsigned long long)failed);
    else
        fprintf(stderr, "sent %llu, failed %llu\n", (unsigned long long)(l->sent - refused),
                (unsigned long long)failed);
    tool_end(s->one.tool, failed > 0 || l->is_lost ? TOOL_FAILED : TOOL_OK);
    buf_deinit(&l->head);
    buf_deinit(&l->in);
    free(l);
}

static void on_verdict(void *ctx, enum verdict_kind kind, size_t refused, struct bytes reason) {
    struct lines *l = ctx;
    if (kind == VERDICT_REFUSED)
        tool_complain(l->send->one.tool, "refused: %.*s", BYTES_FMT(reason));
    else if (kind == VERDICT_WAITS)
        tool_complain(l->send->one.tool,
                      "brokers have not taken all of them yet; they are kept in Redis");
    end(l, refused);
}

static void finish(struct lines *l) {
    l->has_finished = true;
    if (l->sent == 0 || l->is_lost || l->send->has_no_wait) {
        end(l, 0);
        return;
    }
    struct verdict_question q = {.first = bytes_str(l->first),
                                 .last = bytes_str(l->last),
                                 .beginning = buf_bytes(&l->head),
                                 .patience_ms = SEND_VERDICT_MS};
    verdict_ask(l->send->one.tool->bus, &q, on_verdict, l);
}

static void fail_line(struct lines *l, uint64_t number, struct bytes why) {
    if (l->failed++ < 10)
        tool_complain(l->send->one.tool, "line %llu: %.*s", (unsigned long long)number,
                      BYTES_FMT(why));
}

static void take_lines(struct lines *l);

static void on_published(void *ctx, int status, struct bytes id) {
    struct lines *l = ctx;
    l->outstanding--;
    if (status == 0) {
        if (l->sent++ == 0)
            snprintf(l->first, sizeof(l->first), "%.*s", BYTES_FMT(id));
        snprintf(l->last, sizeof(l->last), "%.*s", BYTES_FMT(id));
    } else {
        l->is_lost = l->is_lost || !bus_can_send(l->send->one.tool->bus);
        l->failed++;
        tool_complain(l->send->one.tool, "%.*s", BYTES_FMT(id));
    }
    take_lines(l);
}

static bool is_sendable(struct lines *l, struct bytes line, struct buf *text,
                        struct buf *error_out) {
    struct send *s = l->send;
    if (!read_data(s, line, error_out))
        return false;
    const struct bus *bus = s->one.tool->bus;
    public_message_write(text, &s->one.what);
    bool is_fine = s->is_json_data ? send_one_check(buf_bytes(text), bus, error_out) == SEND_FINE
                                   : delivery_fits(&s->one.what, bus, error_out);
    return is_fine && publish_check(s->one.tool->bus, text->len, error_out) == 0;
}

static void send_line(struct lines *l, struct bytes line) {
    struct buf text = {0}, error = {0};
    l->number++;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        return;
    if (is_sendable(l, line, &text, &error)) {
        l->outstanding++;
        publish_json(l->send->one.tool->bus, buf_bytes(&text), on_published, l);
    } else {
        fail_line(l, l->number, buf_bytes(&error));
    }
    buf_deinit(&text);
    buf_deinit(&error);
}

/* False when no whole line is left. The last one may lack its newline. */
static bool take_line(struct lines *l) {
    struct bytes rest = bytes_from(buf_bytes(&l->in), l->at);
    ptrdiff_t newline = bytes_find(rest, '\n');
    if (newline < 0 && (!l->is_at_end || rest.len == 0))
        return false;
    size_t len = newline < 0 ? rest.len : (size_t)newline;
    l->at += len + (newline < 0 ? 0 : 1);
    send_line(l, bytes_head(rest, len));
    return true;
}

static void on_read(uv_fs_t *request) {
    struct lines *l = container_of(request, struct lines, read);
    ssize_t n = request->result;
    uv_fs_req_cleanup(request);
    l->is_reading = false;
    buf_consume(&l->in, l->at);
    l->at = 0;
    if (n > 0)
        buf_append(&l->in, bytes_of(l->piece, (size_t)n));
    else
        l->is_at_end = true;
    if (n < 0)
        fail_line(l, l->number, bytes_str(uv_strerror((int)n)));
    if (l->in.len > LINE_MAX_BYTES && bytes_find(buf_bytes(&l->in), '\n') < 0) {
        fail_line(l, l->number + 1, BYTES_LIT("it is longer than 64 MiB"));
        buf_clear(&l->in);
        l->is_at_end = true;
    }
    take_lines(l);
}

static void read_more(struct lines *l) {
    if (l->is_reading)
        return;
    l->is_reading = true;
    uv_buf_t buf = uv_buf_init(l->piece, sizeof(l->piece));
    MUST(uv_fs_read(&l->send->one.tool->loop, &l->read, 0, &buf, 1, -1, on_read) == 0);
}

static void take_lines(struct lines *l) {
    while (!l->is_lost && l->outstanding < OUTSTANDING_MAX) {
        if (!bus_can_send(l->send->one.tool->bus))
            l->is_lost = true;
        else if (!take_line(l))
            break;
    }
    bool is_stopped = l->is_at_end || l->is_lost;
    if (is_stopped && l->outstanding == 0 && !l->is_reading && !l->has_finished)
        finish(l);
    else if (!is_stopped && l->outstanding < OUTSTANDING_MAX)
        read_more(l);
}

/* What the lines have in common is checked before the first is read. */
static enum send_check check_head(struct send *s, struct buf *error_out) {
    struct buf text = {0};
    s->one.what.data = BYTES_LIT("0"); /* a text, and also JSON */
    public_message_write(&text, &s->one.what);
    enum send_check check = send_one_check(buf_bytes(&text), NULL, error_out);
    buf_deinit(&text);
    return check;
}

static void on_ready(void *ctx) {
    struct send *s = ctx;
    struct lines *l = mem_zalloc(sizeof(*l));
    l->send = s;
    l->head.len = public_message_write(&l->head, &s->one.what);
    read_more(l);
}

static int send_lines(struct send *s) {
    struct buf error = {0};
    int exit_code = TOOL_USAGE;
    if (check_head(s, &error) != SEND_FINE)
        tool_complain(s->one.tool, "%.*s", BYTES_FMT(buf_bytes(&error)));
    else if (tool_connect(s->one.tool))
        exit_code = tool_run(s->one.tool, on_ready, s);
    buf_deinit(&error);
    return exit_code;
}

/* --- the command line --- */

static bool check(const struct send *s) {
    const struct tool *t = s->one.tool;
    const char *wrong = NULL;
    const char *fault = s->id != NULL ? public_message_id_fault(bytes_str(s->id)) : NULL;
    int wanted = (s->is_every ? 0 : 1) + (s->is_stdin ? 0 : 1);
    if (t->argument_count != wanted)
        wrong = s->is_every && s->is_stdin ? "--every --stdin takes no arguments"
                : s->is_every              ? "--every takes DATA and no NAME"
                : s->is_stdin              ? "--stdin takes NAME and no DATA"
                                           : "needs NAME and DATA";
    else if (!s->is_every && *t->arguments[0] == '\0')
        wrong = "NAME is empty; --every sends to every Name";
    else if (s->is_stdin && s->id != NULL)
        wrong = "--id is the key of one message: not with --stdin";
    else if (s->is_stdin && s->wait_ms > 0)
        wrong = "--wait is for one message: not with --stdin";
    else if (s->has_no_wait && s->wait_ms > 0)
        wrong = "--wait and --no-wait exclude each other";
    else if (fault != NULL)
        return tool_complain(t, "%s: %s", message_form_key(KEY_ID), fault);
    return wrong == NULL || tool_complain(t, "%s", wrong);
}

static int send_one(struct send *s) {
    const struct tool *t = s->one.tool;
    struct buf error = {0};
    bool is_fine = read_data(s, bytes_str(t->arguments[t->argument_count - 1]), &error);
    if (!is_fine)
        tool_complain(t, "%.*s", BYTES_FMT(buf_bytes(&error)));
    buf_deinit(&error);
    s->one.has_one_id = !s->is_every;
    s->one.has_no_wait = s->has_no_wait;
    s->one.wait_ms = s->wait_ms;
    return is_fine ? send_one_run(&s->one) : TOOL_USAGE;
}

static int run(struct tool *t, void *own) {
    struct send *s = own;
    int exit_code = TOOL_USAGE;
    s->one.tool = t;
    if (!check(s))
        return TOOL_USAGE;
    s->one.what = (struct delivery){.kind = MESSAGE_DATA,
                                    .flags = (s->is_binary ? FLAG_BINARY : 0u) |
                                             (s->is_json_data ? FLAG_JSON : 0u) |
                                             (s->is_uncompressed ? FLAG_UNCOMPRESSED : 0u),
                                    .once = s->id != NULL ? bytes_str(s->id) : BYTES_NONE};
    const char *name = s->is_every ? NULL : t->arguments[0];
    if (send_one_address(&s->one, name, &s->groups, &s->clients))
        exit_code = s->is_stdin ? send_lines(s) : send_one(s);
    send_one_deinit(&s->one);
    return exit_code;
}

static const struct option options[] = {
    {"group", OPTION_LIST, offsetof(struct send, groups), "GROUP",
     "send only to this group; may be given several times"},
    {"client", OPTION_LIST, offsetof(struct send, clients), "ID",
     "send only to this client id; may be given several times"},
    {"every", OPTION_FLAG, offsetof(struct send, is_every), NULL,
     "send to every Name: DATA is the only argument"},
    {"id", OPTION_TEXT, offsetof(struct send, id), "KEY",
     "messages with the same key are published only once"},
    {"binary", OPTION_FLAG, offsetof(struct send, is_binary), NULL, "send a binary message"},
    {"no-compress", OPTION_FLAG, offsetof(struct send, is_uncompressed), NULL,
     "compress it for nobody: it holds a secret beside what others may choose"},
    {"json-data", OPTION_FLAG, offsetof(struct send, is_json_data), NULL,
     "DATA is JSON, which is checked and sent compact"},
    {"stdin", OPTION_FLAG, offsetof(struct send, is_stdin), NULL,
     "send each line of standard input as a message"},
    {"wait", OPTION_DURATION, offsetof(struct send, wait_ms), "TIME",
     "count who got it, for each gateway: matched, written, queued, dropped"},
    {"no-wait", OPTION_FLAG, offsetof(struct send, has_no_wait), NULL,
     "do not wait for the id or a refusal"},
};

const struct verb verb_send = {
    .name = "send",
    .arguments = "NAME DATA",
    .summary = "publish a message and print its id",
    .details =
        "DATA is sent as it is. Once a broker has published the message, its id is printed,\n"
        "which clients, tail and trace show, too. When a broadcast level refuses it, the exit\n"
        "status is 1. When no broker takes it within 300 ms, when it repeats an --id, with\n"
        "--no-wait and with --every, \"entry\" and the id of its entry in Redis, where it is\n"
        "kept, are printed instead.",
    .flags = VERB_REDIS | VERB_JSON,
    .max_arguments = 2,
    VERB_OPTIONS(options),
    VERB_RUN(struct send, run)};
