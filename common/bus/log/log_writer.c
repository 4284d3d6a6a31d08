/*
 * log_writer.c - see log_writer.h. Read log_writer_commit first.
 *
 *     ask for the unknown prevs (measure_log.lua) ─▶ encode all messages ─▶ its turn ─▶ commit.lua
 */
#include "common/bus/log/log_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/arena.h"
#include "common/base/metrics.h"
#include "common/base/table.h"
#include "common/bus/bulk.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/answers.h"
#include "common/bus/log/shelf.h"
#include "common/bus/redis/troubles.h"

enum { EXPIRE_EVERY_S = 30, JOINED_EVERY_MS = 30000 };

/* What is remembered of a log. Most recently used last. */
struct log {
    UT_hash_handle hh;
    struct message_id last;
    bool is_known; /* last was looked up */
    bool is_asked;
    bool is_joined; /* by somebody, lately: the log leaves its keys in Redis */
    uint64_t asked_ms;
    struct shelf history;
    struct shelf kept;     /* beyond the history (keep) */
    uint64_t expire_ms;    /* when its life was prolonged last; 0: never in this term */
    unsigned pending;      /* outputs of this batch: not to be forgotten */
    struct pending *final; /* the last of them: it moves l: */
    size_t name_len;
    char name[];
};

struct pending {
    struct pending *next;
    struct output output;
    struct log *log;
    bool has_history;
    size_t blob_from, blob_len;
    struct message_id keep_from; /* of the log's messages up to this one */
    bool is_expire_due;
    bool is_doubted; /* in the history only if the Name was joined meanwhile */
    enum { KEPT_AS_IT_IS, KEPT_TOO, KEPT_NOTHING } kept; /* what becomes of what is kept */
    struct message_id kept_from;
    /* An answer instead of a message: whose, and as commit.lua takes it. */
    struct bytes client_id, answer;
};

struct log_writer {
    struct bus *bus;
    unsigned partition, refs;
    bool is_closed;
    uint64_t term, seq;
    struct message_id cursor, next_cursor;
    struct history_bounds history;
    int64_t history_seconds, keep_seconds;
    uint64_t keep_all_until_ms;
    bool keeps_history;
    struct log *logs;
    /* the batch */
    struct pending *first, *tail;
    struct arena arena; /* what the batch borrowed, copied */
    size_t count, bytes;
    struct buf blobs;
    unsigned lookups; /* under way */
    bool is_busy;     /* a lookup was refused */
    bool is_encoded, has_more;
    struct bulk_turn turn; /* of the commit */
    log_writer_done_fn *done;
    void *ctx;
    struct trouble refused, wrong_history;
};

static void clear_batch(struct log_writer *o) {
    for (struct pending *p = o->first; p != NULL; p = p->next) {
        p->log->pending--;
        p->log->final = NULL;
    }
    arena_clear(&o->arena);
    o->first = o->tail = NULL;
    o->count = o->bytes = 0;
    o->is_encoded = false;
    if (o->blobs.cap > 1024 * 1024)
        buf_release(&o->blobs);
    buf_clear(&o->blobs);
}

/* --- logs --- */

static void forget_oldest(struct log_writer *o) {
    struct log *l, *next;
    HASH_ITER (hh, o->logs, l, next) {
        if (HASH_COUNT(o->logs) <= LOG_WRITER_LOGS || l->pending > 0)
            return;
        HASH_DEL(o->logs, l);
        history_deinit(&l->history.history);
        history_deinit(&l->kept.history);
        free(l);
    }
}

static struct log *find_log(struct log_writer *o, struct bytes name) {
    struct log *l;
    HASH_FIND(hh, o->logs, name.ptr, name.len, l);
    if (l != NULL) {
        HASH_DEL(o->logs, l);
    } else {
        l = mem_zalloc(sizeof(*l) + name.len);
        l->name_len = name.len;
        memcpy(l->name, name.ptr, name.len);
    }
    HASH_ADD_KEYPTR(hh, o->logs, l->name, l->name_len, l);
    forget_oldest(o);
    return l;
}

static struct bytes history_key(const struct log_writer *o, struct buf *out, struct bytes name) {
    return key_of(out, o->partition, name.len > 0 ? KEY_HISTORY : KEY_HISTORY_OF_ALL, name);
}

static struct bytes last_key(const struct log_writer *o, struct buf *out, struct bytes name) {
    return key_of(out, o->partition, name.len > 0 ? KEY_LAST : KEY_LAST_OF_ALL, name);
}

static struct bytes log_channel(const struct log_writer *o, struct buf *out, struct bytes name) {
    return channel_of(out, o->partition, name.len > 0 ? CHANNEL_MESSAGES : CHANNEL_MESSAGES_TO_ALL,
                      name);
}

/* --- adding --- */

static struct pending *append(struct log_writer *o, struct bytes name, size_t bytes) {
    MUST(o->done == NULL);
    struct pending *p = arena_room(&o->arena, sizeof(*p));
    *p = (struct pending){.output.name = arena_copy(&o->arena, name)};
    if (p->output.name.ptr == NULL)
        p->output.name = BYTES_LIT("");
    p->log = find_log(o, p->output.name);
    p->log->pending++;
    if (o->tail != NULL)
        o->tail->next = p;
    else
        o->first = p;
    o->tail = p;
    o->count++;
    o->bytes += bytes + name.len + 128;
    return p;
}

struct message_id log_writer_add(struct log_writer *o, const struct output *output) {
    const struct message *from = &output->message;
    struct pending *p =
        append(o, output->name,
               (output->keep > 0 ? 2 : 1) * from->data.len + bytes_list_total(from->to_groups) +
                   bytes_list_total(from->to_clients));
    struct message *m = &p->output.message;
    p->output = output_copy(&o->arena, output, p->output.name);
    m->id = (struct message_id){o->term, ++o->seq};
    p->has_history = output->has_history && o->keeps_history && message_has_place(m);
    p->output.keep = o->keeps_history ? output->keep : 0;
    if (message_has_place(m))
        p->log->final = p;
    return m->id;
}

void log_writer_answer(struct log_writer *o, const struct answer_key *to, struct bytes answer) {
    MUST(answer_id_is_valid(to->id) && answer.len <= ANSWER_BYTES_MAX);
    struct pending *p = append(o, to->name, to->client_id.len + to->id.len + answer.len);
    struct buf text = {0};
    p->output.message.kind = MESSAGE_NOTE; /* no place in the log either */
    p->output.message.id = (struct message_id){o->term, ++o->seq};
    p->client_id = arena_copy(&o->arena, to->client_id);
    buf_append_char(&text, '=');
    buf_append(&text, to->id);
    buf_append_char(&text, '\n');
    buf_append(&text, answer);
    p->answer = arena_copy(&o->arena, buf_bytes(&text));
    buf_deinit(&text);
}

size_t log_writer_bytes(const struct log_writer *o) {
    return o->bytes;
}

size_t log_writer_count(const struct log_writer *o) {
    return o->count;
}

size_t log_writer_largest(const struct log_writer *o) {
    size_t largest = 0;
    for (const struct pending *p = o->first; p != NULL; p = p->next)
        largest = p->blob_len > largest ? p->blob_len : largest;
    return largest;
}

/* --- references: an answer may come after the close --- */

static void unref(struct log_writer *o) {
    if (--o->refs > 0)
        return;
    struct log *l, *next;
    clear_batch(o);
    HASH_ITER (hh, o->logs, l, next) {
        HASH_DEL(o->logs, l);
        history_deinit(&l->history.history);
        history_deinit(&l->kept.history);
        free(l);
    }
    buf_deinit(&o->blobs);
    free(o);
}

static void tell(struct log_writer *o, enum log_writer_result result) {
    log_writer_done_fn *done = o->done;
    if (result != LOG_WRITER_BUSY) {
        o->done = NULL;
        o->cursor = o->next_cursor;
        clear_batch(o);
    }
    done(o->ctx, result);
}

/* --- commit.lua --- */

/* [1, key of another type, how many changes of groups were too many] */
static void read_remarks(struct log_writer *o, struct redisReply *reply) {
    if (reply_bytes(reply_at(reply, 1)).len > 0)
        trouble_raise(&o->wrong_history, reply_bytes(reply_at(reply, 1)));
    metrics_add(METRIC_groups_refused, reply_number(reply_at(reply, 2), 0));
}

static void read_answer(struct log_writer *o, struct redisReply *reply) {
    if (reply == NULL)
        return;
    if (reply_is_error(reply, "FENCED") || reply_is_error(reply, "CURSOR")) {
        log_warn("log_writer", "fenced partition=%u term=%" PRIu64 " answer=%s", o->partition,
                 o->term, LOG_TEXT(reply_bytes(reply)));
        metrics_add(METRIC_fenced, 1);
        tell(o, LOG_WRITER_FENCED);
    } else if (reply_is_error(reply, NULL)) {
        bus_refused(o->bus, "commit.lua", reply);
        trouble_raise(&o->refused, reply_bytes(reply));
        tell(o, LOG_WRITER_BUSY);
    } else {
        trouble_clear(&o->refused);
        read_remarks(o, reply);
        metrics_add(METRIC_outputs, (int64_t)o->count);
        tell(o, LOG_WRITER_DONE);
    }
}

static void end_turn(struct log_writer *o) {
    bulk_leave(bus_bulk(o->bus, o->partition), &o->turn);
}

static void on_out(void *ctx, struct redisReply *reply) {
    struct log_writer *o = ctx;
    end_turn(o);
    if (!o->is_closed)
        read_answer(o, reply);
    unref(o);
}

/* The expiry is prolonged now and then, so far that a history lives as long as promised whenever
 * its last message came. A history without one gets it in any case: the history that this owner
 * prolonged may be gone (Redis' clock jumped, or somebody deleted it). */
static int64_t ttl_of(const struct log_writer *o, const struct pending *p) {
    int64_t ttl_s = o->history_seconds + EXPIRE_EVERY_S;
    if (p->is_expire_due)
        return ttl_s;
    return p->log->final == p ? -ttl_s : 0;
}

/* Whether the script has to look. After a link of this process broke, Redis may have lost who has
 * joined; then everything is kept until the gateways have told it again. */
static bool is_doubted(const struct log_writer *o, const struct log *l) {
    return !l->is_joined && l->name_len > 0 && clock_ms() >= o->keep_all_until_ms;
}

static void add_answer(struct command *c, const struct pending *p) {
    command_bytes(c, p->answer);
    command_number(c, ANSWERS_SECONDS);
    command_text(c, "");
    command_text(c, "");
}

static void add_kept(struct log_writer *o, struct command *c, const struct pending *p) {
    char id[MESSAGE_ID_TEXT], from[2 * MESSAGE_ID_TEXT];
    unsigned newest = p->kept == KEPT_TOO ? p->output.keep : 0;
    snprintf(from, sizeof(from), "+%s %u", message_id_format(p->kept_from, id), newest);
    command_text(c, message_id_format(p->output.message.id, id));
    command_text(c, from);
    command_number(c, o->keep_seconds);
    command_text(c, "");
    command_bytes(c,
                  newest > 0 ? bytes_of(o->blobs.ptr + p->blob_from, p->blob_len) : BYTES_LIT(""));
}

static void add_change(struct command *c, const struct pending *p, struct buf *text) {
    char id[MESSAGE_ID_TEXT];
    buf_clear(text);
    buf_append_char(text, '~');
    buf_append(text, p->output.client_id);
    command_text(c, message_id_format(p->output.message.id, id));
    command_bytes(c, buf_bytes(text));
    command_text(c, "0");
    command_text(c, "");
    command_bytes(c, p->output.change);
}

static void add_output(struct log_writer *o, struct command *c, const struct pending *p,
                       struct buf *key) {
    char id[MESSAGE_ID_TEXT], from[1 + MESSAGE_ID_TEXT] = "?0";
    if (p->output.change.len > 0)
        add_change(c, p, key);
    command_text(c, message_id_format(p->output.message.id, id));
    if (p->answer.len > 0) {
        add_answer(c, p);
        return;
    }
    if (p->has_history)
        message_id_format(p->keep_from, from + 1);
    command_text(c, p->is_doubted ? from : from + 1);
    command_number(c, ttl_of(o, p));
    command_bytes(c, log_channel(o, key, p->output.name));
    command_bytes(c, bytes_of(o->blobs.ptr + p->blob_from, p->blob_len));
    if (p->kept != KEPT_AS_IT_IS)
        add_kept(o, c, p);
}

static void add_keys(const struct log_writer *o, struct command *c, const struct pending *p,
                     struct buf *key) {
    bool names_last = p->log->final == p || p->is_doubted;
    struct answer_key to = {.name = p->output.name, .client_id = p->client_id};
    if (p->answer.len > 0) {
        command_bytes(c, answers_key(key, o->partition, &to, false));
        command_bytes(c, answers_key(key, o->partition, &to, true));
        return;
    }
    for (int i = 0; p->output.change.len > 0 && i < 2; i++)
        command_bytes(c, key_of(key, o->partition, KEY_CONNECTIONS, p->output.name));
    command_bytes(c, history_key(o, key, p->output.name));
    command_bytes(c, (names_last ? last_key : history_key)(o, key, p->output.name));
    for (int i = 0; p->kept != KEPT_AS_IT_IS && i < 2; i++)
        command_bytes(c, key_of(key, o->partition, KEY_KEPT, p->output.name));
}

/* As commit.lua counts them. */
static unsigned count_outputs(const struct log_writer *o) {
    unsigned count = 0;
    for (const struct pending *p = o->first; p != NULL; p = p->next)
        count += 1 + (p->kept != KEPT_AS_IT_IS) + (p->output.change.len > 0);
    return count;
}

static void send_commit(struct log_writer *o) {
    char text[MESSAGE_ID_TEXT];
    struct buf key = {0};
    struct command c = command_script(SCRIPT_commit, 2 + 2 * count_outputs(o));
    command_bytes(&c, key_of(&key, o->partition, KEY_OWN, BYTES_NONE));
    command_bytes(&c, key_of(&key, o->partition, KEY_IN, BYTES_NONE));
    for (struct pending *p = o->first; p != NULL; p = p->next)
        add_keys(o, &c, p, &key);
    command_text(&c, bus_id(o->bus));
    command_number(&c, (int64_t)o->term);
    command_text(&c, message_id_format(o->cursor, text));
    command_text(&c, message_id_format(o->next_cursor, text));
    command_text(&c, o->has_more ? "0" : message_id_format(message_id_after(o->next_cursor), text));
    for (struct pending *p = o->first; p != NULL; p = p->next)
        add_output(o, &c, p, &key);
    buf_deinit(&key);
    o->refs++;
    bus_send(o->bus, o->partition, &c, on_out, o);
}

/* If the link breaks first, the owner forgets the partition. */
static void on_turn(struct bulk_turn *turn) {
    struct log_writer *o = container_of(turn, struct log_writer, turn);
    if (!bus_can_send(o->bus))
        return;
    if (bus_takes_now(o->bus, o->partition, log_writer_largest(o))) {
        send_commit(o);
    } else {
        end_turn(o);
        tell(o, LOG_WRITER_BUSY);
    }
}

static void send_out(struct log_writer *o) {
    if (bulk_take(bus_bulk(o->bus, o->partition), &o->turn, o->blobs.len))
        on_turn(&o->turn);
}

/* --- encoding --- */

static void encode_blob(struct log_writer *o, struct pending *p) {
    p->blob_from = o->blobs.len;
    message_encode(&o->blobs, &p->output.message);
    p->blob_len = o->blobs.len - p->blob_from;
}

static bool add_to_history(struct log_writer *o, struct pending *p) {
    const struct shelf_item item = {
        .id = p->output.message.id, .len = p->blob_len, .is_sure = !p->is_doubted};
    return shelf_add(&p->log->history, o->bus, &o->history, &item);
}

/* An answer to one connection is for nobody who comes later. Without this message what is kept
 * would not be the newest any more, and goes. */
static void decide_kept(struct log_writer *o, struct pending *p) {
    const struct message *m = &p->output.message;
    struct shelf *kept = &p->log->kept;
    const struct history_bounds bounds = {o->history.bytes, p->output.keep};
    const struct shelf_item item = {.id = m->id, .len = p->blob_len, .is_sure = true};
    bool is_kind = m->kind == MESSAGE_DATA && m->to_conn.len == 0 && p->log->name_len > 0;
    if (!is_kind)
        return;
    if (p->output.keep > 0 && shelf_add(kept, o->bus, &bounds, &item)) {
        p->kept = KEPT_TOO;
        p->kept_from = history_first(&kept->history);
    } else if (kept->history.count > 0) {
        p->kept = KEPT_NOTHING;
        history_deinit(&kept->history);
    }
}

static void encode_one(struct log_writer *o, struct pending *p, uint64_t now) {
    struct log *l = p->log;
    if (!message_has_place(&p->output.message)) {
        if (p->answer.len == 0)
            encode_blob(o, p);
        return;
    }
    p->output.message.prev = l->last;
    p->is_doubted = is_doubted(o, l);
    encode_blob(o, p);
    l->last = p->output.message.id;
    l->is_known = true;
    if (p->has_history)
        p->has_history = add_to_history(o, p);
    decide_kept(o, p);
    if (!p->has_history)
        return;
    p->keep_from = history_first(&l->history.history);
    p->is_expire_due = l->expire_ms == 0 || now - l->expire_ms >= EXPIRE_EVERY_S * 1000;
    if (p->is_expire_due)
        l->expire_ms = now;
}

static void encode_and_send(struct log_writer *o) {
    uint64_t now = clock_ms();
    for (struct pending *p = o->first; p != NULL; p = p->next)
        encode_one(o, p, now);
    o->is_encoded = true;
    send_out(o);
}

/* --- prevs --- */

struct lookup {
    struct log_writer *writer;
    struct log *log; /* pending: it stays while this is under way */
};

/* [last id, first id of a chunk, messages, bytes, …]; of a hostile stream what makes sense. */
static void read_last(const struct log_writer *o, struct log *l, struct redisReply *reply) {
    struct message_id last;
    struct bytes text = reply_bytes(reply_at(reply, 0));
    l->is_joined = text.len > 0;
    if (message_id_parse(text, &last) && message_id_compare(last, l->last) > 0)
        l->last = last;
    shelf_read(&l->history, &l->kept, &o->history, reply);
}

static void read_prev(struct log_writer *o, struct log *l, struct redisReply *reply) {
    l->is_asked = false;
    o->lookups--;
    if (reply_is_error(reply, NULL)) {
        bus_refused(o->bus, "measure_log.lua", reply);
        trouble_raise(&o->refused, reply_bytes(reply));
        o->is_busy = true;
    } else if (reply != NULL) {
        l->is_known = true;
        read_last(o, l, reply);
    }
    if (o->lookups > 0 || reply == NULL)
        return;
    if (o->is_busy)
        tell(o, LOG_WRITER_BUSY);
    else
        encode_and_send(o);
}

static void on_prev(void *ctx, struct redisReply *reply) {
    struct lookup *look = ctx;
    struct log_writer *o = look->writer;
    if (!o->is_closed)
        read_prev(o, look->log, reply);
    free(look);
    unref(o);
}

static void ask_prev(struct log_writer *o, struct log *l) {
    struct buf key = {0};
    struct lookup *look = mem_alloc(sizeof(*look));
    *look = (struct lookup){o, l};
    struct bytes name = bytes_of(l->name, l->name_len);
    struct command c = command_script(SCRIPT_measure_log, name.len > 0 ? 4 : 2);
    command_bytes(&c, last_key(o, &key, name));
    command_bytes(&c, history_key(o, &key, name));
    if (name.len > 0) {
        command_bytes(&c, key_of(&key, o->partition, KEY_CONNECTIONS, name));
        command_bytes(&c, key_of(&key, o->partition, KEY_KEPT, name));
    }
    command_number(&c, (int64_t)history_chunk_bytes(&o->history));
    command_number(&c, (int64_t)history_chunk_messages(&o->history));
    command_number(&c, HISTORY_ENTRY_BYTES);
    buf_deinit(&key);
    l->is_asked = true;
    l->asked_ms = clock_ms();
    o->lookups++;
    o->refs++;
    bus_send(o->bus, o->partition, &c, on_prev, look);
}

/* Somebody may join at any time; the script notices, and from the next lookup on need not look. */
static bool is_lookup_due(const struct log *l, uint64_t now) {
    return !l->is_known || (!l->is_joined && now - l->asked_ms >= JOINED_EVERY_MS);
}

static void ask_prevs(struct log_writer *o) {
    uint64_t now = clock_ms();
    o->is_busy = false;
    for (struct pending *p = o->first; p != NULL; p = p->next)
        if (message_has_place(&p->output.message) && !p->log->is_asked &&
            is_lookup_due(p->log, now))
            ask_prev(o, p->log);
    if (o->lookups == 0)
        encode_and_send(o);
}

/* --- committing --- */

void log_writer_commit(struct log_writer *o, struct message_id cursor, bool has_more,
                       log_writer_done_fn *done, void *ctx) {
    MUST(o->done == NULL);
    o->next_cursor = cursor;
    o->has_more = has_more;
    o->done = done;
    o->ctx = ctx;
    log_writer_repeat(o);
}

void log_writer_repeat(struct log_writer *o) {
    if (o->is_encoded)
        send_out(o);
    else
        ask_prevs(o);
}

/* --- life --- */

struct log_writer *log_writer_new(struct bus *bus, const struct log_writer_options *options) {
    struct log_writer *o = mem_alloc(sizeof(*o));
    *o = (struct log_writer){
        .bus = bus,
        .partition = options->partition,
        .refs = 1,
        .term = options->term,
        .cursor = options->cursor,
        .history = {(size_t)options->history_bytes, (uint64_t)options->history_messages},
        .keeps_history = options->history_bytes > 0,
        .keep_all_until_ms = options->keep_all_until_ms,
        .history_seconds = options->history_seconds,
        .keep_seconds = options->keep_seconds,
        .turn = {.on_turn = on_turn}};
    trouble_init(&o->refused, bus_troubles(bus), TROUBLE_commits, options->label);
    trouble_init(&o->wrong_history, bus_troubles(bus), TROUBLE_histories, options->label);
    return o;
}

void log_writer_close(struct log_writer *o) {
    if (o == NULL)
        return;
    o->is_closed = true;
    end_turn(o);
    trouble_clear(&o->refused);
    trouble_clear(&o->wrong_history);
    o->done = NULL;
    unref(o);
}
