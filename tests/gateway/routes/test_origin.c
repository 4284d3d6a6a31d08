/* test_origin.c - which pages may open a WebSocket. */
#include "gateway/routes/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/app/registrations/registrations.h"
#include "common/base/log.h"
#include "common/http/http_head.h"
#include "gateway/conn/endpoints.h"

/* fields: what stands after the request line, each line with its end. */
static bool is_allowed_by(bool is_secure, const char *fields, char **origins, size_t count) {
    struct endpoint_run items[] = {{.at.port = 8090}, {.at.port = 8443, .at.is_tls = true}};
    struct endpoints endpoints = {items, 2};
    struct registrations registrations = {.origins = {origins, count}};
    struct http_head head;
    const char *reason;
    char text[512];
    int status;
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", fields);
    assert_int_equal(http_head_parse(bytes_str(text), sizeof(text), &head, &status, &reason),
                     PARSE_OK);
    struct origin_request asked = {.head = &head, .host = head.host, .is_secure = is_secure};
    return origin_is_allowed(&asked, &registrations, &endpoints);
}

static bool is_allowed(const char *fields, char **origins, size_t count) {
    return is_allowed_by(false, fields, origins, count);
}

static void without_a_list_the_page_is_from_here(void **state) {
    static const struct {
        const char *fields;
        bool is_allowed;
    } cases[] = {
        {"Host: h\r\n", true}, /* no browser */
        {"Host: h\r\nOrigin: http://h\r\n", true},
        {"Host: h\r\nOrigin: http://other\r\n", false},
        {"Host: h:8081\r\nOrigin: http://h:8081\r\n", true},
        {"Host: h:8081\r\nOrigin: http://h:8090\r\n", true},   /* an endpoint of the app */
        {"Host: h:8081\r\nOrigin: https://h:8090\r\n", false}, /* that is not TLS */
        {"Host: h:8081\r\nOrigin: https://h:8443\r\n", true},
        {"Host: h:8081\r\nOrigin: http://h:8443\r\n", false},
        {"Host: h:8081\r\nOrigin: http://h:8091\r\n", false}, /* somebody else's port */
        {"Host: h:8081\r\nOrigin: http://other:8090\r\n", false},
        {"Host: h\r\nOrigin: null\r\n", false},
        {"Host: h\r\nOrigin: http://h\r\nOrigin: http://h\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (is_allowed(cases[i].fields, NULL, 0) != cases[i].is_allowed)
            fail_msg("%s", cases[i].fields);
}

static void the_page_has_the_scheme_of_the_request(void **state) {
    static const struct {
        const char *fields;
        bool if_plain, if_secure;
    } cases[] = {
        {"Host: h\r\nOrigin: http://h\r\n", true, false},
        {"Host: h\r\nOrigin: https://h\r\n", false, true},
        {"Host: h:443\r\nOrigin: https://h\r\n", false, true},
        {"Host: h:80\r\nOrigin: https://h\r\n", false, false},
        {"Host: h:8081\r\nOrigin: http://h:8081\r\n", true, false},
        {"Host: h:8081\r\nOrigin: https://h:8081\r\n", false, true},
        {"Host: h:8443\r\nOrigin: https://h:8443\r\n", true, true}, /* an endpoint of the app */
        {"Host: h:8443\r\nOrigin: ftp://h:8443\r\n", false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (is_allowed_by(false, cases[i].fields, NULL, 0) != cases[i].if_plain ||
            is_allowed_by(true, cases[i].fields, NULL, 0) != cases[i].if_secure)
            fail_msg("%s", cases[i].fields);
}

static void a_list_names_all_that_may(void **state) {
    char *listed[] = {"https://chat.example", "http://h:1"};
    (void)state;
    assert_true(is_allowed("Host: h\r\nOrigin: HTTPS://Chat.Example:443\r\n", listed, 2));
    assert_true(is_allowed("Host: x\r\nOrigin: http://h:1\r\n", listed, 2));
    assert_false(is_allowed("Host: h\r\nOrigin: http://h\r\n", listed, 2)); /* not even its own */
    assert_false(is_allowed("Host: h\r\nOrigin: null\r\n", listed, 2));
    assert_true(is_allowed("Host: h\r\n", listed, 2));
}

static void a_star_allows_any(void **state) {
    char *listed[] = {"*"};
    (void)state;
    assert_true(is_allowed("Host: h\r\nOrigin: http://other\r\n", listed, 1));
    assert_true(is_allowed("Host: h\r\nOrigin: null\r\n", listed, 1));
    assert_false(is_allowed("Host: h\r\nOrigin: http://a\r\nOrigin: http://a\r\n", listed, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_list_the_page_is_from_here),
        cmocka_unit_test(the_page_has_the_scheme_of_the_request),
        cmocka_unit_test(a_list_names_all_that_may),
        cmocka_unit_test(a_star_allows_any),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
