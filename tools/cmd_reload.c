/*
 * cmd_reload.c - reload: every process reads its app file and certificates anew, and reports what
 * it adopted, what it did not, and what waits for a restart. A process that does not answer is
 * named.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/admin/roster.h"
#include "common/json/json_text.h"
#include "common/bus/notice.h"
#include "common/bus/cluster/about.h"
#include "common/bus/cluster/liveness.h"
#include "common/bus/cluster/report.h"
#include "tools/control.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

enum { PROCESSES_MAX = 10000 };

struct process {
    char id[LIVENESS_ID_MAX], host[ABOUT_TEXT_MAX];
    const char *kind; /* "gateway", "broker" */
    int64_t pid;
    bool has_answered, has_failed;
    struct buf errors, restarts; /* NUL-terminated texts */
};

struct reload {
    struct tool *tool;
    struct control control;
    uv_timer_t timer;
    struct process *processes;
    size_t count, answered;
    bool knows_gateways;
};

/* --- the result --- */

struct counts {
    size_t reloaded, failed, silent, restart;
};

static struct counts count_all(const struct reload *r) {
    struct counts c = {0};
    for (size_t i = 0; i < r->count; i++) {
        const struct process *p = &r->processes[i];
        c.silent += !p->has_answered;
        c.failed += p->has_answered && p->has_failed;
        c.reloaded += p->has_answered && !p->has_failed;
        c.restart += p->restarts.len > 0;
    }
    return c;
}

static void append_texts(struct buf *out, const char *member, const struct buf *texts) {
    buf_printf(out, ",\"%s\":[", member);
    for (size_t at = 0; at < texts->len; at += strlen(texts->ptr + at) + 1) {
        if (at > 0)
            buf_append_char(out, ',');
        json_append_string(out, bytes_str(texts->ptr + at));
    }
    buf_append_char(out, ']');
}

static void print_json(const struct reload *r, const struct counts *c) {
    struct buf out = {0};
    buf_printf(&out,
               "{\"told\":%zu,\"reloaded\":%zu,\"failed\":%zu,\"silent\":%zu,\"restart\":%zu,"
               "\"processes\":[",
               r->count, c->reloaded, c->failed, c->silent, c->restart);
    for (size_t i = 0; i < r->count; i++) {
        const struct process *p = &r->processes[i];
        const char *state = !p->has_answered ? "silent" : p->has_failed ? "failed" : "reloaded";
        tool_append_json(&out, i > 0 ? ",\n {\"id\":" : "{\"id\":", bytes_str(p->id));
        tool_append_json(&out, ",\"kind\":", bytes_str(p->kind));
        tool_append_json(&out, ",\"host\":", bytes_str(p->host));
        buf_printf(&out, ",\"pid\":%" PRId64 ",\"state\":\"%s\"", p->pid, state);
        append_texts(&out, "errors", &p->errors);
        append_texts(&out, "restart", &p->restarts);
        buf_append_char(&out, '}');
    }
    buf_append_str(&out, "]}");
    tool_print(&out);
}

static void print_texts(const struct process *p, const char *what, const struct buf *texts) {
    for (size_t at = 0; at < texts->len; at += strlen(texts->ptr + at) + 1) {
        table_line(stderr, "%s %s (%s, pid %" PRId64 ")%s: %s", p->kind, p->id, p->host, p->pid,
                   what, texts->ptr + at);
    }
}

static void print(const struct reload *r, const struct counts *c) {
    fflush(stdout);
    for (size_t i = 0; i < r->count; i++) {
        const struct process *p = &r->processes[i];
        print_texts(p, "", &p->errors);
        print_texts(p, " needs a restart", &p->restarts);
        if (!p->has_answered)
            table_line(stderr, "%s %s (%s, pid %" PRId64 ") did not answer within %g s", p->kind,
                       p->id, p->host, p->pid, (double)r->tool->timeout_ms / 1000);
    }
    printf("told %zu processes: %zu reloaded, %zu failed, %zu did not answer\n", r->count,
           c->reloaded, c->failed, c->silent);
    if (c->restart > 0)
        printf("%zu of them serve other endpoints than the app file's until they are restarted\n",
               c->restart);
}

static void end(struct reload *r) {
    struct counts c = count_all(r);
    if (r->tool->is_json)
        print_json(r, &c);
    else
        print(r, &c);
    if (r->count == 0)
        tool_complain(r->tool, "there is no gateway and no broker in this Redis");
    tool_end(r->tool, c.reloaded == r->count && c.restart == 0 ? TOOL_OK : TOOL_FAILED);
}

static void on_time_over(uv_timer_t *timer) {
    end(container_of(timer, struct reload, timer));
}

/* --- notifying them --- */

/* A process that is not in our list started meanwhile, with the new file. */
static void on_report(void *ctx, struct bytes id, bool has_failed, struct bytes lines) {
    struct reload *r = ctx;
    struct process *p = NULL;
    struct report_line line;
    for (size_t i = 0; i < r->count; i++)
        if (bytes_equal_str(id, r->processes[i].id))
            p = &r->processes[i];
    if (p == NULL || p->has_answered)
        return;
    p->has_answered = true;
    p->has_failed = has_failed;
    while (report_next(&lines, &line)) {
        struct buf *texts = bytes_equal_str(line.kind, "restart") ? &p->restarts : &p->errors;
        buf_append(texts, line.text);
        buf_append_char(texts, '\0');
    }
    if (++r->answered == r->count)
        end(r);
}

static void on_open(void *ctx) {
    struct reload *r = ctx;
    struct notice n = {.kind = NOTICE_reload, .reload = {.token = bytes_str(r->control.token)}};
    notice_send(r->tool->bus, &n);
}

static void add_process(struct reload *r, const struct roster_row *row, const char *kind) {
    if (r->count == PROCESSES_MAX)
        return;
    r->processes = mem_realloc(r->processes, (r->count + 1) * sizeof(*r->processes));
    struct process *p = &r->processes[r->count++];
    *p = (struct process){.kind = kind, .pid = row->about->pid};
    snprintf(p->id, sizeof(p->id), "%s", row->id);
    snprintf(p->host, sizeof(p->host), "%s", row->about->host);
}

static void on_processes(void *ctx, int status, const struct roster_row *rows, size_t count) {
    static const struct control_events events = {on_open, on_report};
    struct reload *r = ctx;
    if (tool_ends_lost(r->tool, status < 0))
        return;
    for (size_t i = 0; i < count; i++)
        add_process(r, &rows[i], r->knows_gateways ? "broker" : "gateway");
    if (!r->knows_gateways) {
        r->knows_gateways = true;
        (void)roster_look(r->tool->bus, ROSTER_BROKERS, 0, on_processes, r);
        return;
    }
    if (r->count == 0) {
        end(r);
        return;
    }
    control_open(&r->control, r->tool, &events, r);
    MUST(uv_timer_start(&r->timer, on_time_over, (uint64_t)r->tool->timeout_ms, 0) == 0);
}

static void on_ready(void *ctx) {
    struct reload *r = ctx;
    (void)roster_look(r->tool->bus, ROSTER_GATEWAYS, 0, on_processes, r);
}

static int run(struct tool *t, void *own) {
    struct reload *r = own;
    r->tool = t;
    if (!tool_connect(t))
        return TOOL_USAGE;
    MUST(uv_timer_init(&t->loop, &r->timer) == 0);
    int exit_code = tool_run(t, on_ready, r);
    uv_close((uv_handle_t *)&r->timer, NULL);
    control_close(&r->control);
    for (size_t i = 0; i < r->count; i++) {
        buf_deinit(&r->processes[i].errors);
        buf_deinit(&r->processes[i].restarts);
    }
    free(r->processes);
    return exit_code;
}

const struct verb verb_reload = {
    .name = "reload",
    .arguments = "",
    .summary = "reload app file and certificates in every process; no connection drops",
    .details = "Each process reports the result. The exit status is 0 when all of them adopted\n"
               "everything, and 1 when one kept its old app (file and line are shown), did not\n"
               "answer within --timeout, or serves an endpoint that only a restart changes: an\n"
               "address, a port, a protocol, a hostname, a name. Settings (flags and environment)\n"
               "are read at the start only.",
    .flags = VERB_REDIS | VERB_JSON,
    VERB_RUN(struct reload, run)};
