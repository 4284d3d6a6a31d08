/* test_publish.c - the reports of brokers and gateways about one message, read from texts. */
#include "common/bus/log/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void receipts_of_gateways(void **state) {
    static const struct {
        const char *text;
        bool is_fine;
    } rows[] = {{"gw 3 2 1 0", true},  {"gw 3 2 1 0 later versions say more", true},
                {"gw 3 2 1", false},   {" 3 2 1 0", false},
                {"", false},           {"gw 3 2 1 -1", false},
                {"gw 3 x 1 0", false}, {"gw  3 2 1 0", false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct receipt r = {0};
        struct bytes gateway;
        assert_int_equal(receipt_parse(bytes_str(rows[i].text), &gateway, &r), rows[i].is_fine);
        if (!rows[i].is_fine)
            continue;
        assert_true(bytes_equal_str(gateway, "gw"));
        assert_int_equal(r.matched, 3);
        assert_int_equal(r.written, 2);
        assert_int_equal(r.queued, 1);
        assert_int_equal(r.dropped, 0);
    }
}

static void ids_of_brokers(void **state) {
    struct message_id id;
    (void)state;
    assert_true(receipt_parse_id(BYTES_LIT("id 4-7"), &id));
    assert_true(id.term == 4 && id.seq == 7);
    assert_false(receipt_parse_id(BYTES_LIT("id 4"), &id));
    assert_false(receipt_parse_id(BYTES_LIT("gw 3 2 1 0"), &id));
    assert_false(receipt_parse_id(BYTES_LIT(""), &id));
}

static void outcomes(void **state) {
    static const struct {
        const char *text;
        bool is_fine;
        uint64_t number;
        int status;
        struct message_id id;
        const char *why;
    } rows[] = {
        {"7 202 4-9 ", true, 7, 202, {4, 9}, ""},
        {"7 202 - ", true, 7, 202, {0, 0}, ""},
        {"7 200 - ", true, 7, 200, {0, 0}, ""},
        {"0 599 - x", true, 0, 599, {0, 0}, "x"},
        {"18446744073709551615 403 - not allowed here",
         true,
         UINT64_MAX,
         403,
         {0, 0},
         "not allowed here"},
        {"", false, 0, 0, {0, 0}, NULL},
        {"x 202 - ", false, 0, 0, {0, 0}, NULL},
        {"7 199 - ", false, 0, 0, {0, 0}, NULL},
        {"7 600 - ", false, 0, 0, {0, 0}, NULL},
        {"7 202", false, 0, 0, {0, 0}, NULL},
        {"7 202 4", false, 0, 0, {0, 0}, NULL},
        {"id 4-7", false, 0, 0, {0, 0}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outcome o;
        if (outcome_parse(bytes_str(rows[i].text), &o) != rows[i].is_fine)
            fail_msg("%s", rows[i].text);
        if (!rows[i].is_fine)
            continue;
        assert_true(o.number == rows[i].number && o.status == rows[i].status);
        assert_int_equal(message_id_compare(o.id, rows[i].id), 0);
        assert_true(bytes_equal_str(o.text, rows[i].why));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes),
        cmocka_unit_test(receipts_of_gateways),
        cmocka_unit_test(ids_of_brokers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
