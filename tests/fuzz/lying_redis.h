/*
 * lying_redis.h - a Redis that answers what it likes: the true answer, or one of any type made of
 * the bytes of a fuzzer's input. It serves the process under test in the same loop.
 */
#ifndef SIGNALBOX_TESTS_FUZZ_LYING_REDIS_H
#define SIGNALBOX_TESTS_FUZZ_LYING_REDIS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <hiredis/hiredis.h>

#include "common/base/buf.h"

/* ---- the input: read from its beginning; at its end there are zeros and empty texts */

struct input {
    const uint8_t *at;
    size_t left;
};

unsigned input_byte(struct input *in);
/* A length, of at most `most`, and so many bytes; borrowed from the input. */
struct bytes input_bytes(struct input *in, size_t most);

/* ---- the server */

enum { LYING_CONNS = 6 };

/* One connection of the process under test, as the server sees it. */
struct side {
    struct lying_redis *redis;
    uv_pipe_t pipe;
    redisReader *reader;
    bool is_open, is_feed, is_in_multi;
    unsigned queued;
    struct buf multi;  /* the answers of EXEC */
    char channel[200]; /* the latest it subscribed to */
};

struct lying_redis {
    struct input *input;
    unsigned honest; /* so many commands are answered truly */
    uv_pipe_t server;
    struct side sides[LYING_CONNS];
    char path[64], url[80];
};

/* url is where it listens. Its first choice is taken from the input. */
void lying_redis_open(struct lying_redis *r, uv_loop_t *loop, struct input *input);
/* A message to the latest channel, or a push of any kind. */
void lying_redis_push(struct lying_redis *r);
/* One of the connections, if it is open. */
void lying_redis_drop(struct lying_redis *r, unsigned i);
/* The loop has to turn until everything is closed. */
void lying_redis_close(struct lying_redis *r);

#endif
