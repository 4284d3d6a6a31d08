/* log_room.c - see log_room.h. */
#include "tests/common/bus/log_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/bus/partition.h"

struct message_id id_of(const char *text) {
    struct message_id id = MESSAGE_ID_NONE;
    if (*text != '\0')
        assert_true(message_id_parse(bytes_str(text), &id));
    return id;
}

static struct bytes log_key(struct buf *out, char kind, const char *name) {
    bool is_every = strcmp(name, "*") == 0;
    struct bytes tail = is_every ? BYTES_NONE : bytes_str(name);
    if (kind == 'n')
        return channel_of(out, 0, is_every ? CHANNEL_MESSAGES_TO_ALL : CHANNEL_MESSAGES, tail);
    if (kind == 'h')
        return key_of(out, 0, is_every ? KEY_HISTORY_OF_ALL : KEY_HISTORY, tail);
    return key_of(out, 0, is_every ? KEY_LAST_OF_ALL : KEY_LAST, tail);
}

static void run(struct bus_room *room, const char *format, struct bytes key, const char *id,
                struct bytes blob) {
    struct redisReply *reply = redisCommand(room->redis.admin, format, key.ptr, key.len, id,
                                            strlen(id), blob.ptr, blob.len);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
}

void log_join(struct bus_room *room, const char *name) {
    struct buf key = {0};
    bus_room_ask(room, "SET %.*s 0-0 NX", BYTES_FMT(key_of(&key, 0, KEY_SINCE, bytes_str(name))));
    buf_deinit(&key);
}

void log_append(struct bus_room *room, const char *name, const char *id, const char *prev,
                unsigned how) {
    struct buf blob = {0}, key = {0};
    struct message m = {.id = id_of(id),
                        .prev = id_of(prev),
                        .kind = how & IS_NOTE ? MESSAGE_NOTE : MESSAGE_DATA,
                        .ts_ms = 7,
                        .data = bytes_str(id)};
    message_encode(&blob, &m);
    if (how & IN_HISTORY)
        run(room, "XADD %b %b m %b", log_key(&key, 'h', name), id, buf_bytes(&blob));
    if (how & IN_LAST)
        bus_room_ask(room, "SET %.*s %s", BYTES_FMT(log_key(&key, 'l', name)), id);
    if ((how & IN_LAST) && strcmp(name, "*") != 0)
        log_join(room, name);
    if (how & ON_FEED) {
        struct bytes channel = log_key(&key, 'n', name);
        struct redisReply *reply = redisCommand(room->redis.admin, "PUBLISH %b %b", channel.ptr,
                                                channel.len, blob.ptr, blob.len);
        assert_non_null(reply);
        freeReplyObject(reply);
    }
    buf_deinit(&blob);
    buf_deinit(&key);
}

void log_own(struct bus_room *room, const char *term, const char *last, const char *lineage) {
    struct buf key = {0};
    struct bytes own = key_of(&key, 0, KEY_OWN, BYTES_NONE);
    bus_room_ask(room, "DEL %.*s", BYTES_FMT(own));
    bus_room_ask(room, "HSET %.*s h broker t %s", BYTES_FMT(own), term);
    if (*last != '\0')
        bus_room_ask(room, "HSET %.*s i %s", BYTES_FMT(own), last);
    log_join(room, "N");
    if (*lineage != '\0') {
        struct redisReply *reply = redisCommand(room->redis.admin, "HSET %b y %b", own.ptr, own.len,
                                                lineage, strlen(lineage));
        assert_non_null(reply);
        freeReplyObject(reply);
    }
    buf_deinit(&key);
}
