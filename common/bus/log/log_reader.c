/* log_reader.c - see log_reader.h. ask() sends a round, on_pages collects it, give_out merges
 * it. */
#include "common/bus/log/log_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/paging.h"

struct page {
    struct buf data; /* the blobs, one after the other */
    struct message_id ids[PAGING_TOP];
    size_t ends[PAGING_TOP];
    size_t count;
};

/* A third page beside those of the logs; its entries are of the Name's own log. */
enum { PAGE_KEPT = LOG_COUNT, PAGES };

struct log_reader {
    struct bus *bus;
    char *name;
    size_t name_len;
    unsigned partition;
    struct message_id at[PAGES], until, given;
    const struct log_reader_events *events;
    void *ctx;
    struct page pages[PAGES];
    struct log_view view;
    bool is_backwards, has_kept;
    unsigned next_asked; /* entries of a page of the next round at most; 0: paging.h alone says */
    unsigned asked;      /* of this round */
    bool has_begun, is_cancelled, is_broken;
};

static void finish(struct log_reader *r, int status) {
    if (!r->is_cancelled)
        r->events->on_done(r->ctx, status, &r->view);
    for (int i = 0; i < PAGES; i++)
        buf_deinit(&r->pages[i].data);
    free(r->name);
    free(r);
}

/* --- a page: [[id, [m, blob]], …] --- */

static void read_page(struct page *page, struct redisReply *reply) {
    buf_clear(&page->data);
    page->count = 0;
    for (size_t i = 0; i < reply_count(reply) && i < PAGING_TOP; i++) {
        struct redisReply *entry = reply_at(reply, i);
        struct message_id id;
        if (!message_id_parse(reply_bytes(reply_at(entry, 0)), &id))
            continue;
        buf_append(&page->data, reply_bytes(reply_at(reply_at(entry, 1), 1)));
        page->ids[page->count] = id;
        page->ends[page->count++] = page->data.len;
    }
}

static struct bytes page_blob(const struct page *page, size_t i) {
    size_t start = i == 0 ? 0 : page->ends[i - 1];
    return bytes_from(bytes_head(buf_bytes(&page->data), page->ends[i]), start);
}

/* --- merging --- */

static bool is_full(const struct log_reader *r, const struct page *page) {
    return r->asked > 0 && page->count == r->asked;
}

static bool is_behind(const struct log_reader *r, struct message_id a, struct message_id b) {
    int order = message_id_compare(a, b);
    return r->is_backwards ? order < 0 : order > 0;
}

static bool is_within(const struct log_reader *r, struct message_id id) {
    for (int i = 0; i < PAGES; i++)
        if (is_full(r, &r->pages[i]) && is_behind(r, id, r->pages[i].ids[r->asked - 1]))
            return false;
    return true;
}

static void give(struct log_reader *r, enum which_log log, struct bytes blob) {
    struct message m;
    if (message_decode(blob, &m) != PARSE_OK) {
        log_error("log_reader", "found_bad_message name=%s",
                  LOG_TEXT(bytes_of(r->name, r->name_len)));
        return;
    }
    m.is_to_every = log == LOG_EVERY;
    r->events->on_entry(r->ctx, log, &m);
    message_free(&m);
}

static void give_out(struct log_reader *r) {
    size_t next[PAGES] = {0};
    while (!r->is_cancelled) {
        int best = -1;
        for (int i = 0; i < PAGES; i++)
            if (next[i] < r->pages[i].count &&
                (best < 0 ||
                 is_behind(r, r->pages[best].ids[next[best]], r->pages[i].ids[next[i]])))
                best = i;
        if (best < 0 || !is_within(r, r->pages[best].ids[next[best]]))
            return;
        struct message_id id = r->at[best] = r->pages[best].ids[next[best]];
        struct bytes blob = page_blob(&r->pages[best], next[best]++);
        bool is_given = best == PAGE_KEPT && message_id_compare(id, r->given) == 0;
        r->given = id;
        if (!is_given)
            give(r, best == PAGE_KEPT ? LOG_OWN : (enum which_log)best, blob);
    }
}

/* --- the view: what ask() reads around the pages --- */

static void read_next(struct log_view *view, enum which_log log, struct redisReply *reply) {
    struct redisReply *fields = reply_at(reply_at(reply, 0), 1);
    struct message m;
    view->has_next[log] = message_decode(reply_bytes(reply_at(fields, 1)), &m) == PARSE_OK;
    if (!view->has_next[log])
        return;
    view->next_prev[log] = m.prev;
    message_free(&m);
}

static bool is_all_kept(const struct lineage *l, struct redisReply *time) {
    uint64_t seconds;
    return bytes_to_u64(reply_bytes(reply_at(time, 0)), &seconds) &&
           seconds * 1000 < l->kept_until_ms;
}

/* Without s:<name>, Redis has forgotten that the Name was joined. */
static struct message_id read_since(const struct lineage *l, struct redisReply *since,
                                    struct redisReply *time) {
    struct message_id id;
    if (message_id_parse(reply_bytes(since), &id))
        return id;
    if (is_all_kept(l, time))
        return l->kept_after;
    return l->has_owner && l->last.seq > 0 ? l->last : MESSAGE_ID_NONE;
}

static bool read_view(struct log_view *view, struct redisReply *reply) {
    if (!lineage_read(&view->lineage, reply_at(reply, LOG_COUNT)))
        return false;
    for (size_t i = 0; i < LOG_COUNT; i++) {
        if (!message_id_parse(reply_bytes(reply_at(reply, LOG_COUNT + 1 + i)), &view->last[i]) ||
            lineage_is_strange(&view->lineage, view->last[i]))
            view->last[i] = MESSAGE_ID_NONE;
        read_next(view, (enum which_log)i, reply_at(reply, 2 * LOG_COUNT + 3 + i));
    }
    view->since = read_since(&view->lineage, reply_at(reply, 2 * LOG_COUNT + 1),
                             reply_at(reply, 2 * LOG_COUNT + 2));
    return true;
}

static void read_first(struct log_view *view, enum which_log log, const struct page *page) {
    struct message m;
    view->has_first[log] = page->count > 0 && message_decode(page_blob(page, 0), &m) == PARSE_OK;
    if (!view->has_first[log])
        return;
    view->first[log] = m.id;
    view->first_prev[log] = m.prev;
    message_free(&m);
}

/* --- rounds --- */

static void ask(struct log_reader *r);

static void on_round(struct log_reader *r) {
    if (r->is_cancelled || r->is_broken) {
        finish(r, -ENOTCONN);
        return;
    }
    bool has_more = false;
    for (int i = 0; i < PAGES; i++)
        has_more |= is_full(r, &r->pages[i]);
    if (!r->has_begun && r->events->on_begin != NULL)
        r->events->on_begin(r->ctx, &r->view);
    r->has_begun = true;
    give_out(r);
    if (r->is_cancelled || !has_more)
        finish(r, 0);
    else if (!bus_can_send(r->bus))
        finish(r, -ENOTCONN);
    else
        ask(r);
}

/* EXEC itself, or one of the commands. */
static bool is_refused(struct log_reader *r, struct redisReply *reply) {
    static const char *const asked[] = {"XRANGE", "XRANGE", "HMGET",  "GET",    "GET",
                                        "GET",    "TIME",   "XRANGE", "XRANGE", "XRANGE"};
    bool is_some = reply_is_error(reply, NULL);
    if (is_some)
        bus_refused(r->bus, "EXEC", reply);
    for (size_t i = 0; i < reply_count(reply) && i < ARRAY_LEN(asked); i++) {
        if (!reply_is_error(reply_at(reply, i), NULL))
            continue;
        bool is_reversed = r->is_backwards && *asked[i] == 'X';
        bus_refused(r->bus, is_reversed ? "XREVRANGE" : asked[i], reply_at(reply, i));
        is_some = true;
    }
    return is_some;
}

static void note_paging(struct log_reader *r, struct redisReply *reply) {
    size_t entries = 0, bytes = 0;
    for (int i = 0; i < PAGES; i++) {
        entries = r->pages[i].count > entries ? r->pages[i].count : entries;
        bytes += r->pages[i].data.len;
    }
    if (reply == NULL)
        paging_broke(bus_paging(r->bus));
    else if (!r->is_broken)
        paging_read(bus_paging(r->bus), entries, bytes);
}

/* EXEC's answer, in the order of ask(): the page of what is kept comes last. */
static void on_pages(void *ctx, struct redisReply *reply) {
    struct log_reader *r = ctx;
    r->is_broken = is_refused(r, reply) || !read_view(&r->view, reply);
    for (size_t i = 0; i < LOG_COUNT && !r->is_broken; i++) {
        read_page(&r->pages[i], reply_at(reply, i));
        read_first(&r->view, (enum which_log)i, &r->pages[i]);
    }
    if (r->has_kept && !r->is_broken)
        read_page(&r->pages[PAGE_KEPT], reply_at(reply, reply_count(reply) - 1));
    note_paging(r, reply);
    on_round(r);
}

static void ask_log(struct log_reader *r, struct bytes key, struct message_id at) {
    char from[MESSAGE_ID_TEXT + 1] = "(", to[MESSAGE_ID_TEXT];
    const char *start = message_id_is_none(at) ? (r->is_backwards ? "+" : "-") : from;
    const char *end = r->is_backwards ? "-" : "+";
    message_id_format(at, from + 1);
    struct command c = command_begin(r->is_backwards ? "XREVRANGE" : "XRANGE");
    command_bytes(&c, key);
    command_text(&c, start);
    command_text(&c, message_id_is_none(r->until) ? end : message_id_format(r->until, to));
    command_text(&c, "COUNT");
    command_number(&c, r->asked);
    bus_send(r->bus, r->partition, &c, NULL, NULL);
}

static void ask_last(struct log_reader *r, struct bytes key) {
    struct command c = command_begin("GET");
    command_bytes(&c, key);
    bus_send(r->bus, r->partition, &c, NULL, NULL);
}

static void ask_next(struct log_reader *r, struct bytes key) {
    char from[MESSAGE_ID_TEXT + 1] = "(";
    message_id_format(r->until, from + 1);
    struct command c = command_begin("XRANGE");
    command_bytes(&c, key);
    command_text(&c, from);
    command_text(&c, "+");
    command_text(&c, "COUNT");
    command_number(&c, 1);
    bus_send(r->bus, r->partition, &c, NULL, NULL);
}

static unsigned next_count(struct log_reader *r) {
    const struct paging *paging = bus_paging(r->bus);
    unsigned bound = r->next_asked;
    r->next_asked = bound < PAGING_TOP ? bound * 4 : PAGING_TOP;
    if (paging_is_stuck(paging))
        return 0;
    return bound > 0 && bound < paging->count ? bound : paging->count;
}

/* In one transaction: a message appended between two separate reads would come in the wrong order,
 * and nobody could say whether something is missing. */
static void ask(struct log_reader *r) {
    struct buf key = {0};
    r->asked = next_count(r);
    struct bytes name = bytes_of(r->name, r->name_len);
    unsigned p = r->partition;
    struct command multi = command_begin("MULTI"), exec = command_begin("EXEC");
    struct command time = command_begin("TIME");
    struct command lineage = lineage_ask(p);
    bus_send(r->bus, p, &multi, NULL, NULL);
    ask_log(r, key_of(&key, p, KEY_HISTORY, name), r->at[LOG_OWN]);
    ask_log(r, key_of(&key, p, KEY_HISTORY_OF_ALL, BYTES_NONE), r->at[LOG_EVERY]);
    bus_send(r->bus, p, &lineage, NULL, NULL);
    ask_last(r, key_of(&key, p, KEY_LAST, name));
    ask_last(r, key_of(&key, p, KEY_LAST_OF_ALL, BYTES_NONE));
    ask_last(r, key_of(&key, p, KEY_SINCE, name));
    bus_send(r->bus, p, &time, NULL, NULL);
    if (!message_id_is_none(r->until)) {
        ask_next(r, key_of(&key, p, KEY_HISTORY, name));
        ask_next(r, key_of(&key, p, KEY_HISTORY_OF_ALL, BYTES_NONE));
    }
    if (r->has_kept)
        ask_log(r, key_of(&key, p, KEY_KEPT, name), r->at[PAGE_KEPT]);
    bus_send(r->bus, p, &exec, on_pages, r);
    buf_deinit(&key);
}

struct log_reader *log_reader_start(struct bus *bus, const struct log_range *range,
                                    const struct log_reader_events *events, void *ctx) {
    MUST(bus_can_send(bus));
    struct log_reader *r = mem_zalloc(sizeof(*r));
    r->bus = bus;
    r->name = bytes_dup(range->name);
    r->name_len = range->name.len;
    r->partition = partition_of(range->name, bus_partitions(bus));
    memcpy(r->at, range->from, sizeof(range->from));
    r->at[PAGE_KEPT] = range->from[LOG_OWN];
    r->has_kept = range->has_kept;
    r->until = range->is_backwards ? MESSAGE_ID_NONE : range->until;
    r->is_backwards = range->is_backwards;
    r->next_asked = range->first_page;
    r->events = events;
    r->ctx = ctx;
    ask(r);
    return r;
}

void log_reader_cancel(struct log_reader *r) {
    if (r != NULL)
        r->is_cancelled = true;
}
