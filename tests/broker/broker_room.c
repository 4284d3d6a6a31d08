/* broker_room.c - see broker_room.h. */
#include "tests/broker/broker_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "broker/entry/receipt_ids.h"
#include "broker/entry/tracing.h"
#include "common/base/log.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/log_writer.h"
#include "common/bus/partition.h"
#include "common/send/delivery.h"

enum { WAIT_MS = 5000 };

static const struct app_host no_host;

static void write_app(struct broker_room *room, const char *text) {
    char path[128];
    strcpy(room->folder, "/tmp/signalbox-test-XXXXXX");
    assert_non_null(mkdtemp(room->folder));
    snprintf(path, sizeof(path), "%s/app.lua", room->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void load_app(struct broker_room *room, const char *text, const struct app_host *host) {
    char *error = NULL;
    write_app(room, text);
    room->environment = (struct app_environment){.loop = &room->bus_room.loop,
                                                 .settings = &room->bus_room.settings,
                                                 .host = host != NULL ? host : &no_host};
    room->app = app_load(room->folder, &room->environment, &error);
    if (room->app == NULL)
        fail_msg("%s", error);
}

void broker_room_init(struct broker_room *room, const char *app, const struct app_host *host) {
    struct buf own = {0};
    memset(room, 0, sizeof(*room));
    bus_room_init(&room->bus_room, ROOM_PARTITIONS);
    log_set_level(LOG_ERROR + 1);
    room->bus_room.settings.lua_budget_ms = 1000;
    room->bus_room.settings.lua_memory_bytes = 64 << 20;
    room->bus_room.settings.max_waiting_handlers = 100;
    room->bus = bus_room_join(&room->bus_room, BUS_BROKER);
    load_app(room, app, host);
    trace_init(&room->trace, room->bus, "test");
    room->parts =
        (struct entry_parts){.bus = room->bus,
                             .app = &room->app,
                             .max_message_bytes = (size_t)room->bus_room.settings.max_message_bytes,
                             .queues = conn_queues_new(&room->bus_room.loop, room->bus),
                             .free_sends = ingest_new(room->bus, "b", 64 << 20, NULL, NULL),
                             .trace = &room->trace};
    struct log_writer_options options = {.label = "0",
                                         .term = ROOM_TERM,
                                         .history_bytes = 1 << 20,
                                         .history_messages = 100,
                                         .history_seconds = 60,
                                         .keep_all_until_ms = UINT64_MAX};
    room->batch.writer = log_writer_new(room->bus, &options);
    room->batch.forward = forward_new(room->bus, "p0", 0);
    key_of(&own, 0, KEY_OWN, BYTES_NONE);
    bus_room_ask(&room->bus_room, "HSET %.*s h %s t %d", BYTES_FMT(buf_bytes(&own)),
                 bus_id(room->bus), ROOM_TERM);
    buf_deinit(&own);
}

void broker_room_deinit(struct broker_room *room) {
    char path[128];
    log_writer_close(room->batch.writer);
    forward_close(room->batch.forward);
    receipt_ids_lost(&room->batch);
    tracing_lost(&room->batch);
    deferred_batch_deinit(&room->batch.deferred);
    ingest_free(room->parts.free_sends);
    conn_queues_end(room->parts.queues);
    app_release(room->app);
    trace_deinit(&room->trace);
    bus_hang_up(room->bus);
    bus_close(room->bus);
    bus_room_deinit(&room->bus_room);
    conn_queues_free(room->parts.queues);
    buf_deinit(&room->told);
    snprintf(path, sizeof(path), "%s/app.lua", room->folder);
    remove(path);
    remove(room->folder);
}

struct bytes broker_room_name(unsigned partition, unsigned i) {
    static char names[8][16];
    unsigned found = 0;
    assert_true(i < ARRAY_LEN(names));
    for (unsigned n = 0;; n++) {
        snprintf(names[i], sizeof(names[i]), "n%u", n);
        if (partition_of(bytes_str(names[i]), ROOM_PARTITIONS) == partition && found++ == i)
            return bytes_str(names[i]);
    }
}

struct in_entry *broker_room_entry(const struct entry *e, uint64_t ms) {
    struct buf text = {0};
    struct message_id id = {ms, 0};
    entry_encode(&text, e);
    const struct bytes fields[] = {BYTES_LIT("m"), buf_bytes(&text)};
    struct in_entry *entry = in_entry_new(ENTRY_READER_ENTRIES, id, fields, 2);
    buf_deinit(&text);
    return entry;
}

struct processing broker_room_begin(struct broker_room *room, struct in_entry *entry) {
    return (struct processing){
        .parts = &room->parts, .batch = &room->batch, .slot = room->slot, .entry = entry};
}

/* --- what came of it --- */

static void show_list(struct buf *out, const char *what, struct bytes_list list) {
    if (!bytes_list_is_given(list))
        return;
    buf_printf(out, " %s=", what);
    for (size_t i = 0; i < list.count; i++)
        buf_printf(out, "%s%.*s", i > 0 ? "," : "", BYTES_FMT(list.items[i]));
}

static void show_text(struct buf *out, const char *what, struct bytes text) {
    if (text.len > 0)
        buf_printf(out, " %s%.*s", what, BYTES_FMT(text));
}

static void show_flags(struct buf *out, unsigned flags) {
    if (flags != 0)
        buf_printf(out, " flags=%u", flags);
}

static void show_message(struct broker_room *room, struct bytes text) {
    struct buf *out = &room->told;
    struct message m;
    struct bytes reason;
    assert_int_equal(message_decode(text, &m), PARSE_OK);
    buf_append_str(out, message_kind_text(m.kind));
    show_list(out, "groups", m.to_groups);
    show_list(out, "clients", m.to_clients);
    show_text(out, "conn=", m.to_conn);
    show_text(out, "from=", m.from);
    show_flags(out, m.flags);
    if (m.kind == MESSAGE_CLOSE)
        buf_printf(out, " %d", delivery_read_close(&m, &reason));
    show_text(out, "", m.kind == MESSAGE_CLOSE ? reason : m.data);
    buf_append_char(out, '\n');
    room->told_ms = m.ts_ms;
    message_free(&m);
}

static void show_entry(struct broker_room *room, struct bytes text) {
    struct buf *out = &room->told;
    struct entry e;
    assert_int_equal(entry_decode(text, &e), PARSE_OK);
    buf_append_str(out, entry_kind_text(e.kind));
    show_text(out, "name=", e.name);
    show_list(out, "names", e.names);
    show_list(out, "groups", e.groups);
    show_list(out, "clients", e.clients);
    show_text(out, "conn=", e.conn);
    show_text(out, "from=", e.client_id);
    show_flags(out, e.flags);
    if (e.kind == ENTRY_CLOSE)
        buf_printf(out, " %d", (int)e.code);
    show_text(out, "", e.body);
    buf_append_char(out, '\n');
    room->told_ms = e.ts_ms;
    entry_free(&e);
}

/* Shows the field m of each entry of a stream, and empties it. */
static const char *take_all(struct broker_room *room, const struct buf *key,
                            void (*show)(struct broker_room *room, struct bytes text)) {
    redisReply *all = redisCommand(room->bus_room.redis.admin, "XRANGE %b - +", key->ptr, key->len);
    buf_clear(&room->told);
    for (size_t i = 0; i < all->elements; i++) {
        const redisReply *fields = all->element[i]->element[1];
        for (size_t k = 0; k + 1 < fields->elements; k += 2)
            if (strcmp(fields->element[k]->str, "m") == 0)
                show(room, bytes_of(fields->element[k + 1]->str, fields->element[k + 1]->len));
    }
    freeReplyObject(all);
    freeReplyObject(
        redisCommand(room->bus_room.redis.admin, "XTRIM %b MAXLEN 0", key->ptr, key->len));
    buf_append_char(&room->told, '\0');
    return room->told.ptr;
}

static void on_committed(void *ctx, enum log_writer_result result) {
    struct broker_room *room = ctx;
    assert_int_equal(result, LOG_WRITER_DONE);
    room->answers++;
}

const char *broker_room_log(struct broker_room *room, struct bytes name) {
    struct buf key = {0};
    if (log_writer_count(room->batch.writer) > 0) {
        room->answers = 0;
        log_writer_commit(room->batch.writer, (struct message_id){++room->cursor, 0}, true,
                          on_committed, room);
        bus_room_until(&room->bus_room, &room->answers, 1, WAIT_MS);
    }
    key_of(&key, 0, name.len > 0 ? KEY_HISTORY : KEY_HISTORY_OF_ALL, name);
    take_all(room, &key, show_message);
    buf_deinit(&key);
    return room->told.ptr;
}

static void on_forwarded(void *ctx, bool is_busy) {
    struct broker_room *room = ctx;
    assert_false(is_busy);
    room->answers++;
}

const char *broker_room_in(struct broker_room *room, unsigned partition) {
    struct buf key = {0};
    if (forward_count(room->batch.forward) > 0) {
        room->answers = 0;
        forward_send(room->batch.forward, on_forwarded, room);
        bus_room_until(&room->bus_room, &room->answers, 1, WAIT_MS);
    }
    key_of(&key, partition, KEY_IN, BYTES_NONE);
    take_all(room, &key, show_entry);
    buf_deinit(&key);
    return room->told.ptr;
}
