/* test_sse_codec.c - events as bytes, chunks, and what a Last-Event-ID says. */
#include "gateway/codec/sse_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/http/http_head.h"

static void events(void **state) {
    static const struct {
        struct sse_event event;
        const char *text;
    } cases[] = {
        {{.data = BYTES_LIT("hi")}, "data: hi\n\n"},
        {{.data = BYTES_NONE}, "data: \n\n"},
        {{.data = BYTES_LIT("")}, "data: \n\n"},
        {{.data = BYTES_LIT(" hi")}, "data:  hi\n\n"}, /* one blank is the field's */
        {{.data = BYTES_LIT("a\nb")}, "data: a\ndata: b\n\n"},
        {{.data = BYTES_LIT("a\rb")}, "data: a\ndata: b\n\n"},
        {{.data = BYTES_LIT("a\r\nb")}, "data: a\ndata: b\n\n"},
        {{.data = BYTES_LIT("a\n\rb")}, "data: a\ndata: \ndata: b\n\n"},
        {{.data = BYTES_LIT("a\r\r\nb")}, "data: a\ndata: \ndata: b\n\n"},
        {{.data = BYTES_LIT("a\n")}, "data: a\ndata: \n\n"},
        {{.data = BYTES_LIT("a\r")}, "data: a\ndata: \n\n"},
        {{.data = BYTES_LIT("a\r\n")}, "data: a\ndata: \n\n"},
        {{.data = BYTES_LIT("\n\n")}, "data: \ndata: \ndata: \n\n"},
        {{.data = BYTES_LIT("id: 9-9\nevent: close\n\ndata: x")},
         "data: id: 9-9\ndata: event: close\ndata: \ndata: data: x\n\n"}, /* nothing gets out */
        {{.data = BYTES_LIT("\xe2\x80\xa8")}, "data: \xe2\x80\xa8\n\n"},  /* no line end here */
        {{.id = BYTES_LIT("5-7"), .data = BYTES_LIT("x")}, "id: 5-7\ndata: x\n\n"},
        {{.type = "binary", .id = BYTES_LIT("5-7"), .data = BYTES_LIT("AP8=")},
         "event: binary\nid: 5-7\ndata: AP8=\n\n"},
        {{.type = "hello", .id = BYTES_LIT("1-0"), .retry_ms = 1500, .data = BYTES_LIT("{}")},
         "event: hello\nid: 1-0\nretry: 1500\ndata: {}\n\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        sse_append(&out, &cases[i].event);
        if (!bytes_equal_str(buf_bytes(&out), cases[i].text))
            fail_msg("%zu: %.*s", i, BYTES_FMT(buf_bytes(&out)));
        assert_int_equal(sse_event_len(buf_bytes(&out)), out.len);
        buf_append_str(&out, "data: next\n\n");
        assert_int_equal(sse_event_len(buf_bytes(&out)), out.len - 12);
        buf_deinit(&out);
    }
}

static void chunks(void **state) {
    static const struct {
        size_t len;
        const char *header;
    } cases[] = {{1, "1\r\n"}, {15, "f\r\n"}, {16, "10\r\n"}, {0xabcdef, "abcdef\r\n"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char header[SSE_CHUNK_HEADER_MAX];
        struct bytes got = bytes_of(header, sse_chunk_header(header, cases[i].len));
        assert_true(bytes_equal_str(got, cases[i].header));
        assert_int_equal(sse_chunk_len(got), got.len + cases[i].len + 2);
    }
    char header[SSE_CHUNK_HEADER_MAX];
    assert_int_equal(sse_chunk_header(header, SIZE_MAX), SSE_CHUNK_HEADER_MAX);
}

static void assert_resume(const char *fields, enum sse_resume expected, const char *id) {
    struct buf text = {0};
    struct http_head head;
    struct bytes got;
    int status;
    const char *reason;
    buf_printf(&text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
    assert_int_equal(http_head_parse(buf_bytes(&text), 8192, &head, &status, &reason), PARSE_OK);
    if (sse_resume(&head, &got) != expected || (id != NULL && !bytes_equal_str(got, id)))
        fail_msg("%s", fields);
    buf_deinit(&text);
}

static void last_event_ids(void **state) {
    static const struct {
        const char *fields;
        enum sse_resume resume;
        const char *id;
    } cases[] = {
        {"", SSE_RESUME_NONE, NULL},
        {"Last-Event-ID:\r\n", SSE_RESUME_NONE, NULL}, /* an empty id: clears it */
        {"Last-Event-ID: 5-7\r\n", SSE_RESUME_FROM, "5-7"},
        {"last-event-id:  5-7 \r\n", SSE_RESUME_FROM, "5-7"},
        {"Last-Event-ID: nonsense\r\n", SSE_RESUME_FROM, "nonsense"},
        {"Last-Event-ID: 5-7!end\r\n", SSE_RESUME_END, NULL},
        {"Last-Event-ID: !end\r\n", SSE_RESUME_END, NULL},
        {"Last-Event-ID: 5-7!END\r\n", SSE_RESUME_FROM, "5-7!END"},
        {"Last-Event-ID: 5-7!end2\r\n", SSE_RESUME_FROM, "5-7!end2"},
        {"Last-Event-ID: 5-7\r\nLast-Event-ID: 5-7\r\n", SSE_RESUME_BAD, NULL},
        {"Last-Event-ID: 5-7\r\nlast-event-id: !end\r\n", SSE_RESUME_BAD, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_resume(cases[i].fields, cases[i].resume, cases[i].id);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(events), cmocka_unit_test(chunks),
                                       cmocka_unit_test(last_event_ids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
