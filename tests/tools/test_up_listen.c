/* test_up_listen.c - where the gateways of `up` listen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/app/registrations/registrations.h"
#include "tools/up_listen.h"

static void test_endpoints(void **state) {
    static struct tls_files first[] = {{.certificate = "/a b/c.pem"}};
    static struct tls_files second[] = {{.certificate = "c", .key = "k", .password = "p&q"}};
    static const struct {
        struct endpoint endpoint;
        int up_by;
        const char *url;
    } rows[] = {
        {{.address = "*", .port = 8091, .is_http = true, .is_ws = true}, 0, "http+ws://*:8091"},
        {{.address = "::1", .port = 80, .is_ws = true}, 2, "ws://[::1]:82"},
        {{.address = "10.0.0.1", .port = 0, .is_http = true, .is_tls = true, .tls = {first, 1}},
         1,
         "https://10.0.0.1:444?certificate=/a%20b/c.pem"},
        {{.address = "localhost",
          .port = 1,
          .is_http = true,
          .is_ws = true,
          .is_tls = true,
          .name = "N",
          .hostname = "h",
          .tls = {second, 1},
          .auto_upgrade = true},
         0,
         "https+wss://"
         "localhost:1?name=N&hostname=h&certificate=c&key=k&password=p%26q&auto_upgrade=true"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf url = {0};
        up_listen_of_endpoint(&rows[i].endpoint, rows[i].up_by, &url);
        assert_string_equal(url.ptr, rows[i].url);
        buf_deinit(&url);
    }
}

static void test_shifts(void **state) {
    static const struct {
        const char *url;
        int up_by;
        const char *shifted;
    } rows[] = {
        {"http+ws://127.0.0.1:9001", 0, "http+ws://127.0.0.1:9001"},
        {"http+ws://127.0.0.1:9001", 3, "http+ws://127.0.0.1:9004"},
        {"https+wss://[::]:9443?certificate=F&key=G:1", 1,
         "https+wss://[::]:9444?certificate=F&key=G:1"},
        {"ws://host", 1, "ws://host:81"},
        {"wss://[::1]/", 1, "wss://[::1]:444/"},
        {"http://h:65535", 0, "http://h:65535"},
        {"http://h:65535", 1, NULL},
        {"http://h:x", 0, NULL},
        {"http://:80", 0, NULL},
        {"h:80", 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf url = {0};
        int result = up_listen_shift(rows[i].url, rows[i].up_by, &url);
        assert_int_equal(result, rows[i].shifted != NULL ? 0 : -1);
        if (rows[i].shifted != NULL)
            assert_string_equal(url.ptr, rows[i].shifted);
        buf_deinit(&url);
    }
}

static void test_what_people_open(void **state) {
    static const char *const rows[][2] = {
        {"http+ws://*:8091", "http://localhost:8091/"},
        {"wss://[::]:9443?certificate=F", "wss://localhost:9443/"},
        {"https+wss://chat.example:443", "https://chat.example:443/"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf shown = {0};
        up_listen_show(rows[i][0], &shown);
        assert_string_equal(shown.ptr, rows[i][1]);
        buf_deinit(&shown);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_endpoints),
                                       cmocka_unit_test(test_shifts),
                                       cmocka_unit_test(test_what_people_open)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
