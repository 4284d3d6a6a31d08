/* The readers of replies: each type of reply through each of them. */
#include "common/bus/redis/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

enum { OTHERWISE = -77 };

static struct redisReply *parse(const char *text) {
    redisReader *reader = redisReaderCreate();
    void *got = NULL;
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &got), REDIS_OK);
    assert_non_null(got);
    redisReaderFree(reader);
    return got;
}

static void every_reader_takes_every_reply(void **state) {
    static const struct {
        const char *text, *bytes;
        int64_t number;
        size_t count;
        bool is_error, is_nil;
    } rows[] = {
        {"+OK\r\n", "OK", OTHERWISE, 0, false, false},
        {"-OOM full\r\n", "OOM full", OTHERWISE, 0, true, false},
        {":-5\r\n", NULL, -5, 0, false, false},
        {"$2\r\n42\r\n", "42", 42, 0, false, false},
        {"$3\r\n-42\r\n", "-42", -42, 0, false, false},
        {"$1\r\n-\r\n", "-", OTHERWISE, 0, false, false},
        {"$2\r\n4x\r\n", "4x", OTHERWISE, 0, false, false},
        {"$0\r\n\r\n", "", OTHERWISE, 0, false, false},
        {"$19\r\n9223372036854775807\r\n", "9223372036854775807", INT64_MAX, 0, false, false},
        {"$19\r\n9223372036854775808\r\n", "9223372036854775808", OTHERWISE, 0, false, false},
        {"$-1\r\n", NULL, OTHERWISE, 0, false, true},
        {"*2\r\n:1\r\n:2\r\n", NULL, OTHERWISE, 2, false, false},
        {NULL, NULL, OTHERWISE, 0, false, false}, /* no reply: the connection broke */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redisReply *r = rows[i].text != NULL ? parse(rows[i].text) : NULL;
        assert_int_equal(reply_is_error(r, NULL), rows[i].is_error);
        assert_int_equal(reply_is_error(r, "OOM "), rows[i].is_error);
        assert_false(reply_is_error(r, "OOM full and more"));
        assert_int_equal(reply_is_nil(r), rows[i].is_nil);
        assert_int_equal(reply_number(r, OTHERWISE), rows[i].number);
        assert_int_equal(reply_count(r), rows[i].count);
        assert_null(reply_at(r, rows[i].count));
        assert_int_equal(reply_bytes(r).ptr != NULL, rows[i].bytes != NULL);
        if (rows[i].bytes != NULL)
            assert_true(bytes_equal_str(reply_bytes(r), rows[i].bytes));
        if (r != NULL)
            freeReplyObject(r);
    }
}

static void an_element_is_found_by_its_place(void **state) {
    struct redisReply *r = parse("*2\r\n$1\r\na\r\n*1\r\n:7\r\n");
    (void)state;
    assert_true(bytes_equal_str(reply_bytes(reply_at(r, 0)), "a"));
    assert_int_equal(reply_number(reply_at(reply_at(r, 1), 0), OTHERWISE), 7);
    assert_null(reply_at(reply_at(r, 0), 0));
    freeReplyObject(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_reader_takes_every_reply),
                                       cmocka_unit_test(an_element_is_found_by_its_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
