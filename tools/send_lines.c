/*
 * send_lines.c - for send --stdin: one message a line, OUTSTANDING_MAX of them without an answer at
 * most. Standard input may be a file, a pipe or a terminal, so it is read by uv_fs_read.
 *
 *     read ─▶ on_read ─▶ take_lines ─▶ publish_json … on_published ─▶ take_lines ─▶ … ─▶ finish
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/bus.h"
#include "common/bus/log/publish.h"
#include "tools/message.h"
#include "tools/send.h"
#include "tools/verb.h"
#include "tools/verdict.h"

enum { OUTSTANDING_MAX = 256, READ_BYTES = 65536, LINE_MAX_BYTES = 64 * 1024 * 1024 };

struct lines {
    struct send *send;
    uv_fs_t read;
    char piece[READ_BYTES];
    struct buf in; /* what was read and is not sent */
    size_t at;     /* where the next line begins */
    bool is_reading, is_at_end, is_lost, has_finished;
    unsigned outstanding;
    uint64_t number, sent, failed;
    char first[64], last[64]; /* entry ids */
};

static void read_more(struct lines *l);

/* --- the end --- */

static void end(struct lines *l, uint64_t refused) {
    struct send *s = l->send;
    uint64_t failed = l->failed + refused;
    if (s->tool->is_json)
        printf("{\"sent\":%llu,\"failed\":%llu}\n", (unsigned long long)(l->sent - refused),
               (unsigned long long)failed);
    else
        fprintf(stderr, "sent %llu, failed %llu\n", (unsigned long long)(l->sent - refused),
                (unsigned long long)failed);
    tool_end(s->tool, failed > 0 || l->is_lost ? TOOL_FAILED : TOOL_OK);
    buf_deinit(&l->in);
    free(l);
}

static void on_verdict(void *ctx, enum verdict_kind kind, size_t refused, struct bytes reason) {
    struct lines *l = ctx;
    if (kind == VERDICT_REFUSED)
        tool_complain(l->send->tool, "refused: %.*s", BYTES_FMT(reason));
    else if (kind == VERDICT_WAITS)
        tool_complain(l->send->tool, "not all were taken by a broker yet; they are kept in Redis");
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
                                 .beginning = buf_bytes(&l->send->head),
                                 .patience_ms = SEND_VERDICT_MS};
    verdict_ask(l->send->tool->bus, &q, on_verdict, l);
}

/* --- sending --- */

static void fail_line(struct lines *l, uint64_t number, struct bytes why) {
    if (l->failed++ < 10)
        tool_complain(l->send->tool, "line %llu: %.*s", (unsigned long long)number, BYTES_FMT(why));
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
        l->is_lost = l->is_lost || !bus_can_send(l->send->tool->bus);
        l->failed++;
        tool_complain(l->send->tool, "%.*s", BYTES_FMT(id));
    }
    take_lines(l);
}

static void send_line(struct lines *l, struct bytes line) {
    struct buf text = {0}, error = {0};
    l->number++;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        return;
    if (message_write(buf_bytes(&l->send->head), line, l->send->is_json_data, &text, &error) &&
        (!l->send->is_json_data || message_check(buf_bytes(&text), &error) == MESSAGE_FINE) &&
        publish_check(l->send->tool->bus, text.len, &error) == 0) {
        l->outstanding++;
        publish_json(l->send->tool->bus, buf_bytes(&text), on_published, l);
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

static void take_lines(struct lines *l) {
    while (!l->is_lost && l->outstanding < OUTSTANDING_MAX) {
        if (!bus_can_send(l->send->tool->bus))
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

/* --- reading --- */

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
        fail_line(l, l->number + 1, BYTES_LIT("a line of more than 64 MiB"));
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
    MUST(uv_fs_read(&l->send->tool->loop, &l->read, 0, &buf, 1, -1, on_read) == 0);
}

void send_lines_start(struct send *s) {
    struct lines *l = mem_zalloc(sizeof(*l));
    l->send = s;
    read_more(l);
}
