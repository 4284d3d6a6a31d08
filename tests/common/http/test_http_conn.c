/* What an HTTP connection does with the bytes of its peer, without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/must.h"
#include "common/http/http_conn.h"

enum { MAX_HEAD = 512, MAX_BODY = 100 };

/* An owner that keeps a record: "run GET /a;", "end;" … */
struct owner {
    struct http_conn http;
    struct buf record;
    bool answers_at_once, keeps_alive, is_full;
    bool leaves; /* its next request becomes something else */
};

static struct owner *owner_of(const struct http_conn *h) {
    return container_of(h, struct owner, http);
}

static void note(struct http_conn *h, const char *what) {
    buf_append_str(&owner_of(h)->record, what);
}

static bool run(struct http_conn *h) {
    struct owner *o = owner_of(h);
    struct buf raw;
    struct http_head head;
    struct bytes body;
    http_conn_take(h, &raw, &head, &body);
    buf_printf(&o->record, "run %.*s %.*s", (int)head.method.len, head.method.ptr,
               (int)head.path.len, head.path.ptr);
    if (body.len > 0)
        buf_printf(&o->record, " %.*s", (int)body.len, body.ptr);
    note(h, ";");
    buf_deinit(&raw);
    if (o->leaves) {
        struct buf rest = http_conn_leave(h);
        buf_printf(&o->record, "left %.*s;", (int)rest.len, rest.len > 0 ? rest.ptr : "");
        buf_deinit(&rest);
        return false;
    }
    if (o->answers_at_once)
        http_conn_settle(h, o->keeps_alive && head.wants_keep_alive, 0);
    return true;
}

static void say_continue(struct http_conn *h) {
    note(h, "continue;");
}

static void refuse(struct http_conn *h, int status, const char *reason) {
    assert_true(*reason != '\0');
    buf_printf(&owner_of(h)->record, "%d;", status);
}

static void end(struct http_conn *h) {
    note(h, "end;");
}

static bool is_full(const struct http_conn *h) {
    return owner_of(h)->is_full;
}

static void rest(struct http_conn *h) {
    note(h, "rest;");
}

static void pause_reading(struct http_conn *h) {
    note(h, "pause;");
}

static void resume_reading(struct http_conn *h) {
    (void)h;
}

static const struct http_conn_events events = {
    .run = run,
    .say_continue = say_continue,
    .refuse = refuse,
    .end = end,
    .is_full = is_full,
    .rest = rest,
    .pause = pause_reading,
    .resume = resume_reading,
};

static void begin(struct owner *o) {
    *o = (struct owner){.answers_at_once = true, .keeps_alive = true};
    http_conn_init(&o->http, &events, MAX_HEAD, MAX_BODY, 0);
}

static void finish(struct owner *o) {
    http_conn_deinit(&o->http);
    buf_deinit(&o->record);
}

static void feed(struct owner *o, const char *text) {
    http_conn_feed(&o->http, bytes_str(text));
}

/* What was recorded since the last call. */
static void expect(struct owner *o, const char *record) {
    buf_append_char(&o->record, '\0');
    assert_string_equal(o->record.ptr, record);
    buf_clear(&o->record);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void whole_requests_run_however_they_are_cut(void **state) {
    (void)state;
    static const struct {
        const char *text, *record;
    } cases[] = {
        {GET("/a"), "run GET /a;"},
        {GET("/a") GET("/b"), "run GET /a;run GET /b;"},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz" GET("/b"),
         "run POST /a xyz;run GET /b;"},
        {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n" GET("/b"),
         "run POST /a xyz;run GET /b;"},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "run POST /a;"},
        {"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/b"), "run GET /a;end;"},
        {"GET /a HTTP/1.0\r\n\r\n", "run GET /a;end;"},
        {"GET /a\r\n\r\n", "400;end;"},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n", "413;end;"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].text);
        for (size_t step = 1; step <= len; step++) {
            struct owner o;
            begin(&o);
            for (size_t at = 0; at < len; at += step)
                http_conn_feed(&o.http,
                               bytes_of(cases[i].text + at, len - at < step ? len - at : step));
            expect(&o, cases[i].record);
            finish(&o);
        }
    }
}

static void body_of_the_bound_is_taken_and_one_more_is_not(void **state) {
    (void)state;
    for (int extra = 0; extra <= 1; extra++) {
        struct owner o;
        begin(&o);
        char body[MAX_BODY + 2] = {0}, text[400];
        memset(body, 'x', (size_t)(MAX_BODY + extra));
        snprintf(text, sizeof(text),
                 "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
                 MAX_BODY + extra, body);
        feed(&o, text);
        assert_int_equal(o.http.state, extra == 0 ? HTTP_HEAD : HTTP_ENDING);
        finish(&o);
    }
}

static void continue_is_said_once_and_only_when_the_body_is_awaited(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    feed(&o, "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect(&o, "continue;");
    feed(&o, "x");
    expect(&o, "");
    feed(&o, "y");
    expect(&o, "run POST /a xy;");
    feed(&o, "POST /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nz");
    expect(&o, "run POST /b z;");
    finish(&o);
}

static void next_request_waits_for_the_answer(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    o.answers_at_once = false;
    feed(&o, GET("/a") GET("/b"));
    expect(&o, "run GET /a;");
    http_conn_settle(&o.http, true, 1);
    expect(&o, "run GET /b;");
    http_conn_settle(&o.http, false, 2);
    expect(&o, "end;");
    feed(&o, GET("/c"));
    expect(&o, "");
    finish(&o);
}

static void reading_pauses_beyond_the_pipeline_s_bound(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    o.answers_at_once = false;
    feed(&o, GET("/a"));
    expect(&o, "run GET /a;");
    char *text = mem_zalloc(HTTP_PIPELINE_MAX);
    memset(text, 'x', HTTP_PIPELINE_MAX);
    http_conn_feed(&o.http, bytes_of(text, HTTP_PIPELINE_MAX));
    expect(&o, "");
    feed(&o, "x");
    expect(&o, "pause;");
    free(text);
    finish(&o);
}

static void others_get_their_turn_after_so_many_requests(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    struct buf text = {0};
    for (int i = 0; i < HTTP_TURN_REQUESTS; i++)
        buf_append_str(&text, GET("/a"));
    http_conn_feed(&o.http, buf_bytes(&text));
    assert_int_equal(o.http.state, HTTP_HEAD);
    buf_append_str(&text, GET("/last"));
    buf_clear(&o.record);
    http_conn_feed(&o.http, buf_bytes(&text));
    assert_int_equal(o.http.state, HTTP_RESTING);
    buf_clear(&o.record);
    http_conn_on_end(&o.http);
    expect(&o, "");
    http_conn_rested(&o.http);
    expect(&o, "run GET /last;end;");
    buf_deinit(&text);
    finish(&o);
}

static void peer_that_does_not_read_is_not_served_until_it_does(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    o.is_full = true;
    feed(&o, GET("/a"));
    expect(&o, "pause;");
    o.is_full = false;
    http_conn_drained(&o.http, 5);
    expect(&o, "run GET /a;");
    finish(&o);
}

static void half_closed_peer_still_gets_its_answers(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    o.answers_at_once = false;
    feed(&o, GET("/a") GET("/b"));
    http_conn_on_end(&o.http);
    expect(&o, "run GET /a;");
    http_conn_settle(&o.http, true, 1);
    expect(&o, "run GET /b;");
    http_conn_settle(&o.http, true, 2);
    expect(&o, "end;");
    finish(&o);
}

static void request_that_becomes_something_else_takes_the_rest_along(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    o.leaves = true;
    feed(&o, GET("/ws") "frames");
    expect(&o, "run GET /ws;left frames;");
    finish(&o);
}

static void late_requests_end(void **state) {
    (void)state;
    static const char body_head[] = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx";
    static const struct {
        const char *before, *text;
        uint64_t now_ms, heard_ms;
        const char *record;
    } cases[] = {
        {"", "", 99, 0, ""},
        {"", "", 100, 0, "408;end;"},           /* never asked anything */
        {"", "GET /a", 100, 99, "408;end;"},    /* a head has no more, though bytes come */
        {GET("/a"), "", 100, 0, "end;"},        /* a 408 could be taken for the next answer */
        {GET("/a"), "GET", 100, 0, "408;end;"}, /* not in the middle of a request */
        {"", body_head, 100, 1, ""},            /* bytes of the body came lately */
        {"", body_head, 101, 1, "408;end;"},    /* none for as long as the limit */
        {"", body_head, 200, 199, "408;end;"},  /* too few for this time */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct owner o;
        begin(&o);
        feed(&o, cases[i].before);
        feed(&o, cases[i].text);
        buf_clear(&o.record);
        http_conn_check(&o.http, cases[i].now_ms, cases[i].heard_ms, 100);
        expect(&o, cases[i].record);
        finish(&o);
    }
}

/* What was put off comes in its turn, and reading goes on after each answer. */
static void time_that_was_not_read_does_not_count(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    feed(&o, "GET");
    http_conn_unread(&o.http, 50);
    http_conn_check(&o.http, 149, 0, 100);
    expect(&o, "");
    http_conn_check(&o.http, 150, 0, 100);
    expect(&o, "408;end;");
    finish(&o);
    begin(&o);
    o.is_full = true;
    feed(&o, GET("/a"));
    expect(&o, "pause;");
    http_conn_check(&o.http, 1000, 0, 100); /* it waits for the peer, not for its request */
    expect(&o, "");
    o.is_full = false;
    http_conn_drained(&o.http, 1000);
    expect(&o, "run GET /a;");
    http_conn_drained(&o.http, 1010);
    http_conn_check(&o.http, 1109, 0, 100);
    expect(&o, "");
    http_conn_check(&o.http, 1110, 0, 100);
    expect(&o, "end;");
    finish(&o);
}

static void only_what_is_read_can_be_given_up(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    o.answers_at_once = false;
    feed(&o, GET("/a"));
    expect(&o, "run GET /a;");
    http_conn_give_up(&o.http, 503, "busy");
    http_conn_rested(&o.http);
    expect(&o, "");
    http_conn_settle(&o.http, true, 1);
    http_conn_give_up(&o.http, 503, "busy");
    expect(&o, "503;end;");
    http_conn_give_up(&o.http, 503, "busy");
    feed(&o, GET("/b"));
    expect(&o, "");
    finish(&o);
}

static void only_an_idle_connection_can_be_ended(void **state) {
    (void)state;
    struct owner o;
    begin(&o);
    o.answers_at_once = false;
    feed(&o, GET("/a"));
    assert_false(http_conn_end_idle(&o.http));
    http_conn_settle(&o.http, true, 1);
    assert_true(http_conn_end_idle(&o.http));
    assert_false(http_conn_end_idle(&o.http));
    finish(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_requests_run_however_they_are_cut),
        cmocka_unit_test(body_of_the_bound_is_taken_and_one_more_is_not),
        cmocka_unit_test(continue_is_said_once_and_only_when_the_body_is_awaited),
        cmocka_unit_test(next_request_waits_for_the_answer),
        cmocka_unit_test(reading_pauses_beyond_the_pipeline_s_bound),
        cmocka_unit_test(others_get_their_turn_after_so_many_requests),
        cmocka_unit_test(peer_that_does_not_read_is_not_served_until_it_does),
        cmocka_unit_test(half_closed_peer_still_gets_its_answers),
        cmocka_unit_test(request_that_becomes_something_else_takes_the_rest_along),
        cmocka_unit_test(late_requests_end),
        cmocka_unit_test(time_that_was_not_read_does_not_count),
        cmocka_unit_test(only_what_is_read_can_be_given_up),
        cmocka_unit_test(only_an_idle_connection_can_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
