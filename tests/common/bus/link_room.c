/* link_room.c - see link_room.h. */
#include "tests/common/bus/link_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/base/metrics.h"

/* ---- the owner of the link ---- */

static void keep_text(struct room *room, struct redisReply *reply) {
    buf_clear(&room->last);
    size_t n = reply_count(reply);
    buf_append(&room->last, reply_bytes(reply));
    for (size_t i = 0; i < n; i++) {
        buf_append_str(&room->last, i > 0 ? " " : "");
        buf_append(&room->last, reply_bytes(reply_at(reply, i)));
    }
    room->last_number = reply_number(reply, -1);
}

static void on_ready(void *ctx) {
    struct room *room = ctx;
    room->ready++;
    assert_true(link_is_ready(room->link));
    assert_string_equal(link_trouble(room->link), "");
    snprintf(room->server, sizeof(room->server), "%s", link_server(room->link));
    if (room->says_when_ready != NULL)
        send_words(room, room->says_when_ready, on_reply);
}

static void on_down(void *ctx, const char *why) {
    struct room *room = ctx;
    room->down++;
    assert_false(link_is_ready(room->link));
    assert_string_equal(link_server(room->link), "");
    snprintf(room->why, sizeof(room->why), "%s", why);
}

static void on_push(void *ctx, struct redisReply *reply) {
    struct room *room = ctx;
    room->pushes++;
    keep_text(room, reply);
    if (room->breaks_link)
        link_break(room->link, "the test wants it");
}

static const struct link_events events = {on_ready, on_down, on_push};

void on_reply(void *ctx, struct redisReply *reply) {
    struct room *room = ctx;
    if (reply == NULL) {
        assert_true(room->down < room->ready); /* NULLs come before on_down */
        assert_false(link_is_ready(room->link));
        room->nulls++;
        return;
    }
    room->replies++;
    room->errors += reply_is_error(reply, NULL);
    keep_text(room, reply);
    if (room->closes_link) {
        link_close(room->link);
        room->link = NULL;
    } else if (room->breaks_link) {
        link_break(room->link, "the test wants it");
    }
}

/* ---- the room ---- */

static void on_time_up(uv_timer_t *timer) {
    container_of(timer, struct room, timer)->is_over = true;
}

static void start_timer(struct room *room, unsigned ms) {
    room->is_over = false;
    uv_update_time(&room->loop);
    uv_timer_start(&room->timer, on_time_up, ms, 0);
}

void turn(struct room *room, unsigned ms) {
    start_timer(room, ms);
    while (!room->is_over)
        uv_run(&room->loop, UV_RUN_ONCE);
}

void until(struct room *room, const unsigned *count, unsigned at_least, unsigned ms) {
    start_timer(room, ms);
    while (!room->is_over && *count < at_least)
        uv_run(&room->loop, UV_RUN_ONCE);
    if (*count < at_least)
        fail_msg("nothing within %u ms; the link says: %s", ms,
                 room->link != NULL ? link_trouble(room->link) : "(closed)");
}

void until_trouble(struct room *room, const char *says, unsigned ms) {
    start_timer(room, ms);
    while (!room->is_over && strstr(link_trouble(room->link), says) == NULL)
        uv_run(&room->loop, UV_RUN_ONCE);
    if (strstr(link_trouble(room->link), says) == NULL)
        fail_msg("the link says: %s", link_trouble(room->link));
}

void set_url(struct room *room, const char *format, ...) {
    char text[300], error[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert_int_equal(redis_url_parse(&room->url, text, error), 0);
}

void room_init(struct room *room) {
    memset(room, 0, sizeof(*room));
    memset(metrics_values, 0, sizeof(metrics_values));
    assert_int_equal(uv_loop_init(&room->loop), 0);
    uv_timer_init(&room->loop, &room->timer);
}

void room_init_redis(struct room *room, const char *options) {
    room_init(room);
    redis_server_start(&room->redis, options);
    set_url(room, "unix://%s", room->redis.path);
}

void open_link(struct room *room, enum link_kind kind) {
    room->link = link_new(&room->loop, &room->url, kind, "test", &events, room);
    assert_false(link_is_ready(room->link));
}

void room_init_ready(struct room *room, enum link_kind kind) {
    room_init_redis(room, "");
    open_link(room, kind);
    until(room, &room->ready, 1, 5000);
}

void room_deinit(struct room *room) {
    link_close(room->link);
    link_close(NULL);
    uv_close((uv_handle_t *)&room->timer, NULL);
    uv_run(&room->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&room->loop), 0);
    if (room->redis.dir[0] != '\0')
        redis_server_deinit(&room->redis);
    buf_deinit(&room->last);
}

void send_words(struct room *room, const char *words, reply_fn *fn) {
    struct bytes rest = bytes_str(words);
    char *name = bytes_dup(bytes_split(&rest, ' '));
    struct command c = command_begin(name);
    while (rest.ptr != NULL)
        command_bytes(&c, bytes_split(&rest, ' '));
    link_send(room->link, &c, fn, fn != NULL ? room : NULL);
    free(name);
}

void expect_last(struct room *room, const char *text) {
    buf_append_char(&room->last, '\0');
    assert_string_equal(room->last.ptr, text);
}

int nothing_is_printed(void **state) {
    (void)state;
    log_init("test");
    log_set_level(LOG_ERROR);
    return 0;
}
