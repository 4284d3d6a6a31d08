/*
 * cmd_tail.c - tail: follows what is published to Names, live.
 *
 * A feed link of our own subscribes to the channel of each Name, and to one for messages to every
 * Name: of all partitions the same messages come there, so one partition's is enough. Without NAME
 * the registry is asked for Names every RESCAN_MS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/json/json_text.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/bus/bus.h"
#include "common/bus/log/envelope.h"
#include "common/bus/redis/feed.h"
#include "common/bus/redis/link.h"
#include "common/bus/partition.h"
#include "common/bus/cluster/registry.h"
#include "tools/table.h"
#include "tools/tail_events.h"
#include "tools/tool.h"
#include "tools/verb.h"

enum { RESCAN_MS = 2000, SHOWN_BYTES = 100 };

/* A channel and the last message that came. */
struct seen {
    UT_hash_handle hh;
    struct message_id last;
    size_t len;
    char channel[];
};

struct tail {
    int64_t count;   /* option: end after so many; 0: never */
    bool has_events; /* option */
    struct tool *tool;
    struct tail_events *events;
    struct link *link;
    struct feed *feed;
    uv_timer_t rescan;
    int64_t printed;
    struct seen *seen; /* uthash */
};

/* --- printing --- */

static void append_list(struct buf *out, const char *member, struct bytes_list list) {
    if (list.count == 0)
        return;
    buf_printf(out, ",\"%s\":[", member);
    for (size_t i = 0; i < list.count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        json_append_string(out, list.items[i]);
    }
    buf_append_char(out, ']');
}

static void append_hex(struct buf *out, struct bytes data) {
    buf_append_char(out, '"');
    for (size_t i = 0; i < data.len; i++)
        buf_printf(out, "%02x", (unsigned char)data.ptr[i]);
    buf_append_char(out, '"');
}

static void append_data_json(struct buf *out, const struct message *m) {
    bool is_text = utf8_is_valid(m->data);
    buf_append_str(out, is_text ? ",\"data\":" : ",\"dataHex\":");
    if (!is_text)
        append_hex(out, m->data);
    else if (m->flags & FLAG_JSON)
        buf_append(out, m->data);
    else
        json_append_string(out, m->data);
}

/* data of a close: two bytes of code, then the reason. */
static unsigned close_code(const struct message *m) {
    const unsigned char *code = (const unsigned char *)m->data.ptr;
    return m->data.len < 2 ? 0 : (unsigned)code[0] << 8 | code[1];
}

static void write_json(struct buf *out, struct bytes name, const struct message *m,
                       const char *time, const char *id) {
    buf_printf(out, "{\"time\":\"%s\",\"id\":\"%s\",\"name\":", time, id);
    json_append_string(out, name);
    append_list(out, "group", m->to_groups);
    append_list(out, "clientId", m->to_clients);
    if (m->to_conn.len > 0) {
        buf_append_str(out, ",\"connection\":");
        json_append_string(out, m->to_conn);
    }
    if (sender_of(m->flags, m->from).len > 0) {
        buf_append_str(out, ",\"from\":");
        json_append_string(out, m->from);
    }
    if (m->flags & FLAG_BINARY)
        buf_append_str(out, ",\"binary\":true");
    if (m->kind == MESSAGE_CLOSE) {
        buf_printf(out, ",\"close\":%u,\"reason\":", close_code(m));
        json_append_string(out, bytes_from(m->data, 2));
    } else {
        append_data_json(out, m);
    }
    buf_append_char(out, '}');
}

static void append_to(struct buf *out, const char *what, struct bytes_list list) {
    for (size_t i = 0; i < list.count; i++) {
        buf_append_str(out, i == 0 ? what : ",");
        table_append_shown(out, list.items[i]);
    }
}

static void write_text(struct buf *out, struct bytes name, const struct message *m,
                       const char *time, const char *id) {
    buf_printf(out, "%s  %s  ", time, id);
    table_append_shown(out, name);
    append_to(out, " group=", m->to_groups);
    append_to(out, " client=", m->to_clients);
    if (m->to_conn.len > 0) {
        buf_append_str(out, " connection=");
        table_append_shown(out, m->to_conn);
    }
    buf_append_str(out, "  ");
    if (m->kind == MESSAGE_CLOSE) {
        buf_printf(out, "close %u ", close_code(m));
        table_append_shown(out, bytes_from(m->data, 2));
    } else if (m->flags & FLAG_BINARY) {
        buf_printf(out, "binary, %zu bytes", m->data.len);
    } else {
        struct bytes shown = utf8_head(m->data, SHOWN_BYTES);
        table_append_shown(out, shown);
        if (shown.len < m->data.len)
            buf_printf(out, "… (%zu bytes)", m->data.len);
    }
}

static void print_line(struct tail *t, struct buf *line) {
    if (t->count == 0 || t->printed < t->count) {
        buf_append_char(line, '\n');
        fwrite(line->ptr, 1, line->len, stdout);
        t->printed++;
    }
    buf_deinit(line);
    if (!tool_flush() || t->printed == t->count)
        tool_end(t->tool, TOOL_OK);
}

static void on_event(void *ctx, struct buf *line) {
    print_line(ctx, line);
}

static void print(struct tail *t, struct bytes name, const struct message *m) {
    char time[32], id[MESSAGE_ID_TEXT];
    struct buf line = {0};
    clock_format_utc(m->ts_ms, time);
    message_id_format(m->id, id);
    if (t->tool->is_json)
        write_json(&line, name, m, time, id);
    else
        write_text(&line, name, m, time, id);
    print_line(t, &line);
}

/* --- the feed --- */

/* "…sb:{tag}:n:<name>" or "…sb:{tag}:n*"; no prefix of a fleet has a brace. */
static struct bytes name_of(struct bytes channel) {
    ptrdiff_t brace = bytes_find(channel, '}');
    struct bytes rest = bytes_from(channel, (size_t)brace + 1);
    return bytes_equal_str(rest, ":n*") ? BYTES_LIT("*") : bytes_from(rest, 3);
}

static struct seen *seen_of(struct tail *t, struct bytes channel) {
    struct seen *s;
    HASH_FIND(hh, t->seen, channel.ptr, channel.len, s);
    if (s != NULL)
        return s;
    s = mem_zalloc(sizeof(*s) + channel.len);
    s->len = channel.len;
    memcpy(s->channel, channel.ptr, channel.len);
    HASH_ADD_KEYPTR(hh, t->seen, s->channel, s->len, s);
    return s;
}

static void forget_seen(struct tail *t) {
    struct seen *s, *next;
    HASH_ITER (hh, t->seen, s, next) {
        HASH_DEL(t->seen, s);
        free(s);
    }
}

/* A predecessor that did not come. */
static void look_for_hole(struct tail *t, struct bytes channel, const struct message *m) {
    struct seen *s = seen_of(t, channel);
    char id[MESSAGE_ID_TEXT];
    if (s->last.seq != 0 && m->prev.seq != 0 && message_id_compare(m->prev, s->last) > 0)
        tool_complain(t->tool, "messages before %s did not come and are not shown",
                      message_id_format(m->id, id));
    s->last = m->id;
}

static void on_message(struct tail *t, struct bytes channel, struct bytes payload) {
    struct message m;
    if (message_decode(payload, &m) != PARSE_OK)
        return;
    look_for_hole(t, channel, &m);
    if (m.kind == MESSAGE_DATA || m.kind == MESSAGE_CLOSE)
        print(t, name_of(channel), &m);
    message_free(&m);
}

static void on_push(void *ctx, struct redisReply *reply) {
    struct tail *t = ctx;
    struct bytes kind = reply_bytes(reply_at(reply, 0)), channel = reply_bytes(reply_at(reply, 1));
    if (tool_is_refused(t->tool, "SUBSCRIBE", reply))
        return;
    if (bytes_equal(kind, BYTES_LIT("message")))
        on_message(t, channel, reply_bytes(reply_at(reply, 2)));
    else if (bytes_equal(kind, BYTES_LIT("subscribe")))
        (void)feed_on_subscribed(t->feed, t->link, channel);
}

static void on_feed_ready(void *ctx) {
    struct tail *t = ctx;
    feed_on_ready(t->feed, t->link);
}

static void on_feed_down(void *ctx, const char *why) {
    struct tail *t = ctx;
    feed_on_down(t->feed);
    tool_complain(t->tool, "the connection broke (%s); what comes meanwhile is not shown", why);
}

static void subscribe(struct tail *t, unsigned partition, const char *what, struct bytes name) {
    struct buf key = {0};
    feed_subscribe(t->feed, t->link, channel_of(&key, partition, what, name));
    buf_deinit(&key);
}

/* --- which Names --- */

static void on_rescan(uv_timer_t *timer);

static void on_names(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct tail *t = ctx;
    unsigned partitions = bus_partitions(t->tool->bus);
    for (size_t i = 0; status == 0 && i < count; i++)
        subscribe(t, partition_of(rows[i].name, partitions), "n:", rows[i].name);
    MUST(uv_timer_start(&t->rescan, on_rescan, RESCAN_MS, 0) == 0);
}

static void on_rescan(uv_timer_t *timer) {
    struct tail *t = container_of(timer, struct tail, rescan);
    registry_names(t->tool->registry, on_names, t);
}

static void on_ready(void *ctx) {
    static const struct link_events events = {on_feed_ready, on_feed_down, on_push};
    struct tail *t = ctx;
    struct bus *bus = t->tool->bus;
    t->link = link_new(&t->tool->loop, bus_url(bus), LINK_FEED, "tail", &events, t);
    bus_watch(bus, t->link);
    if (t->has_events)
        t->events = tail_events_start(t->tool, on_event, t);
    if (t->tool->argument_count > 0) {
        struct bytes name = bytes_str(t->tool->arguments[0]);
        unsigned partition = partition_of(name, bus_partitions(bus));
        subscribe(t, partition, "n:", name);
        subscribe(t, partition, "n*", BYTES_NONE);
        return;
    }
    subscribe(t, 0, "n*", BYTES_NONE);
    MUST(uv_timer_start(&t->rescan, on_rescan, 0, 0) == 0);
}

static int run(struct tool *tool, void *own) {
    struct tail *t = own;
    t->tool = tool;
    if (!tool_connect(tool))
        return TOOL_USAGE;
    t->feed = feed_new();
    MUST(uv_timer_init(&tool->loop, &t->rescan) == 0);
    int exit_code = tool_run(tool, on_ready, t);
    uv_close((uv_handle_t *)&t->rescan, NULL);
    tail_events_close(t->events);
    link_close(t->link);
    feed_free(t->feed);
    forget_seen(t);
    return exit_code;
}

static const struct option options[] = {
    {.name = "count",
     .kind = OPTION_NUMBER,
     .offset = offsetof(struct tail, count),
     .placeholder = "N",
     .help = "end after N messages",
     .lowest = 1,
     .highest = INT64_MAX},
    {.name = "events",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct tail, has_events),
     .help = "connects and disconnects too: reads everything that clients send"},
};

const struct verb verb_tail = {
    .name = "tail",
    .arguments = "[NAME]",
    .summary = "follow messages, and events, live",
    .details = "Without NAME: every Name with a connection; a new one is noticed within 2 s.\n"
               "Control bytes are shown as \\xNN, long data is cut; --json has all of it.",
    .flags = VERB_REDIS | VERB_JSON,
    .max_arguments = 1,
    .options = options,
    .option_count = ARRAY_LEN(options),
    .size = sizeof(struct tail),
    .run = run};
