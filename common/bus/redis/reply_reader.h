/*
 * reply_reader.h - the bytes of one connection to Redis, as replies.
 *
 * hiredis' reader parses. What it lacks is added here: whatever is at the other end makes us keep
 * no more than REPLY_BYTES_MAX bytes for a reply, of which an element of an array takes
 * REPLY_ELEMENT_BYTES from the moment the array is announced, and no line (an error, a status, a
 * number, a length) is longer than REPLY_LINE_MAX bytes.
 */
#ifndef SIGNALBOX_BUS_REDIS_REPLY_READER_H
#define SIGNALBOX_BUS_REDIS_REPLY_READER_H

#include "common/base/bytes.h"
#include "common/base/parse.h"

struct redisReply;
struct reply_reader;

enum {
    REPLY_BYTES_MAX = 512 * 1024 * 1024,
    REPLY_LINE_MAX = 64 * 1024,
    REPLY_DEPTH_MAX = 8,       /* arrays in arrays, the outermost counted */
    REPLY_ELEMENT_BYTES = 72,  /* the pointer to an element, and the element without its text */
    REPLY_FEED_MAX = 16 * 1024 /* more at a time makes hiredis' reader quadratic */
};

struct reply_reader *reply_reader_new(void);
/* NULL is legal. */
void reply_reader_free(struct reply_reader *r);

/* in: REPLY_FEED_MAX bytes at most; copied. All replies have to be taken before more is fed. */
void reply_reader_feed(struct reply_reader *r, struct bytes in);
/* PARSE_OK: *out is the next reply (reply_free). PARSE_BAD, from now on: *why_out says in one line
 * why nothing more can be read; it lives as long as the reader. */
enum parse reply_reader_next(struct reply_reader *r, struct redisReply **out, const char **why_out);
void reply_free(struct redisReply *reply);

#endif
