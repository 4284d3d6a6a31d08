/* bus_room.c - see bus_room.h. */
#include "tests/common/bus/bus_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/buf.h"
#include "common/base/log.h"

static void on_time_up(uv_timer_t *timer) {
    container_of(timer, struct bus_room, timer)->is_over = true;
}

static void start_timer(struct bus_room *room, unsigned ms) {
    room->is_over = false;
    uv_update_time(&room->loop);
    uv_timer_start(&room->timer, on_time_up, ms, 0);
}

void bus_room_turn(struct bus_room *room, unsigned ms) {
    start_timer(room, ms);
    while (!room->is_over)
        uv_run(&room->loop, UV_RUN_ONCE);
}

void bus_room_until(struct bus_room *room, const unsigned *what, unsigned at_least, unsigned ms) {
    start_timer(room, ms);
    while (!room->is_over && *what < at_least)
        uv_run(&room->loop, UV_RUN_ONCE);
    if (*what < at_least)
        fail_msg("%u of %u within %u ms", *what, at_least, ms);
}

void bus_room_init(struct bus_room *room, unsigned partitions) {
    memset(room, 0, sizeof(*room));
    log_set_level(LOG_ERROR);
    assert_int_equal(uv_loop_init(&room->loop), 0);
    uv_timer_init(&room->loop, &room->timer);
    redis_server_start(&room->redis, "");
    snprintf(room->url, sizeof(room->url), "unix://%s", room->redis.path);
    room->settings = (struct settings){.redis = room->url,
                                       .max_ingest_bytes = 1 << 28,
                                       .redis_password_file = "",
                                       .redis_prefix = "",
                                       .redis_ca = "",
                                       .partitions = partitions,
                                       .lease_ms = 500,
                                       .history_bytes = 262144,
                                       .history_messages = 1000,
                                       .history_seconds = 120,
                                       .max_message_bytes = 4194304};
}

void bus_room_deinit(struct bus_room *room) {
    uv_close((uv_handle_t *)&room->timer, NULL);
    uv_run(&room->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&room->loop), 0);
    redis_server_deinit(&room->redis);
}

struct bus *bus_room_join(struct bus_room *room, enum bus_kind kind) {
    struct bus *bus = bus_new(&room->loop, &room->settings, kind);
    assert_non_null(bus);
    bus_start(bus);
    for (int i = 0; i < 500 && !bus_can_send(bus); i++)
        bus_room_turn(room, 10);
    assert_true(bus_can_send(bus));
    return bus;
}

void bus_room_start(struct bus_room *room, struct bus *bus) {
    bus_start(bus);
    for (int i = 0; i < 500 && !bus_is_ready(bus); i++)
        bus_room_turn(room, 10);
    assert_true(bus_is_ready(bus));
}

static void append_reply(struct buf *text, const struct redisReply *reply) {
    if (text->len > 0 && reply->type != REDIS_REPLY_ARRAY)
        buf_append_char(text, ' ');
    if (reply->type == REDIS_REPLY_INTEGER)
        buf_printf(text, "%lld", reply->integer);
    else if (reply->type == REDIS_REPLY_NIL)
        buf_append_str(text, "nil");
    else if (reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < reply->elements; i++)
            append_reply(text, reply->element[i]);
    else
        buf_append(text, bytes_of(reply->str, (size_t)reply->len));
}

const char *bus_room_ask(struct bus_room *room, const char *format, ...) {
    static char line[4096];
    char command[1024];
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    struct redisReply *reply = redis_server_ask(&room->redis, command);
    append_reply(&text, reply);
    snprintf(line, sizeof(line), "%.*s", BYTES_FMT(buf_bytes(&text)));
    buf_deinit(&text);
    freeReplyObject(reply);
    return line;
}
