/* Messages as JSON for operators: which members there are, and JSON whatever Redis says. */
#include "common/admin/message_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/bus/log/retained.h"
#include "common/json/json_check.h"

#define HEAD "{\"time\":\"1970-01-01T00:00:00.007Z\",\"id\":\"5-1\",\"name\":\"N\""

static void members(void **state) {
    struct bytes two[] = {BYTES_LIT("a"), BYTES_LIT("b\"")};
    const struct {
        struct message m;
        const char *json;
    } rows[] = {
        {{.data = BYTES_LIT("x")}, HEAD ",\"data\":\"x\"}"},
        {{.data = BYTES_LIT("[1]")}, HEAD ",\"data\":\"[1]\"}"},
        {{.data = BYTES_LIT("[1]"), .flags = FLAG_JSON}, HEAD ",\"data\":[1]}"},
        {{.data = BYTES_LIT("[1"), .flags = FLAG_JSON}, HEAD ",\"data\":\"[1\"}"},
        {{.data = BYTES_LIT("\xff"), .flags = FLAG_JSON}, HEAD ",\"dataHex\":\"ff\"}"},
        {{.data = BYTES_LIT("\xff\x01"), .flags = FLAG_BINARY},
         HEAD ",\"binary\":true,\"dataHex\":\"ff01\"}"},
        {{.data = BYTES_LIT("x"), .to_groups = {two, 2}, .to_clients = {two, 1}},
         HEAD ",\"group\":[\"a\",\"b\\\"\"],\"clientId\":[\"a\"],\"data\":\"x\"}"},
        {{.data = BYTES_LIT("x"), .to_conn = BYTES_LIT("v"), .from = BYTES_LIT("f")},
         HEAD ",\"connection\":\"v\",\"from\":\"f\",\"data\":\"x\"}"},
        {{.data = BYTES_LIT("x"), .from = BYTES_LIT("token"), .flags = FLAG_RECEIPT},
         HEAD ",\"data\":\"x\"}"},
        {{.data = BYTES_LIT("x"), .flags = FLAG_UNCOMPRESSED},
         HEAD ",\"compress\":false,\"data\":\"x\"}"},
        {{.kind = MESSAGE_CLOSE, .data = BYTES_LIT("\x0f\xa7why")},
         HEAD ",\"close\":4007,\"reason\":\"why\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct message m = rows[i].m;
        struct buf out = {0};
        m.kind = m.kind == MESSAGE_CLOSE ? MESSAGE_CLOSE : MESSAGE_DATA;
        m.id = (struct message_id){5, 1};
        m.ts_ms = 7;
        message_json_append(&out, BYTES_LIT("N"), &m);
        assert_true(json_check(buf_bytes(&out), NULL));
        if (!bytes_equal_str(buf_bytes(&out), rows[i].json))
            fail_msg("%s: %.*s", rows[i].json, BYTES_FMT(buf_bytes(&out)));
        buf_deinit(&out);
    }
}

static void a_page(void **state) {
    struct message two[] = {{.id = {5, 1}, .ts_ms = 7, .kind = MESSAGE_DATA},
                            {.id = {5, 1}, .ts_ms = 7, .kind = MESSAGE_DATA, .is_to_every = true}};
    struct retained_page page = {.messages = two, .count = 2, .next = {4, 9}};
    struct buf out = {0};
    (void)state;
    message_json_append_page(&out, BYTES_LIT("N"), &page);
    assert_true(bytes_equal_str(
        buf_bytes(&out), "{\"messages\":[" HEAD ",\"data\":\"\"},"
                         "{\"time\":\"1970-01-01T00:00:00.007Z\",\"id\":\"5-1\",\"name\":\"*\","
                         "\"data\":\"\"}],\"before\":\"4-9\"}"));
    buf_clear(&out);
    page = (struct retained_page){0};
    message_json_append_page(&out, BYTES_LIT("N"), &page);
    assert_true(bytes_equal_str(buf_bytes(&out), "{\"messages\":[],\"before\":null}"));
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(members), cmocka_unit_test(a_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
