/* broker_room.c - see broker_room.h. */
#include "tests/broker/broker_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/entry/receipt_ids.h"
#include "broker/entry/tracing.h"
#include "common/base/log.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/log_writer.h"
#include "common/bus/partition.h"

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
                             .free_sends = ingest_new(room->bus, "b", 1 << 20, NULL, NULL),
                             .trace = &room->trace};
    struct log_writer_options options = {.label = "0",
                                         .term = ROOM_TERM,
                                         .history_bytes = 1 << 20,
                                         .history_messages = 100,
                                         .history_seconds = 60};
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
