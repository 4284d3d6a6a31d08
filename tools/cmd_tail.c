/*
 * cmd_tail.c - tail: follows what is published to Names, live.
 *
 * It subscribes to the channel of each Name, and to one channel for messages to every Name, since
 * those of all partitions carry the same messages. Without NAME, it asks the registry for the Names
 * every RESCAN_MS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/admin/message_json.h"
#include "common/base/table.h"
#include "common/bus/bus.h"
#include "common/bus/log/watch.h"
#include "common/bus/partition.h"
#include "common/bus/cluster/registry.h"
#include "tools/message_line.h"
#include "tools/tail_events.h"
#include "tools/tool.h"
#include "tools/verb.h"

enum { RESCAN_MS = 2000 };

struct tail;

/* The channel of one Name, and the last message that came over it. */
struct channel {
    struct tail *tail;
    UT_hash_handle hh;
    struct message_id last;
    size_t len; /* 0: to every Name */
    char name[];
};

struct tail {
    int64_t count;   /* option: end after so many; 0: never */
    bool has_events; /* option */
    struct tool *tool;
    struct tail_events *events;
    uv_timer_t rescan;
    int64_t printed;
    struct channel *channels; /* uthash, by Name */
};

/* --- printing --- */

static void print_line(void *ctx, struct buf *line) {
    struct tail *t = ctx;
    if (t->count == 0 || t->printed < t->count) {
        tool_print(line);
        t->printed++;
    }
    buf_deinit(line);
    if (!tool_flush() || t->printed == t->count)
        tool_end(t->tool, TOOL_OK);
}

static void print(struct tail *t, struct bytes name, const struct message *m) {
    struct buf line = {0};
    if (t->tool->is_json)
        message_json_append(&line, name, m);
    else
        message_line_append(&line, name, m);
    print_line(t, &line);
}

/* --- the feed --- */

/* Reports a message whose predecessor did not come. */
static void look_for_hole(struct channel *c, const struct message *m) {
    char id[MESSAGE_ID_TEXT];
    if (c->last.seq != 0 && m->prev.seq != 0 && message_id_compare(m->prev, c->last) > 0)
        tool_complain(c->tail->tool, "messages before %s did not come and are not shown",
                      message_id_format(m->id, id));
    c->last = m->id;
}

static void on_message(void *ctx, struct bytes payload) {
    struct channel *c = ctx;
    struct message m;
    if (message_decode(payload, &m) != PARSE_OK)
        return;
    look_for_hole(c, &m);
    if (m.kind == MESSAGE_DATA || m.kind == MESSAGE_CLOSE)
        print(c->tail, c->len > 0 ? bytes_of(c->name, c->len) : BYTES_LIT("*"), &m);
    message_free(&m);
}

static void on_refused(void *ctx, struct bytes error) {
    tool_end_refused(((struct channel *)ctx)->tail->tool, "SUBSCRIBE", error);
}

static void on_feed_lost(void *ctx, const char *why) {
    struct tail *t = ctx;
    tool_complain(t->tool, "the connection broke (%s); what is published meanwhile is not shown",
                  why);
}

/* An empty name: messages to every Name. */
static void follow(struct tail *t, unsigned partition, struct bytes name) {
    static const struct channel_events events = {.on_message = on_message,
                                                 .on_refused = on_refused};
    struct channel *c;
    HASH_FIND(hh, t->channels, name.ptr, name.len, c);
    if (c != NULL)
        return;
    c = mem_zalloc(sizeof(*c) + name.len);
    c->tail = t;
    c->len = name.len;
    memcpy(c->name, name.ptr, name.len);
    HASH_ADD_KEYPTR(hh, t->channels, c->name, c->len, c);
    watch_log(t->tool->bus, partition, name, &events, c);
}

/* --- which Names --- */

static void on_rescan(uv_timer_t *timer);

static void on_names(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct tail *t = ctx;
    unsigned partitions = bus_partitions(t->tool->bus);
    for (size_t i = 0; i < count; i++)
        follow(t, partition_of(rows[i].name, partitions), rows[i].name);
    if (status != REGISTRY_PART)
        MUST(uv_timer_start(&t->rescan, on_rescan, RESCAN_MS, 0) == 0);
}

static void on_rescan(uv_timer_t *timer) {
    struct tail *t = container_of(timer, struct tail, rescan);
    registry_names_in_parts(t->tool->registry, on_names, t);
}

static void on_ready(void *ctx) {
    static const struct bus_events events = {.on_feed_lost = on_feed_lost};
    struct tail *t = ctx;
    struct bus *bus = t->tool->bus;
    bus_listen(bus, &events, t);
    bus_open_feed(bus);
    if (t->has_events)
        t->events = tail_events_start(t->tool, print_line, t);
    if (t->tool->argument_count > 0) {
        struct bytes name = bytes_str(t->tool->arguments[0]);
        unsigned partition = partition_of(name, bus_partitions(bus));
        follow(t, partition, name);
        follow(t, partition, BYTES_LIT(""));
        return;
    }
    follow(t, 0, BYTES_LIT(""));
    MUST(uv_timer_start(&t->rescan, on_rescan, 0, 0) == 0);
}

static int run(struct tool *tool, void *own) {
    struct tail *t = own;
    struct channel *c, *next;
    t->tool = tool;
    if (!tool_connect(tool))
        return TOOL_USAGE;
    MUST(uv_timer_init(&tool->loop, &t->rescan) == 0);
    int exit_code = tool_run(tool, on_ready, t);
    uv_close((uv_handle_t *)&t->rescan, NULL);
    tail_events_close(t->events);
    HASH_ITER (hh, t->channels, c, next) {
        HASH_DEL(t->channels, c);
        free(c);
    }
    return exit_code;
}

static const struct option options[] = {
    {"count", OPTION_NUMBER, offsetof(struct tail, count), "N", "end after N messages", .lowest = 1,
     .highest = INT64_MAX},
    {"events", OPTION_FLAG, offsetof(struct tail, has_events), NULL,
     "show connects and disconnects too, for which it reads all that clients send"},
};

const struct verb verb_tail = {
    .name = "tail",
    .arguments = "[NAME]",
    .summary = "follow messages live, and with --events connects and disconnects",
    .details =
        "Without NAME, it follows every Name with a connection, and notices a new one within\n"
        "2 s. Control bytes are shown as \\xNN, and long data is cut; --json has all of it.",
    .flags = VERB_REDIS | VERB_JSON,
    .max_arguments = 1,
    VERB_OPTIONS(options),
    VERB_RUN(struct tail, run)};
