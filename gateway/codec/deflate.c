/* deflate.c - see deflate.h. Read deflate_message, and inflate_some, which is one call of zlib. */
#include "gateway/codec/deflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "common/base/close_reason.h"

/* Z_SYNC_FLUSH ends with an empty stored block, of which the sender leaves out what follows the
 * three bits of its header (RFC 7692, 7.2.1). */
static const char tail[4] = {0, 0, (char)0xff, (char)0xff};

enum {
    LEVEL_THOROUGH = 6,
    LEVEL_QUICK = 1,
    MEMORY_LEVEL_MAX = 8,
    MEMORY_LEVEL_BITS = 5, /* below the window: a small one slides often, over all of the memory */
    FLUSH_ROOM = 64,
    TAKE_MAX = 16 * 1024, /* for one call of inflate */
    GIVE_MAX = 64 * 1024,
    RESET_WORK = 64,   /* of a fresh stream after a final block, in bytes of payload */
    AT_BOUNDARY = 128, /* in data_type: between two blocks, */
    UNUSED_BITS = 63   /* and so many bits of the last byte are not used */
};

#define NOT_COMPLETE "compressed message is not complete"

static struct z_stream_s *engine_new(void) {
    return mem_zalloc(sizeof(struct z_stream_s));
}

/* ---- out */

void deflater_init(struct deflater *d) {
    *d = (struct deflater){0};
}

void deflater_deinit(struct deflater *d) {
    for (int i = 0; i < DEFLATE_WINDOWS; i++) {
        if (d->engines[i] == NULL)
            continue;
        (void)deflateEnd(d->engines[i]);
        free(d->engines[i]);
    }
}

/* Ready for a message. */
static struct z_stream_s *engine_of(struct deflater *d, int window_bits) {
    MUST(window_bits >= DEFLATE_WINDOW_MIN && window_bits <= DEFLATE_WINDOW_MAX);
    struct z_stream_s **engine = &d->engines[window_bits - DEFLATE_WINDOW_MIN];
    if (*engine != NULL) {
        MUST(deflateReset(*engine) == Z_OK);
        return *engine;
    }
    int memory = window_bits - MEMORY_LEVEL_BITS;
    memory = memory < MEMORY_LEVEL_MAX ? memory : MEMORY_LEVEL_MAX;
    *engine = engine_new();
    MUST(deflateInit2(*engine, LEVEL_THOROUGH, Z_DEFLATED, -window_bits, memory,
                      Z_DEFAULT_STRATEGY) == Z_OK);
    return *engine;
}

void deflate_message(struct deflater *d, int window_bits, struct bytes message, struct buf *out) {
    MUST(message.len <= DEFLATE_BYTES_MAX);
    struct z_stream_s *z = engine_of(d, window_bits);
    int level = message.len <= DEFLATE_THOROUGH_MAX ? LEVEL_THOROUGH : LEVEL_QUICK;
    size_t room = deflateBound(z, message.len) + message.len / 8 + FLUSH_ROOM;
    MUST(deflateParams(z, level, Z_DEFAULT_STRATEGY) == Z_OK);
    z->next_in = (unsigned char *)message.ptr;
    z->avail_in = (unsigned)message.len;
    z->next_out = (unsigned char *)buf_reserve(out, room);
    z->avail_out = (unsigned)room;
    MUST(deflate(z, Z_SYNC_FLUSH) == Z_OK && z->avail_in == 0 && z->avail_out > 0);
    buf_added(out, room - z->avail_out - sizeof(tail));
}

/* The header of a stored block lacks nothing but its length, when `body` ends with it. */
static void append_stored(struct buf *out, struct bytes text) {
    MUST(text.len > 0 && text.len <= DEFLATE_STORED_MAX);
    char length[4] = {(char)(text.len & 0xff), (char)(text.len >> 8), (char)(~text.len & 0xff),
                      (char)(~text.len >> 8 & 0xff)};
    buf_append(out, bytes_of(length, sizeof(length)));
    buf_append(out, text);
}

void deflate_surround(struct bytes before, struct bytes body, struct bytes after, struct buf *out) {
    buf_append_char(out, '\0');
    append_stored(out, before);
    buf_append(out, body);
    append_stored(out, after);
    buf_append_char(out, '\0');
}

/* ---- in */

void inflater_deinit(struct inflater *i) {
    if (i->engine == NULL)
        return;
    (void)inflateEnd(i->engine);
    free(i->engine);
    i->engine = NULL;
}

void inflater_begin(struct inflater *i, const struct inflate_what *what) {
    struct z_stream_s *engine = i->engine;
    if (engine == NULL) {
        engine = engine_new();
        MUST(inflateInit2(engine, -DEFLATE_WINDOW_MAX) == Z_OK);
    } else {
        MUST(inflateReset(engine) == Z_OK);
    }
    *i = (struct inflater){.engine = engine, .what = *what, .rest = what->payload};
    utf8_init(&i->utf8);
}

static enum parse fail(enum close_reason reason, const char *text, struct ws_error *error_out) {
    *error_out = (struct ws_error){close_reason_code(reason), text};
    return PARSE_BAD;
}

/* What came out is within the bound and is text, and what went in is not just work. */
static enum parse check(struct inflater *i, struct bytes more, struct ws_error *error_out) {
    if (i->given > i->what.max_bytes)
        return fail(CLOSE_TOO_BIG, "message over its limit", error_out);
    if (i->what.is_text && !utf8_feed(&i->utf8, more))
        return fail(CLOSE_BAD_UTF8, "text is not UTF-8", error_out);
    if (i->idle > INFLATE_IDLE_MAX + INFLATE_RATIO_MAX * i->given)
        return fail(CLOSE_TOO_BIG, "compressed message of too little content", error_out);
    return PARSE_MORE;
}

/* After all of the payload and the four bytes that belong to it. */
static enum parse conclude(const struct inflater *i, struct ws_error *error_out) {
    int where = i->engine->data_type;
    if (!i->has_ended && ((where & AT_BOUNDARY) == 0 || (where & UNUSED_BITS) != 0))
        return fail(CLOSE_BAD_DATA, NOT_COMPLETE, error_out);
    if (i->what.is_text && !utf8_is_complete(&i->utf8))
        return fail(CLOSE_BAD_UTF8, "text ends within a character", error_out);
    return PARSE_OK;
}

/* What one call of zlib took and gave. */
static enum parse account(struct inflater *i, size_t taken, struct bytes more, bool has_ended,
                          struct ws_error *error_out) {
    i->rest = bytes_from(i->rest, taken);
    i->idle += taken + (has_ended ? RESET_WORK : 0);
    i->given += more.len;
    i->has_ended = has_ended;
    i->may_hold = i->engine->avail_out == 0 && !has_ended;
    if (i->is_at_tail && more.len > 0) /* the tail was taken for the end of something else */
        return fail(CLOSE_BAD_DATA, NOT_COMPLETE, error_out);
    if (has_ended) /* what may follow a final block is another stream (7.2.3.4) */
        MUST(inflateReset(i->engine) == Z_OK);
    return check(i, more, error_out);
}

static enum parse inflate_some(struct inflater *i, struct buf *out, struct ws_error *error_out) {
    struct z_stream_s *z = i->engine;
    size_t left = i->what.max_bytes - i->given; /* one byte beyond shows that it is too much */
    size_t take = i->rest.len < TAKE_MAX ? i->rest.len : TAKE_MAX;
    size_t give = left < GIVE_MAX ? left + 1 : GIVE_MAX;
    z->next_in = (unsigned char *)i->rest.ptr;
    z->avail_in = (unsigned)take;
    z->next_out = (unsigned char *)buf_reserve(out, give);
    z->avail_out = (unsigned)give;
    int result = inflate(z, Z_SYNC_FLUSH);
    size_t taken = take - z->avail_in, given = give - z->avail_out;
    bool is_stuck = take > 0 && taken == 0 && given == 0;
    if (is_stuck || (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR))
        return fail(CLOSE_BAD_DATA, "compressed message is damaged", error_out);
    struct bytes more = bytes_of(out->ptr + out->len, given);
    buf_added(out, given);
    return account(i, taken, more, result == Z_STREAM_END, error_out);
}

enum parse inflater_step(struct inflater *i, size_t work, struct buf *out,
                         struct ws_error *error_out) {
    size_t until = i->given + INFLATE_RATIO_MAX * i->idle + work;
    enum parse result = PARSE_MORE;
    while (result == PARSE_MORE && i->given + INFLATE_RATIO_MAX * i->idle < until) {
        bool is_used_up = i->rest.len == 0 && !i->may_hold;
        if (is_used_up && (i->is_at_tail || i->has_ended))
            return conclude(i, error_out);
        if (is_used_up) {
            i->is_at_tail = true;
            i->rest = bytes_of(tail, sizeof(tail));
        }
        result = inflate_some(i, out, error_out);
    }
    return result;
}
