/* What is said on a new connection: the commands of each step, and what the replies lead to. */
#include "common/bus/redis/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

enum { REPLIES_MAX = 6 };

static const char info[] = "run_id:0123456789012345678901234567890123456789\r\nrole:master\r\n"
                           "master_replid:11\r\nmaster_replid2:00\r\n";

/* The first words of what is to be sent: "AUTH SELECT". */
static const char *sent(struct login *l) {
    static char words[200];
    words[0] = '\0';
    for (struct bytes rest = buf_bytes(&l->out), line; rest.len > 0;) {
        line = bytes_split(&rest, '\n');
        if (line.ptr[0] != '*')
            continue;
        (void)bytes_split(&rest, '\n');
        line = bytes_split(&rest, '\r');
        strcat(words, words[0] != '\0' ? " " : "");
        strncat(words, line.ptr, line.len);
    }
    buf_clear(&l->out);
    return words;
}

static enum login_result reply(struct login *l, const char *text) {
    redisReader *reader = redisReaderCreate();
    void *got = NULL;
    char bulk[400];
    if (text[0] != '+' && text[0] != '-' && text[0] != ':' && text[0] != '*' && text[0] != '$') {
        snprintf(bulk, sizeof(bulk), "$%zu\r\n%s", strlen(text), text);
        text = bulk;
    }
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderFeed(reader, "\r\n", 2), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &got), REDIS_OK);
    assert_non_null(got);
    enum login_result result = login_reply(l, got);
    freeReplyObject(got);
    redisReaderFree(reader);
    return result;
}

static struct redis_url url_of(const char *text) {
    struct redis_url url;
    char error[200];
    assert_int_equal(redis_url_parse(&url, text, error), 0);
    return url;
}

static void a_login_goes_step_by_step(void **state) {
    struct redis_url url = url_of("redis://u:p@h/7");
    struct login l = {.url = &url};
    (void)state;
    assert_int_equal(login_begin(&l, false), LOGIN_MORE);
    assert_string_equal(sent(&l), "AUTH SELECT");
    assert_int_equal(reply(&l, "+OK"), LOGIN_MORE);
    assert_string_equal(sent(&l), "");
    assert_int_equal(reply(&l, "+OK"), LOGIN_MORE);
    assert_string_equal(sent(&l), "ROLE");
    assert_int_equal(reply(&l, "*1\r\n$6\r\nmaster"), LOGIN_MORE);
    assert_string_equal(sent(&l), "INFO");
    assert_int_equal(reply(&l, info), LOGIN_MORE);
    assert_string_equal(sent(&l), "CLIENT"); /* ID alone: none was before */
    assert_int_equal(reply(&l, ":12"), LOGIN_DONE);
    assert_int_equal(l.client_id, 12);
    assert_int_equal(reply(&l, "+OK"), LOGIN_FAILED); /* nothing was asked */
    buf_deinit(&l.out);
}

static void the_connection_before_is_ended_on_the_same_server_only(void **state) {
    static const struct {
        const char *run_id, *sent;
    } rows[] = {{"0123456789012345678901234567890123456789", "CLIENT CLIENT"},
                {"9999999999999999999999999999999999999999", "CLIENT"}};
    struct redis_url url = url_of("redis://h");
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct login l = {.url = &url, .client_id = 5};
        strcpy(l.server.run_id, rows[i].run_id);
        assert_int_equal(login_begin(&l, false), LOGIN_MORE);
        assert_string_equal(sent(&l), "ROLE"); /* nothing to log in with */
        assert_int_equal(reply(&l, "*1\r\n$6\r\nmaster"), LOGIN_MORE);
        (void)sent(&l);
        assert_int_equal(reply(&l, info), LOGIN_MORE);
        assert_string_equal(sent(&l), rows[i].sent);
        buf_deinit(&l.out);
    }
}

static void errors_end_the_attempt_and_say_why(void **state) {
    static const struct {
        const char *url, *replies[REPLIES_MAX], *why;
    } rows[] = {
        {"redis://:p@h", {"-WRONGPASS no"}, "login: WRONGPASS no"},
        {"redis://h/9", {"-ERR DB index"}, "login: database 9 cannot be used: ERR DB index"},
        {"redis://h", {"*1\r\n$5\r\nslave"}, "this Redis is no master but a slave"},
        {"redis://h", {"*1\r\n$6\r\nmaster", "-NOPERM info"}, "login: NOPERM info"},
        {"redis://h",
         {"*1\r\n$6\r\nmaster",
          "there is nothing like the name of a run in all the lines of this long text"},
         "INFO server names no run_id"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct redis_url url = url_of(rows[i].url);
        struct login l = {.url = &url};
        enum login_result result = login_begin(&l, false);
        for (size_t k = 0; k < REPLIES_MAX && rows[i].replies[k] != NULL; k++) {
            assert_int_equal(result, LOGIN_MORE);
            result = reply(&l, rows[i].replies[k]);
        }
        assert_int_equal(result, LOGIN_FAILED);
        assert_string_equal(l.why, rows[i].why);
        buf_deinit(&l.out);
    }
}

static void a_sentinel_names_the_master(void **state) {
    static const struct {
        const char *reply;
        enum login_result result;
        const char *why;
    } rows[] = {
        {"*2\r\n$3\r\na.b\r\n$4\r\n6380", LOGIN_MASTER, ""},
        {"*-1", LOGIN_FAILED, "sentinel: no master is named m"},
        {"-NOAUTH", LOGIN_FAILED, "sentinel: NOAUTH"},
        {"*2\r\n$3\r\na.b\r\n$5\r\n65536", LOGIN_FAILED, "sentinel: the answer makes no sense"},
        {"*2\r\n$0\r\n\r\n$4\r\n6380", LOGIN_FAILED, "sentinel: the answer makes no sense"},
    };
    struct redis_url url = url_of("redis+sentinel://:p@s/m");
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct login l = {.url = &url};
        assert_int_equal(login_begin(&l, true), LOGIN_MORE);
        assert_string_equal(sent(&l), "AUTH SENTINEL");
        assert_int_equal(reply(&l, "-ERR no password is set"), LOGIN_MORE); /* no matter */
        assert_int_equal(reply(&l, rows[i].reply), rows[i].result);
        assert_string_equal(l.why, rows[i].why);
        if (rows[i].result == LOGIN_MASTER) {
            assert_string_equal(l.master.host, "a.b");
            assert_int_equal(l.master.port, 6380);
        }
        buf_deinit(&l.out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_goes_step_by_step),
        cmocka_unit_test(the_connection_before_is_ended_on_the_same_server_only),
        cmocka_unit_test(errors_end_the_attempt_and_say_why),
        cmocka_unit_test(a_sentinel_names_the_master)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
