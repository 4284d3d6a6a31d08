/* test_delivery.c - the bounds of data, the split over partitions, and a close on its way. */
#include "common/send/delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/bus/partition.h"
#include "common/send/levels.h"

enum { PARTITIONS = 64, MAX_BYTES = 8 };

static void assert_text(const char *want, struct buf *got) {
    buf_append_char(got, '\0');
    assert_string_equal(got->ptr, want);
    buf_deinit(got);
}

static void data_has_bounds(void **state) {
    static const struct {
        const char *data;
        bool is_binary;
        const char *fault; /* "" when it may be sent */
    } cases[] = {
        {"", false, ""},
        {"12345678", false, ""},
        {"123456789", false, "data: has 9 bytes, more than 8 (--max-message-bytes)"},
        {"123456789", true, "data: has 9 bytes, more than 8 (--max-message-bytes)"},
        {"\xc3\xa4", false, ""},
        {"\xc3", false, "data: is not valid UTF-8; send it as binary"},
        {"\xc3", true, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf why = {0};
        bool is_fine =
            delivery_check_data(bytes_str(cases[i].data), cases[i].is_binary, MAX_BYTES, &why);
        assert_int_equal(is_fine, *cases[i].fault == '\0');
        assert_text(cases[i].fault, &why);
    }
}

static void levels_concern_data_for_somebody(void **state) {
    struct bytes one = BYTES_LIT("n");
    struct bytes_list some = {&one, 1}, none = {&one, 0};
    struct levels *levels = levels_new();
    struct delivery d = {.kind = MESSAGE_DATA, .names = some};
    (void)state;
    levels_set(levels, LEVEL_FROM_APP, BYTES_LIT("n"), LEVEL_GROUP);
    assert_false(delivery_is_allowed(&d, levels, NULL));
    d.groups = some;
    assert_true(delivery_is_allowed(&d, levels, NULL));
    d.groups = (struct bytes_list){0};
    d.kind = MESSAGE_CLOSE;
    assert_true(delivery_is_allowed(&d, levels, NULL));
    d.kind = MESSAGE_DATA;
    d.clients = none;
    assert_true(delivery_is_allowed(&d, levels, NULL));
    levels_free(levels);
}

/* --- the split --- */

struct seen {
    unsigned partitions[PARTITIONS];
    size_t count, names;
};

static void see_share(void *ctx, unsigned partition, struct bytes_list names, struct bytes text) {
    struct seen *seen = ctx;
    struct entry e;
    assert_true(partition < PARTITIONS);
    seen->partitions[partition]++;
    seen->count++;
    assert_int_equal(entry_decode(text, &e), PARSE_OK);
    assert_int_equal(e.kind, ENTRY_SEND);
    assert_int_equal(e.flags, FLAG_CHECKED | FLAG_JSON | (names.count == 0 ? FLAG_EVERY : 0));
    assert_int_equal(e.names.count, names.count);
    for (size_t i = 0; i < names.count; i++, seen->names++) {
        assert_int_equal(partition_of(names.items[i], PARTITIONS), partition);
        assert_true(bytes_equal(e.names.items[i], names.items[i]));
    }
    struct delivery d = delivery_of_entry(&e);
    assert_int_equal(d.kind, MESSAGE_DATA);
    assert_int_equal(d.ts_ms, 7);
    assert_int_equal(d.flags, FLAG_JSON);
    assert_true(bytes_equal_str(d.from, "me") && bytes_equal_str(d.data, "{}"));
    assert_false(bytes_list_is_given(d.clients));
    assert_int_equal(d.groups.count, 1);
    entry_free(&e);
}

static struct seen split(struct bytes_list names, struct bytes_list groups) {
    struct seen seen = {0};
    struct delivery d = {.kind = MESSAGE_DATA,
                         .ts_ms = 7,
                         .names = names,
                         .groups = groups,
                         .from = BYTES_LIT("me"),
                         .flags = FLAG_JSON,
                         .data = BYTES_LIT("{}")};
    delivery_split(&d, PARTITIONS, see_share, &seen);
    return seen;
}

static void names_go_to_their_partitions(void **state) {
    enum { NAMES = 300 };
    static char texts[NAMES][8];
    static struct bytes names[2 * NAMES];
    struct bytes group = BYTES_LIT("g");
    bool wants[PARTITIONS] = {false};
    size_t partitions = 0;
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        snprintf(texts[i], sizeof(texts[i]), "n%d", i);
        names[i] = names[NAMES + i] = bytes_str(texts[i]); /* each is given twice */
        bool *wanted = &wants[partition_of(names[i], PARTITIONS)];
        partitions += !*wanted;
        *wanted = true;
    }
    struct seen seen = split((struct bytes_list){names, 2 * NAMES}, (struct bytes_list){&group, 1});
    assert_int_equal(seen.count, partitions);
    assert_int_equal(seen.names, NAMES);
    for (unsigned p = 0; p < PARTITIONS; p++)
        assert_int_equal(seen.partitions[p], wants[p]);
}

static void every_name_is_every_partition(void **state) {
    struct bytes group = BYTES_LIT("g");
    struct seen seen = split((struct bytes_list){0}, (struct bytes_list){&group, 1});
    (void)state;
    assert_int_equal(seen.count, PARTITIONS);
    for (unsigned p = 0; p < PARTITIONS; p++)
        assert_int_equal(seen.partitions[p], 1);
}

static void an_empty_list_is_nobody(void **state) {
    struct bytes one = BYTES_LIT("x");
    struct bytes_list some = {&one, 1}, none = {&one, 0};
    (void)state;
    assert_int_equal(split(none, some).count, 0);
    assert_int_equal(split(some, none).count, 0);
    assert_int_equal(split((struct bytes_list){0}, none).count, 0);
}

static void one_connection_has_its_entry(void **state) {
    struct recipient to = {BYTES_LIT("n"), BYTES_LIT("gid:1:2|")};
    struct delivery d = {.kind = MESSAGE_CLOSE, .data = BYTES_LIT("why"), .code = 4000};
    struct buf text = {0};
    struct entry e;
    (void)state;
    delivery_encode_to_one(&text, &to, &d);
    assert_int_equal(entry_decode(buf_bytes(&text), &e), PARSE_OK);
    assert_int_equal(e.kind, ENTRY_CLOSE);
    assert_int_equal(e.flags, FLAG_CHECKED);
    assert_true(bytes_equal(e.name, to.name) && bytes_equal(e.conn, to.conn));
    d = delivery_of_entry(&e);
    assert_int_equal(d.kind, MESSAGE_CLOSE);
    assert_int_equal(d.code, 4000);
    assert_true(bytes_equal_str(d.data, "why"));
    entry_free(&e);
    buf_deinit(&text);
}

/* --- a close --- */

static void a_close_comes_through(void **state) {
    static const struct {
        int code;
        size_t bytes; /* of the reason */
        size_t kept;
    } cases[] = {{1000, 0, 0}, {4999, 1, 1}, {3000, 122, 122}, {4321, 123, 123}, {1001, 124, 123}};
    char reason[124], room[DELIVERY_CLOSE_MAX];
    (void)state;
    memset(reason, 'r', sizeof(reason));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery d = {
            .kind = MESSAGE_CLOSE, .data = bytes_of(reason, cases[i].bytes), .code = cases[i].code};
        struct message m = delivery_message(&d, room);
        struct bytes got;
        assert_int_equal(m.kind, MESSAGE_CLOSE);
        assert_int_equal(delivery_read_close(&m, &got), cases[i].code);
        assert_true(bytes_equal(got, bytes_of(reason, cases[i].kept)));
    }
}

static void a_close_is_cut_between_characters(void **state) {
    char reason[125], room[DELIVERY_CLOSE_MAX];
    struct delivery d = {.kind = MESSAGE_CLOSE, .code = 4000};
    struct bytes got;
    (void)state;
    memset(reason, 'r', 122);
    memcpy(reason + 122, "\xe2\x82\xac", 3);
    d.data = bytes_of(reason, sizeof(reason));
    struct message m = delivery_message(&d, room);
    (void)delivery_read_close(&m, &got);
    assert_int_equal(got.len, 122);
}

static void a_close_without_a_code_is_normal(void **state) {
    struct bytes got;
    (void)state;
    for (size_t len = 0; len < 2; len++) {
        struct message m = {.kind = MESSAGE_CLOSE, .data = bytes_of("\x10", len)};
        assert_int_equal(delivery_read_close(&m, &got), 1000);
        assert_int_equal(got.len, 0);
    }
}

static void a_close_has_bounds(void **state) {
    static const struct {
        int64_t code;
        int letters;
        const char *fault;
    } rows[] = {
        {1000, 123, ""},
        {1000, 124, "reason: has more than 123 bytes"},
        {1001, 0, ""},
        {1002, 0, "code: must be 1000, 1001, or 3000 to 4999"},
        {999, 0, "code: must be 1000, 1001, or 3000 to 4999"},
        {2999, 0, "code: must be 1000, 1001, or 3000 to 4999"},
        {3000, 0, ""},
        {4999, 0, ""},
        {5000, 124, "code: must be 1000, 1001, or 3000 to 4999"},
        {-1, 0, "code: must be 1000, 1001, or 3000 to 4999"},
    };
    char reason[200];
    (void)state;
    memset(reason, 'r', sizeof(reason));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf why = {0};
        bool is_fine =
            delivery_check_close(rows[i].code, bytes_of(reason, (size_t)rows[i].letters), &why);
        assert_int_equal(is_fine, *rows[i].fault == '\0');
        assert_text(rows[i].fault, &why);
    }
    struct buf why = {0};
    assert_false(delivery_check_close(1000, BYTES_LIT("\xff"), &why));
    assert_text("reason: is not valid UTF-8", &why);
}

/* Those of the data stay with it; the others are the entry's own. */
static void flags_of_an_entry(void **state) {
    static const struct {
        unsigned entry, delivery;
    } rows[] = {
        {0, 0},
        {FLAG_BINARY, FLAG_BINARY},
        {FLAG_JSON | FLAG_CHECKED, FLAG_JSON},
        {FLAG_RECEIPT | FLAG_EVERY, FLAG_RECEIPT},
        {FLAG_V1 | FLAG_EVERY | FLAG_CHECKED, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char room[DELIVERY_CLOSE_MAX];
        struct entry e = {.kind = ENTRY_SEND, .flags = rows[i].entry};
        struct delivery d = delivery_of_entry(&e);
        assert_int_equal(d.flags, rows[i].delivery);
        d.flags = rows[i].entry;
        assert_int_equal(delivery_message(&d, room).flags, rows[i].delivery);
    }
}

/* Whatever lies in a log: a code that may be sent, or none at all. */
static void codes_of_a_close(void **state) {
    static const struct {
        struct bytes data;
        int code;
        const char *reason;
    } rows[] = {
        {BYTES_LIT(""), 1000, ""},          {BYTES_LIT("\x03"), 1000, ""},
        {BYTES_LIT("\x03\xe8"), 1000, ""},  {BYTES_LIT("\x13\x87why"), 4999, "why"},
        {BYTES_LIT("\0\0gone"), 0, "gone"}, {BYTES_LIT("\x03\xee"), 1000, ""},
        {BYTES_LIT("\xff\xff"), 1000, ""},  {BYTES_LIT("\x0f\xa0\xff"), 4000, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct message message = {.kind = MESSAGE_CLOSE, .data = rows[i].data};
        struct bytes reason;
        assert_int_equal(delivery_read_close(&message, &reason), rows[i].code);
        assert_true(bytes_equal_str(reason, rows[i].reason));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_has_bounds),
        cmocka_unit_test(flags_of_an_entry),
        cmocka_unit_test(codes_of_a_close),
        cmocka_unit_test(data_has_bounds),
        cmocka_unit_test(levels_concern_data_for_somebody),
        cmocka_unit_test(names_go_to_their_partitions),
        cmocka_unit_test(every_name_is_every_partition),
        cmocka_unit_test(an_empty_list_is_nobody),
        cmocka_unit_test(one_connection_has_its_entry),
        cmocka_unit_test(a_close_comes_through),
        cmocka_unit_test(a_close_is_cut_between_characters),
        cmocka_unit_test(a_close_without_a_code_is_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
