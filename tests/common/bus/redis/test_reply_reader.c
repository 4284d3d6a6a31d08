/* Replies within the bounds and one beyond each of them, in one piece and byte by byte. */
#include "common/bus/redis/reply_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/buf.h"

/* The last result; of a reply only its type stays. */
static enum parse read_in(const char *text, size_t len, size_t piece, const char **why_out,
                          unsigned *replies_out) {
    static char why[200];
    struct reply_reader *r = reply_reader_new();
    enum parse result = PARSE_MORE;
    *replies_out = 0;
    *why_out = why;
    why[0] = '\0';
    for (size_t at = 0; at < len && result != PARSE_BAD; at += piece) {
        struct redisReply *reply;
        const char *said;
        reply_reader_feed(r, bytes_of(text + at, len - at < piece ? len - at : piece));
        while ((result = reply_reader_next(r, &reply, &said)) == PARSE_OK) {
            ++*replies_out;
            reply_free(reply);
        }
        if (result == PARSE_BAD) {
            snprintf(why, sizeof(why), "%s", said);
            assert_int_equal(reply_reader_next(r, &reply, &said), PARSE_BAD);
            assert_string_equal(said, why);
        }
    }
    reply_reader_free(r);
    return result;
}

static void expect(const char *text, size_t len, unsigned replies, const char *why) {
    static const size_t pieces[] = {1, 7, REPLY_FEED_MAX};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        const char *said;
        unsigned got;
        enum parse result = read_in(text, len, pieces[i], &said, &got);
        assert_string_equal(said, why);
        assert_int_equal(result, *why != '\0' ? PARSE_BAD : PARSE_MORE);
        assert_int_equal(got, replies);
    }
}

static void what_is_announced_is_bounded(void **state) {
    static const struct {
        const char *text, *why;
        unsigned replies;
    } rows[] = {
        {"+OK\r\n-ERR x\r\n:5\r\n$2\r\nab\r\n$-1\r\n*2\r\n:1\r\n*0\r\n*-1\r\n", "", 7},
        {"*7456540\r\n", "", 0}, /* times 72 it is 512 MiB */
        {"*7456541\r\n", "a reply is larger than 512 MiB", 0},
        {":1\r\n*2147483647\r\n", "a reply is larger than 512 MiB", 1},
        {"*2\r\n*7456538\r\n", "", 0},
        {"*2\r\n*7456539\r\n", "a reply is larger than 512 MiB", 0},
        {"*2\r\n*1\r\n:1\r\n*7456537\r\n", "", 0},
        {"*2\r\n*1\r\n:1\r\n*7456538\r\n", "a reply is larger than 512 MiB", 0},
        {"*3000000\r\n*3000000\r\n*3000000\r\n", "a reply is larger than 512 MiB", 0},
        {"$9223372036854775807\r\nx", "", 0}, /* nothing is kept before it is here */
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "", 1},
    };
    static const char nine[] = "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n";
    const char *why;
    unsigned replies;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(rows[i].text, strlen(rows[i].text), rows[i].replies, rows[i].why);
    assert_int_equal(read_in(nine, strlen(nine), 5, &why, &replies), PARSE_BAD);
}

/* A reply that was taken leaves its room to the next. */
static void each_reply_has_its_own_room(void **state) {
    struct reply_reader *r = reply_reader_new();
    (void)state;
    for (int i = 0; i < 2; i++) { /* together they are more than one may be */
        struct redisReply *reply;
        const char *why;
        enum { COUNT = 4000000 };
        char *nils = mem_alloc(REPLY_FEED_MAX);
        for (size_t k = 0; k < REPLY_FEED_MAX; k += 4)
            memcpy(nils + k, "*0\r\n", 4);
        reply_reader_feed(r, BYTES_LIT("*4000000\r\n"));
        for (size_t left = COUNT; left > 0;) {
            size_t n = left < REPLY_FEED_MAX / 4 ? left : REPLY_FEED_MAX / 4;
            assert_int_equal(reply_reader_next(r, &reply, &why), PARSE_MORE);
            reply_reader_feed(r, bytes_of(nils, n * 4));
            left -= n;
        }
        assert_int_equal(reply_reader_next(r, &reply, &why), PARSE_OK);
        reply_free(reply);
        free(nils);
    }
    reply_reader_free(r);
}

static void a_line_has_a_bound(void **state) {
    static const char kinds[] = {'+', '-', ':', '$', '*'};
    (void)state;
    for (size_t i = 0; i < sizeof(kinds); i++) {
        char *text = mem_alloc(REPLY_LINE_MAX + 2);
        const char *why;
        unsigned replies;
        memset(text, '1', REPLY_LINE_MAX + 2);
        text[0] = kinds[i];
        for (size_t piece = 64; piece <= REPLY_FEED_MAX; piece *= 128) {
            assert_int_equal(read_in(text, REPLY_LINE_MAX + 1, piece, &why, &replies), PARSE_MORE);
            assert_int_equal(read_in(text, REPLY_LINE_MAX + 2, piece, &why, &replies), PARSE_BAD);
            assert_string_equal(why, "a line of a reply is longer than 64 KiB");
        }
        free(text);
    }
}

/* A text that never ends is kept up to the bound. */
static void what_is_here_is_bounded(void **state) {
    struct reply_reader *r = reply_reader_new();
    char *text = mem_alloc(REPLY_FEED_MAX);
    struct redisReply *reply;
    const char *why;
    size_t fed = 0;
    enum parse result;
    (void)state;
    memset(text, 'x', REPLY_FEED_MAX);
    reply_reader_feed(r, BYTES_LIT("*2\r\n:1\r\n$999999999999\r\n"));
    while ((result = reply_reader_next(r, &reply, &why)) == PARSE_MORE) {
        reply_reader_feed(r, bytes_of(text, REPLY_FEED_MAX));
        fed += REPLY_FEED_MAX;
    }
    assert_int_equal(result, PARSE_BAD);
    assert_string_equal(why, "a reply is larger than 512 MiB");
    assert_in_range(fed, REPLY_BYTES_MAX - 1024, REPLY_BYTES_MAX + REPLY_FEED_MAX);
    free(text);
    reply_reader_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_announced_is_bounded),
        cmocka_unit_test(each_reply_has_its_own_room),
        cmocka_unit_test(a_line_has_a_bound),
        cmocka_unit_test(what_is_here_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
