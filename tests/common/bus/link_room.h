/*
 * link_room.h - a link, its owner and a Redis of the test's own, in one loop. The owner counts what
 * it is told and keeps the last reply or push.
 */
#ifndef SIGNALBOX_TESTS_BUS_LINK_ROOM_H
#define SIGNALBOX_TESTS_BUS_LINK_ROOM_H

#include "common/base/buf.h"
#include "common/bus/redis/link.h"
#include "common/bus/redis/redis_url.h"
#include "common/bus/redis/server_info.h"
#include "tests/common/bus/redis_server.h"

struct room {
    uv_loop_t loop;
    uv_timer_t timer;
    struct redis_server redis;
    struct redis_url url;
    struct link *link;
    bool is_over;
    unsigned ready, down, replies, nulls, errors, pushes;
    char why[300], server[SERVER_IDENTITY_TEXT];
    struct buf last; /* text of the last reply or push */
    int64_t last_number;
    bool closes_link, breaks_link;
    const char *says_when_ready; /* words, sent at every READY; NULL: nothing */
};

/* Without a Redis; the test gives the URL. */
void room_init(struct room *room);
/* With one, on a unix socket. */
void room_init_redis(struct room *room, const char *options);
/* And with a link that is READY. */
void room_init_ready(struct room *room, enum link_kind kind);
void room_deinit(struct room *room);

void set_url(struct room *room, const char *format, ...) PRINTF_LIKE(2, 3);
void open_link(struct room *room, enum link_kind kind);
/* Turns the loop for so long, or until *count; fails when that does not come. */
void turn(struct room *room, unsigned ms);
void until(struct room *room, const unsigned *count, unsigned at_least, unsigned ms);
/* Until link_trouble says it. */
void until_trouble(struct room *room, const char *says, unsigned ms);

/* "PUBLISH channel text": one word an argument. */
void send_words(struct room *room, const char *words, reply_fn *fn);
/* Counts replies, errors and NULLs; ctx is the room. */
void on_reply(void *ctx, struct redisReply *reply);
void expect_last(struct room *room, const char *text);

/* For cmocka's group set-up: only errors are logged. */
int nothing_is_printed(void **state);

#endif
