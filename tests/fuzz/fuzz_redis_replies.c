/*
 * fuzz_redis_replies.c - what a server that calls itself Redis may answer, cut anywhere.
 *
 * The first two bytes say into which pieces the others are cut. Properties: the cuts change nothing
 * (the same replies, and the same end); every reader of reply.h and server_info_read take every
 * reply; no reply is deeper or larger than the bounds.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "common/base/buf.h"
#include "common/bus/redis/reply.h"
#include "common/bus/redis/reply_reader.h"
#include "common/bus/redis/server_info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Its text to `out`, as the readers see it. */
static size_t describe(struct buf *out, const struct redisReply *r, unsigned depth) {
    struct server_info info = {0};
    size_t bytes = reply_bytes(r).len;
    MUST(depth <= REPLY_DEPTH_MAX);
    buf_append_char(out, (char)('0' + r->type));
    int64_t number = reply_number(r, 7);
    buf_append(out, bytes_of((const char *)&number, sizeof(number)));
    buf_append(out, reply_bytes(r));
    MUST(!(reply_is_nil(r) && reply_is_error(r, NULL)));
    (void)server_info_read(&info, reply_bytes(r));
    for (size_t i = 0; i < reply_count(r); i++)
        bytes += describe(out, reply_at(r, i), depth + 1) + REPLY_ELEMENT_BYTES;
    MUST(reply_at(r, reply_count(r)) == NULL);
    return bytes;
}

static void read_all(struct buf *out, struct bytes in, const uint8_t cuts[2]) {
    struct reply_reader *reader = reply_reader_new();
    enum parse result = PARSE_MORE;
    for (unsigned turn = 0; in.len > 0 && result != PARSE_BAD; turn++) {
        struct redisReply *reply;
        const char *why;
        struct bytes piece = bytes_head(in, 1 + (size_t)cuts[turn % 2]);
        in = bytes_from(in, piece.len);
        reply_reader_feed(reader, piece);
        while ((result = reply_reader_next(reader, &reply, &why)) == PARSE_OK) {
            MUST(describe(out, reply, 0) <= REPLY_BYTES_MAX);
            reply_free(reply);
        }
        MUST((result == PARSE_BAD) == (why != NULL));
    }
    buf_append_char(out, result == PARSE_BAD ? 'B' : 'M');
    reply_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t large[2] = {255, 255};
    struct buf cut = {0}, whole = {0};
    if (size < 2)
        return 0;
    read_all(&cut, bytes_of((const char *)data + 2, size - 2), data);
    read_all(&whole, bytes_of((const char *)data + 2, size - 2), large);
    MUST(bytes_equal(buf_bytes(&cut), buf_bytes(&whole)));
    buf_deinit(&cut);
    buf_deinit(&whole);
    return 0;
}
