/* test_http_accept.c - which Accept fields name a media type. */
#include "common/http/http_accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/http/http_head.h"

static bool accepts(const char *fields) {
    struct buf text = {0};
    struct http_head head;
    int status;
    const char *reason;
    buf_printf(&text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
    assert_int_equal(http_head_parse(buf_bytes(&text), 8192, &head, &status, &reason), PARSE_OK);
    bool is_it = http_accepts(&head, "text/event-stream");
    buf_deinit(&text);
    return is_it;
}

static void fields_that_name_it(void **state) {
    static const char *const cases[] = {
        "Accept: text/event-stream\r\n",
        "accept: TEXT/Event-Stream\r\n",
        "Accept: text/html, text/event-stream\r\n",
        "Accept: text/html,text/event-stream;q=0.1,*/*;q=0.8\r\n",
        "Accept:   text/event-stream  ;  q = 1.000  \r\n",
        "Accept: text/event-stream;Q=0.001\r\n",
        "Accept: text/event-stream;q=1\r\n",
        "Accept: text/event-stream;q=1.\r\n",
        "Accept: text/event-stream;charset=utf-8;q=0.5\r\n",
        "Accept: text/event-stream; note=\"a;q=0,b\"\r\n",
        "Accept: text/html\r\nAccept: text/event-stream\r\n",
        "Accept: text/event-stream;q=0, text/event-stream\r\n",
        "Accept: ,, text/event-stream ,\r\n",
        "Accept: text/html;x=\"\\\"\", text/event-stream\r\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (!accepts(cases[i]))
            fail_msg("%s", cases[i]);
}

static void fields_that_do_not(void **state) {
    static const char *const cases[] = {
        "",
        "Accept:\r\n",
        "Accept: */*\r\n",
        "Accept: text/*\r\n",
        "Accept: text/html\r\n",
        "Accept: text/event-streams\r\n",
        "Accept: text/event-stream;q=0\r\n",
        "Accept: text/event-stream;q=0.000\r\n",
        "Accept: text/event-stream;q=\r\n",
        "Accept: text/event-stream;q=2\r\n",
        "Accept: text/event-stream;q=1.001\r\n",
        "Accept: text/event-stream;q=0.1234\r\n",
        "Accept: text/event-stream;q=.5\r\n",
        "Accept: text/event-stream;q=-1\r\n",
        "Accept: text/event-stream;q=0.5x\r\n",
        "Accept: text/event-stream;q=\"1\"\r\n",
        "Accept: text/html;x=\"a, text/event-stream\"\r\n",
        "Accept: text/html;x=\"a\\\", text/event-stream\"\r\n",
        "Accept: text/html;x=\", text/event-stream\r\n", /* the quotes never end */
        "Accept: text/html text/event-stream\r\n",
        "X-Accept: text/event-stream\r\n",
        "Content-Type: text/event-stream\r\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (accepts(cases[i]))
            fail_msg("%s", cases[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_that_name_it),
                                       cmocka_unit_test(fields_that_do_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
