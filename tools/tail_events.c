/* tail_events.c - see tail_events.h. The ids of a stream follow Redis' clock, so reading starts
 * at its present time. */
#include "tools/tail_events.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/json/json_text.h"
#include "common/base/clock.h"
#include "common/bus/ask.h"
#include "common/bus/bus.h"
#include "common/bus/partition.h"
#include "common/bus/log/entry_reader.h"
#include "tools/table.h"
#include "tools/tool.h"

struct reader {
    struct tail_events *events;
    struct entry_reader *entries;
};

struct tail_events {
    struct tool *tool;
    void (*on_line)(void *ctx, struct buf *line);
    void *ctx;
    unsigned first, count; /* partitions */
    struct reader readers[PARTITIONS_MAX];
};

static void write_json(struct buf *out, const struct in_entry *e, const struct conn_value *v,
                       const char *time) {
    buf_printf(out, "{\"time\":\"%s\",\"id\":\"%s\",\"event\":\"%s\",\"name\":", time, e->id_text,
               entry_kind_text(e->entry.kind));
    json_append_string(out, e->entry.name);
    tool_append_json(out, ",\"clientId\":", e->entry.client_id);
    tool_append_json(out, ",\"group\":", v->group);
    tool_append_json(out, ",\"gateway\":", v->gateway);
    if (e->entry.kind == ENTRY_DISCONNECT) {
        tool_append_json(out, ",\"cause\":", e->entry.body);
    }
    buf_append_char(out, '}');
}

static void write_text(struct buf *out, const struct in_entry *e, const struct conn_value *v,
                       const char *time) {
    buf_printf(out, "%s  %s  ", time, e->id_text);
    table_append_shown(out, e->entry.name);
    buf_printf(out, "  %s", entry_kind_text(e->entry.kind));
    table_append_member(out, "client", e->entry.client_id);
    table_append_member(out, "group", v->group);
    table_append_member(out, "gateway", v->gateway);
    table_append_member(out, "cause", e->entry.body);
}

static bool is_wanted(const struct tail_events *t, const struct in_entry *e) {
    enum entry_kind kind = e->entry.kind;
    bool is_event = !e->is_bad && (kind == ENTRY_CONNECT || kind == ENTRY_DISCONNECT);
    return is_event &&
           (t->tool->argument_count == 0 || bytes_equal_str(e->entry.name, t->tool->arguments[0]));
}

static void print(struct tail_events *t, const struct in_entry *e) {
    struct conn_value value = {0};
    struct buf line = {0};
    char time[32];
    (void)conn_value_parse(e->entry.conn, &value);
    clock_format_utc(e->id.term, time);
    if (t->tool->is_json)
        write_json(&line, e, &value, time);
    else
        write_text(&line, e, &value, time);
    t->on_line(t->ctx, &line);
}

static void on_entries(void *ctx, struct in_entry **entries, size_t count) {
    struct reader *r = ctx;
    for (size_t i = 0; i < count; i++) {
        if (is_wanted(r->events, entries[i]))
            print(r->events, entries[i]);
        in_entry_unref(entries[i]);
    }
    entry_reader_read(r->entries);
}

static void on_time(void *ctx, const struct ask_answer *a) {
    static const struct entry_reader_events events = {on_entries};
    struct tail_events *t = ctx;
    uint64_t now_ms = (uint64_t)a->number;
    for (unsigned i = 0; !a->is_lost && i < t->count; i++) {
        struct reader *r = &t->readers[i];
        char label[24];
        snprintf(label, sizeof(label), "tail %u", t->first + i);
        r->events = t;
        const struct entry_reader_options options = {.partition = t->first + i,
                                                     .kind = ENTRY_READER_ENTRIES,
                                                     .cursor = {now_ms, 0},
                                                     .label = label};
        r->entries = entry_reader_new(t->tool->bus, &options, &events, r);
        entry_reader_read(r->entries);
    }
}

struct tail_events *tail_events_start(struct tool *tool,
                                      void (*on_line)(void *ctx, struct buf *line), void *ctx) {
    struct tail_events *t = mem_zalloc(sizeof(*t));
    unsigned partitions = bus_partitions(tool->bus);
    bool is_one = tool->argument_count > 0;
    *t = (struct tail_events){.tool = tool, .on_line = on_line, .ctx = ctx};
    t->first = is_one ? partition_of(bytes_str(tool->arguments[0]), partitions) : 0;
    t->count = is_one ? 1 : partitions;
    ask_clock(tool->bus, on_time, t);
    return t;
}

void tail_events_close(struct tail_events *t) {
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->count; i++)
        entry_reader_close(t->readers[i].entries);
    free(t);
}
