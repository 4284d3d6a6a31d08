/*
 * reply_reader.c - see reply_reader.h.
 *
 * hiredis makes the objects of a reply through a table of functions. Ours ask whether there is room
 * and then call hiredis' own.
 */
#include "common/bus/redis/reply_reader.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "common/base/buf.h"

/* Of an array; hiredis 1.0 changed the type. */
#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

struct reply_reader {
    redisReader *hiredis;
    redisReplyObjectFunctions own, *theirs;
    size_t kept;     /* bytes of the objects of the reply that is being read */
    const char *why; /* the first thing that was wrong; NULL: nothing was */
};

static const char too_large[] = "a reply is larger than 512 MiB";

static void refuse(struct reply_reader *r, const char *why) {
    if (r->why == NULL)
        r->why = why;
}

/* ---- objects ---- */

static bool make_room(struct reply_reader *r, size_t count, size_t bytes_each) {
    if (count > (REPLY_BYTES_MAX - r->kept) / bytes_each) {
        refuse(r, too_large);
        return false;
    }
    r->kept += count * bytes_each;
    return true;
}

static unsigned depth_of(const redisReadTask *task) {
    unsigned depth = 1;
    while ((task = task->parent) != NULL)
        depth++;
    return depth;
}

static void *create_string(const redisReadTask *task, char *text, size_t len) {
    struct reply_reader *r = task->privdata;
    return make_room(r, len, 1) ? r->theirs->createString(task, text, len) : NULL;
}

static void *create_array(const redisReadTask *task, element_count count) {
    struct reply_reader *r = task->privdata;
    if (depth_of(task) > REPLY_DEPTH_MAX) {
        refuse(r, "a reply has more than 8 levels");
        return NULL;
    }
    bool has_room = make_room(r, (size_t)count, REPLY_ELEMENT_BYTES);
    return has_room ? r->theirs->createArray(task, count) : NULL;
}

/* ---- bytes ---- */

void reply_reader_feed(struct reply_reader *r, struct bytes in) {
    MUST(in.len <= REPLY_FEED_MAX);
    MUST(redisReaderFeed(r->hiredis, in.ptr, in.len) == REDIS_OK);
}

/* What hiredis has not used begins with a line, which it searches anew each time it is fed. */
static void check_rest(struct reply_reader *r) {
    const redisReader *h = r->hiredis;
    size_t rest = h->len - h->pos;
    if (rest > REPLY_BYTES_MAX - r->kept)
        refuse(r, too_large);
    else if (rest > REPLY_LINE_MAX && memmem(h->buf + h->pos, REPLY_LINE_MAX, "\r\n", 2) == NULL)
        refuse(r, "a line of a reply is longer than 64 KiB");
}

enum parse reply_reader_next(struct reply_reader *r, struct redisReply **out,
                             const char **why_out) {
    void *reply = NULL;
    if (r->why == NULL && redisReaderGetReply(r->hiredis, &reply) != REDIS_OK)
        refuse(r, r->hiredis->errstr);
    if (reply == NULL && r->why == NULL)
        check_rest(r);
    *out = reply;
    *why_out = r->why;
    if (reply == NULL)
        return r->why == NULL ? PARSE_MORE : PARSE_BAD;
    r->kept = 0;
    return PARSE_OK;
}

/* ---- life ---- */

struct reply_reader *reply_reader_new(void) {
    struct reply_reader *r = mem_zalloc(sizeof(*r));
    r->hiredis = redisReaderCreate();
    MUST(r->hiredis != NULL);
    r->theirs = r->hiredis->fn;
    r->own = *r->theirs;
    r->own.createString = create_string;
    r->own.createArray = create_array;
    r->hiredis->fn = &r->own;
    r->hiredis->privdata = r;
    return r;
}

void reply_reader_free(struct reply_reader *r) {
    if (r == NULL)
        return;
    redisReaderFree(r->hiredis);
    free(r);
}

void reply_free(struct redisReply *reply) {
    freeReplyObject(reply);
}
