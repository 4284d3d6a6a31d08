/*
 * cmd_trace.c - trace: follows messages hop by hop, live (common/bus/log/trace.h).
 *
 *     subscribe to the trace's channel ─▶ notice on the control channel, again every RENEW_MS
 *                                         ─▶ a line for each event ─▶ notice that it is over
 *
 * An event can overtake the one before it: a broker may report a message before the gateway that
 * sent it hears from Redis that it was accepted. Such an event is held until the one before it has
 * come, for at most HOLD_MS.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/json/json_text.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/bus/bus.h"
#include "common/bus/notice.h"
#include "common/bus/log/trace.h"
#include "common/bus/log/watch.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/trace_messages.h"
#include "tools/verb.h"

enum { RENEW_MS = 5000, LIFE_MS = 15000, HOLD_MS = 500, LOOK_MS = 100 };

struct held_event {
    struct held_event *prev, *next;
    uint64_t until_ms;
    struct buf text;
};

struct follow {
    const char *client, *name; /* options: one of them */
    int64_t for_ms;            /* option; 0: for ever */
    struct tool *tool;
    char token[17];
    struct trace_messages *messages;
    struct held_event *held;
    uv_timer_t renew, look, end;
    uv_signal_t interrupt, terminate;
    bool has_heading, is_ending;
};

static void end(struct follow *f);

/* --- printing --- */

static void append_member(struct buf *out, const char *name) {
    buf_printf(out, "%s\"%s\":", out->len > 0 ? "," : "{", name);
}

static void append_text(struct buf *out, const char *name, struct bytes value) {
    if (value.ptr == NULL)
        return;
    append_member(out, name);
    json_append_string(out, value);
}

static void append_number(struct buf *out, const char *name, int64_t value) {
    if (value < 0)
        return;
    append_member(out, name);
    buf_printf(out, "%" PRId64, value);
}

static void write_json(struct buf *out, const struct trace_event *e, struct trace_message m) {
    char time[32];
    clock_format_utc((uint64_t)e->at_ms, time);
    append_text(out, "time", bytes_str(time));
    append_number(out, "message", (int64_t)m.number);
    append_member(out, "afterMs");
    buf_printf(out, "%" PRId64, e->at_ms - m.first_ms);
#define TEXT(member, name)   append_text(out, name, e->member);
#define NUMBER(member, name) append_number(out, name, e->member);
#include "common/bus/log/trace.def"
#undef TEXT
#undef NUMBER
    buf_append_char(out, '}');
}

static void show_number(struct buf *out, const char *what, int64_t value) {
    if (value >= 0)
        buf_printf(out, " %s=%" PRId64, what, value);
}

static void write_details(struct buf *out, const struct trace_event *e) {
    if (e->verdict.ptr != NULL)
        buf_printf(out, " %.*s", BYTES_FMT(e->verdict));
    if (e->why.len > 0) {
        buf_append_str(out, ": ");
        table_append_shown(out, e->why);
        return;
    }
    table_append_member(out, "kind", e->kind);
    table_append_member(out, "rule", e->rule);
    table_append_member(out, "id", e->message_id);
    table_append_member(out, "name", e->name);
    table_append_member(out, "to", e->to);
    table_append_member(out, "from", e->client_id);
    table_append_member(out, "client", e->to_client_id);
    show_number(out, "connection", e->connection);
    show_number(out, "connections", e->connections);
    table_append_member(out, "opcode", e->opcode);
    show_number(out, "bytes", e->bytes);
    table_append_member(out, "entry", e->entry);
    show_number(out, "partition", e->partition);
}

static void write_text(struct buf *out, const struct trace_event *e, struct trace_message m) {
    char time[32], number[24], after[24];
    clock_format_utc((uint64_t)e->at_ms, time);
    snprintf(number, sizeof(number), "#%" PRIu64, m.number);
    snprintf(after, sizeof(after), "%+" PRId64 " ms", e->at_ms - m.first_ms);
    buf_printf(out, "%.12s  %-5s %10s  %-9.*s  %-7.*s %-16.*s ", time + 11, number, after,
               BYTES_FMT(e->hop), BYTES_FMT(e->process), BYTES_FMT(e->process_id));
    write_details(out, e);
}

static void print(struct follow *f, const struct trace_event *e) {
    struct trace_message m = trace_messages_of(f->messages, e);
    struct buf line = {0};
    if (f->tool->is_json)
        write_json(&line, e, m);
    else
        write_text(&line, e, m);
    if (!f->tool->is_json && !f->has_heading)
        printf("%-12s  %-5s %10s  %-9s  %-24s  %s\n", "time", "msg", "after", "hop", "process",
               "what");
    f->has_heading = true;
    tool_print(&line);
    if (!tool_flush())
        end(f);
}

/* --- what is held --- */

static void drop_held(struct follow *f, struct held_event *h) {
    DL_DELETE(f->held, h);
    buf_deinit(&h->text);
    free(h);
}

static void hold(struct follow *f, struct bytes text) {
    struct held_event *h = mem_zalloc(sizeof(*h));
    h->until_ms = clock_ms() + HOLD_MS;
    buf_append(&h->text, text);
    DL_APPEND(f->held, h);
}

/* Whether one was printed; others may have waited for it. */
static bool print_some_held(struct follow *f) {
    struct held_event *h, *next;
    struct trace_event e;
    uint64_t now = clock_ms();
    bool is_some = false;
    DL_FOREACH_SAFE (f->held, h, next) {
        bool is_event = trace_event_decode(buf_bytes(&h->text), &e);
        if (is_event && h->until_ms > now && trace_messages_awaits(f->messages, &e))
            continue;
        if (is_event)
            print(f, &e);
        drop_held(f, h);
        is_some = true;
    }
    return is_some;
}

static void print_held(struct follow *f) {
    while (print_some_held(f))
        continue;
}

static void on_look(uv_timer_t *timer) {
    print_held(container_of(timer, struct follow, look));
}

/* --- events --- */

static void on_event(void *ctx, struct bytes text) {
    struct follow *f = ctx;
    struct trace_event e;
    if (!trace_event_decode(text, &e))
        return;
    if (bytes_equal_str(e.hop, "listening"))
        tool_complain(f->tool, "%.*s %.*s listens", BYTES_FMT(e.process), BYTES_FMT(e.process_id));
    else if (trace_messages_awaits(f->messages, &e))
        hold(f, text);
    else
        print(f, &e);
    print_held(f);
}

/* --- notices --- */

static void notify(struct follow *f, uint64_t life_ms, notice_sent_fn *fn) {
    bool is_client = f->client != NULL;
    struct notice n = {.kind = NOTICE_trace,
                       .trace = {.token = bytes_str(f->token),
                                 .life_ms = life_ms,
                                 .is_client = is_client,
                                 .text = bytes_str(is_client ? f->client : f->name)}};
    notice_send_then(f->tool->bus, &n, fn, f);
}

static void on_renew(uv_timer_t *timer) {
    struct follow *f = container_of(timer, struct follow, renew);
    if (!f->is_ending && bus_can_send(f->tool->bus))
        notify(f, LIFE_MS, NULL);
}

static void on_over(void *ctx, bool is_sent) {
    (void)is_sent;
    tool_end(((struct follow *)ctx)->tool, TOOL_OK);
}

/* Ends the trace, so that the processes need not wait until it expires. */
static void end(struct follow *f) {
    if (f->is_ending || !bus_can_send(f->tool->bus)) {
        tool_end(f->tool, TOOL_OK);
        return;
    }
    f->is_ending = true;
    notify(f, 0, on_over);
}

static void on_end(uv_timer_t *timer) {
    end(container_of(timer, struct follow, end));
}

static void on_interrupt(uv_signal_t *handle, int number) {
    (void)number;
    end(container_of(handle, struct follow, interrupt));
}

static void on_terminate(uv_signal_t *handle, int number) {
    (void)number;
    end(container_of(handle, struct follow, terminate));
}

/* --- the channel --- */

static void on_subscribed(void *ctx) {
    struct follow *f = ctx;
    MUST(uv_timer_start(&f->renew, on_renew, 0, RENEW_MS) == 0);
}

static void on_refused(void *ctx, struct bytes error) {
    tool_end_refused(((struct follow *)ctx)->tool, "SUBSCRIBE", error);
}

static void on_feed_lost(void *ctx, const char *why) {
    struct follow *f = ctx;
    tool_complain(f->tool, "the connection broke (%s); what happens meanwhile is not shown", why);
}

/* --- life --- */

static void on_ready(void *ctx) {
    static const struct bus_events bus_events = {.on_feed_lost = on_feed_lost};
    static const struct channel_events channel_events = {on_subscribed, on_event, on_refused};
    struct follow *f = ctx;
    struct bus *bus = f->tool->bus;
    if (!tool_is_believed(f->tool))
        return;
    bus_listen(bus, &bus_events, f);
    bus_open_feed(bus);
    watch_trace(bus, f->token, &channel_events, f);
    MUST(uv_timer_start(&f->look, on_look, LOOK_MS, LOOK_MS) == 0);
    if (f->for_ms > 0)
        MUST(uv_timer_start(&f->end, on_end, (uint64_t)f->for_ms, 0) == 0);
}

static void open_parts(struct follow *f) {
    struct tool *t = f->tool;
    random_id(f->token);
    f->messages = trace_messages_new();
    MUST(uv_timer_init(&t->loop, &f->renew) == 0);
    MUST(uv_timer_init(&t->loop, &f->look) == 0);
    MUST(uv_timer_init(&t->loop, &f->end) == 0);
    MUST(uv_signal_init(&t->loop, &f->interrupt) == 0);
    MUST(uv_signal_init(&t->loop, &f->terminate) == 0);
    MUST(uv_signal_start(&f->interrupt, on_interrupt, SIGINT) == 0);
    MUST(uv_signal_start(&f->terminate, on_terminate, SIGTERM) == 0);
}

static void close_parts(struct follow *f) {
    while (f->held != NULL)
        drop_held(f, f->held);
    uv_close((uv_handle_t *)&f->renew, NULL);
    uv_close((uv_handle_t *)&f->look, NULL);
    uv_close((uv_handle_t *)&f->end, NULL);
    uv_close((uv_handle_t *)&f->interrupt, NULL);
    uv_close((uv_handle_t *)&f->terminate, NULL);
    trace_messages_free(f->messages);
}

static int run(struct tool *t, void *own) {
    struct follow *f = own;
    const char *wanted = f->client != NULL ? f->client : f->name;
    f->tool = t;
    if ((f->client != NULL) == (f->name != NULL) || wanted[0] == '\0') {
        tool_complain(t, "give --client ID or --name N");
        return TOOL_USAGE;
    }
    if (!tool_connect(t))
        return TOOL_USAGE;
    open_parts(f);
    int exit_code = tool_run(t, on_ready, f);
    close_parts(f);
    return exit_code;
}

static const struct option options[] = {
    {"client", OPTION_TEXT, offsetof(struct follow, client), "ID",
     "trace what this client sends, what is addressed to it, and what reaches it"},
    {"name", OPTION_TEXT, offsetof(struct follow, name), "N",
     "trace what the clients of this Name send, and what is published to it"},
    {"for", OPTION_DURATION, offsetof(struct follow, for_ms), "TIME", "end after this time"},
};

const struct verb verb_trace = {
    .name = "trace",
    .arguments = "--client ID | --name N",
    .summary = "follow messages hop by hop, live, with times",
    .details =
        "The hops are: received and accepted by a gateway; processed by a broker, with its\n"
        "rule, the verdict, and the id under which it was published; delivered to\n"
        "connections. Each has the time of its process' clock, and the time since the first\n"
        "hop of the message. Sizes are shown, contents never. Eight traces can run at a time,\n"
        "and a process reports at most 1000 hops a second.",
    .flags = VERB_REDIS | VERB_JSON,
    VERB_OPTIONS(options),
    VERB_RUN(struct follow, run)};
