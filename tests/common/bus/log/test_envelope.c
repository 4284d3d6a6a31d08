/* test_envelope.c - every field there and back; whatever is cut or changed is refused, never read
 * past. */
#include <setjmp.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fold.h"
#include "common/base/must.h"
#include "common/bus/log/envelope.h"

static void assert_bytes(struct bytes have, const char *want) {
    assert_int_equal(have.len, strlen(want));
    assert_memory_equal(have.ptr == NULL ? "" : have.ptr, want, have.len);
}

static struct entry sample_entry(void) {
    static const struct bytes names[] = {{"A", 1}, {"B b", 3}}, clients[] = {{"x", 1}};
    return (struct entry){.kind = ENTRY_SEND,
                          .ts_ms = 1700000000123,
                          .flags = FLAG_JSON | FLAG_CHECKED,
                          .name = BYTES_LIT("Msg"),
                          .group = BYTES_LIT("g"),
                          .client_id = BYTES_LIT("id"),
                          .conn = BYTES_LIT("gid:7:1|g"),
                          .session = BYTES_LIT("s"),
                          .body = BYTES_LIT("a\0b"),
                          .names = {names, 2},
                          .clients = {clients, 1},
                          .code = 4001};
}

static void test_entry_there_and_back(void **state) {
    (void)state;
    struct buf out = {0};
    struct entry e = sample_entry(), back;
    entry_encode(&out, &e);
    assert_int_equal(entry_decode(buf_bytes(&out), &back), PARSE_OK);
    assert_int_equal(back.kind, ENTRY_SEND);
    assert_true(back.ts_ms == e.ts_ms && back.flags == e.flags && back.code == 4001);
    assert_bytes(back.name, "Msg");
    assert_bytes(back.conn, "gid:7:1|g");
    assert_true(bytes_equal(back.body, BYTES_LIT("a\0b")));
    assert_int_equal(back.names.count, 2);
    assert_bytes(back.names.items[1], "B b");
    assert_int_equal(back.groups.count, 0);
    assert_true(bytes_list_has(back.clients, BYTES_LIT("x")));
    assert_int_equal(back.reply.len, 0);
    entry_free(&back);
    e.reply = BYTES_LIT("token:5");
    buf_clear(&out);
    entry_encode(&out, &e);
    assert_int_equal(entry_decode(buf_bytes(&out), &back), PARSE_OK);
    assert_bytes(back.reply, "token:5");
    assert_int_equal(back.once.len, 0);
    entry_free(&back);
    for (int with_reply = 0; with_reply < 2; with_reply++) {
        e.reply = with_reply ? BYTES_LIT("token:5") : BYTES_NONE;
        e.once = BYTES_LIT("once");
        buf_clear(&out);
        entry_encode(&out, &e);
        assert_int_equal(entry_decode(buf_bytes(&out), &back), PARSE_OK);
        assert_int_equal(back.reply.len > 0, with_reply);
        assert_bytes(back.once, "once");
        entry_free(&back);
    }
    buf_deinit(&out);
}

/* Nobody is not everybody, also on the other side. */
static void test_an_empty_list_stays_one(void **state) {
    static const struct bytes none;
    struct entry e = sample_entry(), back;
    struct message m = {.kind = MESSAGE_DATA, .to_groups = {&none, 0}}, m_back;
    struct buf out = {0};
    (void)state;
    e.groups = e.names = (struct bytes_list){&none, 0};
    e.clients = (struct bytes_list){0};
    entry_encode(&out, &e);
    assert_int_equal(entry_decode(buf_bytes(&out), &back), PARSE_OK);
    assert_true(bytes_list_is_nobody(back.groups) && bytes_list_is_nobody(back.names));
    assert_false(bytes_list_is_given(back.clients));
    entry_free(&back);
    buf_clear(&out);
    message_encode(&out, &m);
    assert_int_equal(message_decode(buf_bytes(&out), &m_back), PARSE_OK);
    assert_true(bytes_list_is_nobody(m_back.to_groups));
    assert_false(bytes_list_is_given(m_back.to_clients));
    message_free(&m_back);
    buf_deinit(&out);
}

static void test_entry_cut_or_changed_never_reads_past(void **state) {
    (void)state;
    struct buf out = {0};
    struct entry e = sample_entry(), back;
    entry_encode(&out, &e);
    for (size_t len = 0; len < out.len; len++) {
        char *copy = malloc(len + 1);
        memcpy(copy, out.ptr, len);
        assert_int_equal(entry_decode(bytes_of(copy, len), &back), PARSE_BAD);
        free(copy);
    }
    for (size_t at = 0; at < out.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            out.ptr[at] = (char)(out.ptr[at] ^ 1 << bit);
            if (entry_decode(buf_bytes(&out), &back) == PARSE_OK)
                entry_free(&back);
            out.ptr[at] = (char)(out.ptr[at] ^ 1 << bit);
        }
    buf_deinit(&out);
}

static void test_message_there_and_back(void **state) {
    (void)state;
    static const struct bytes groups[] = {{"Admins", 6}};
    struct buf out = {0};
    struct message m = {.id = {1700000000000, 12},
                        .prev = {1700000000000, 9},
                        .kind = MESSAGE_DATA,
                        .ts_ms = 5,
                        .to_groups = {groups, 1},
                        .from = BYTES_LIT("me"),
                        .flags = FLAG_BINARY,
                        .data = BYTES_LIT("payload")},
                   back;
    message_encode(&out, &m);
    assert_int_equal(message_decode(buf_bytes(&out), &back), PARSE_OK);
    assert_int_equal(message_id_compare(back.id, m.id), 0);
    assert_int_equal(message_id_compare(back.prev, m.prev), 0);
    assert_true(fold_list_has(back.to_groups, BYTES_LIT("aDMINS")));
    assert_false(bytes_list_has(back.to_groups, BYTES_LIT("aDMINS")));
    assert_bytes(back.data, "payload");
    assert_int_equal(back.to_conn.len, 0);
    message_free(&back);
    buf_deinit(&out);
}

/* The bound and one beyond, for each list of either envelope. */
static void test_a_list_has_a_bound(void **state) {
    static struct bytes many[ENVELOPE_LIST_MAX + 1];
    struct bytes_list lists[] = {{many, ENVELOPE_LIST_MAX}, {many, ENVELOPE_LIST_MAX + 1}};
    struct buf out = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = BYTES_LIT("x");
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        enum parse expected = i == 0 ? PARSE_OK : PARSE_BAD;
        for (int field = 0; field < 3; field++) {
            struct entry e = sample_entry(), back;
            *(field == 0 ? &e.names : field == 1 ? &e.groups : &e.clients) = lists[i];
            buf_clear(&out);
            entry_encode(&out, &e);
            assert_int_equal(entry_decode(buf_bytes(&out), &back), expected);
            entry_free(&back);
        }
        for (int field = 0; field < 2; field++) {
            struct message m = {.kind = MESSAGE_DATA}, back;
            *(field == 0 ? &m.to_groups : &m.to_clients) = lists[i];
            buf_clear(&out);
            message_encode(&out, &m);
            assert_int_equal(message_decode(buf_bytes(&out), &back), expected);
            message_free(&back);
        }
    }
    buf_deinit(&out);
}

/* Headers that claim more than there is must cost nothing: msgpack-c would make room first. */
static void test_claims_are_not_believed(void **state) {
    static const struct bytes cases[] = {
        BYTES_LIT(""),
        BYTES_LIT("\xdd\xff\xff\xff\xff"),
        BYTES_LIT("\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"),
        BYTES_LIT("\x9e\xdd\x7f\xff\xff\xff\x01\x01\x01\x01"),
        BYTES_LIT("\xdc\xff\xff\xc0"),
        BYTES_LIT("\xdf\xff\xff\xff\xff"),
        BYTES_LIT("\xc9\xff\xff\xff\xff\x01"),
        BYTES_LIT("\xdb\xff\xff\xff\xff"),
        BYTES_LIT("\xc6\xff\xff\xff"),
        BYTES_LIT("\xda"),
        BYTES_LIT("\xcf\x01"),
        BYTES_LIT("\xc1"),
    };
    struct entry e;
    struct message m;
    struct session s;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(entry_decode(cases[i], &e), PARSE_BAD);
        assert_int_equal(message_decode(cases[i], &m), PARSE_BAD);
        assert_int_equal(session_decode(cases[i], &s), PARSE_BAD);
    }
}

/* An entry with this behind its own fields, as a later version may write it. */
static enum parse decode_with_more(struct bytes more) {
    struct buf out = {0}, longer = {0};
    struct entry e = sample_entry(), back;
    e.reply = BYTES_LIT("r"), e.once = BYTES_LIT("o"); /* the last fields of today */
    entry_encode(&out, &e);
    assert_int_equal((unsigned char)out.ptr[0], 0xdc); /* more than 15 elements */
    buf_append(&longer, buf_bytes(&out));
    longer.ptr[2]++;
    buf_append(&longer, more);
    enum parse result = entry_decode(buf_bytes(&longer), &back);
    if (result == PARSE_OK) {
        assert_bytes(back.name, "Msg");
        entry_free(&back);
    }
    buf_deinit(&out);
    buf_deinit(&longer);
    return result;
}

/* Each type of msgpack: as long as it says, not a byte less or more; maps and extensions are none
 * of ours. */
static void test_every_type_is_as_long_as_it_says(void **state) {
    static const struct {
        struct bytes element;
        enum parse result;
    } rows[] = {
#define OK(text) {BYTES_LIT(text), PARSE_OK}
#define BAD(text)                                                                                  \
    { BYTES_LIT(text), PARSE_BAD }
        OK("\x00"),
        OK("\x7f"),
        OK("\xe0"),
        OK("\xff"),
        OK("\xc0"),
        OK("\xc2"),
        OK("\xc3"),
        OK("\xcc\x01"),
        OK("\xcd\x01\x02"),
        OK("\xce\x01\x02\x03\x04"),
        OK("\xcf\x01\x02\x03\x04\x05\x06\x07\x08"),
        OK("\xd0\x01"),
        OK("\xd1\x01\x02"),
        OK("\xd2\x01\x02\x03\x04"),
        OK("\xd3\x01\x02\x03\x04\x05\x06\x07\x08"),
        OK("\xca\x01\x02\x03\x04"),
        OK("\xcb\x01\x02\x03\x04\x05\x06\x07\x08"),
        OK("\xa0"),
        OK("\xa3"
           "abc"),
        OK("\xbf"
           "0123456789abcdef0123456789abcde"),
        OK("\xd9\x03"
           "abc"),
        OK("\xd9\x00"),
        OK("\xda\x00\x02"
           "ab"),
        OK("\xdb\x00\x00\x00\x01"
           "a"),
        OK("\xc4\x02"
           "ab"),
        OK("\xc5\x00\x01"
           "a"),
        OK("\xc6\x00\x00\x00\x03"
           "abc"),
        OK("\x90"),
        OK("\x93\x01\xc0\xa1"
           "a"),
        OK("\x91\x91\x90"),
        OK("\xdc\x00\x00"),
        OK("\xdc\x00\x02\x01\x02"),
        OK("\xdd\x00\x00\x00\x00"),
        OK("\xdd\x00\x00\x00\x01\xa2"
           "ab"),
        BAD("\x80"),
        BAD("\x81\x01\x01"),
        BAD("\x8f"),
        BAD("\xc1"),
        BAD("\xc7\x00\x01"),
        BAD("\xc8\x00\x00\x01"),
        BAD("\xc9\x00\x00\x00\x00\x01"),
        BAD("\xd4\x01\x01"),
        BAD("\xd8\x01\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08"),
        BAD("\xde\x00\x00"),
        BAD("\xdf\x00\x00\x00\x00"),
#undef OK
#undef BAD
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes element = rows[i].element;
        struct buf longer = {0};
        if (decode_with_more(element) != rows[i].result)
            fail_msg("type 0x%02x", (unsigned char)element.ptr[0]);
        assert_int_equal(decode_with_more(bytes_head(element, element.len - 1)), PARSE_BAD);
        buf_append(&longer, element);
        buf_append_char(&longer, '\0');
        assert_int_equal(decode_with_more(buf_bytes(&longer)), PARSE_BAD);
        buf_deinit(&longer);
    }
}

static void expect_kinds(enum entry_kind entry, enum parse entry_result, enum message_kind message,
                         enum parse message_result) {
    struct buf out = {0};
    struct entry e = sample_entry(), e_back;
    struct message m = {.kind = message}, m_back;
    e.kind = entry;
    e.code = 0;
    entry_encode(&out, &e);
    assert_int_equal(entry_decode(buf_bytes(&out), &e_back), entry_result);
    entry_free(&e_back);
    buf_clear(&out);
    message_encode(&out, &m);
    assert_int_equal(message_decode(buf_bytes(&out), &m_back), message_result);
    message_free(&m_back);
    buf_deinit(&out);
}

static void test_kinds(void **state) {
    (void)state;
    expect_kinds(ENTRY_CLIENT, PARSE_OK, MESSAGE_DATA, PARSE_OK);
    expect_kinds(ENTRY_GROUPS, PARSE_OK, MESSAGE_NOTE, PARSE_OK);
    expect_kinds((enum entry_kind)(ENTRY_CLIENT - 1), PARSE_BAD,
                 (enum message_kind)(MESSAGE_DATA - 1), PARSE_BAD);
    expect_kinds((enum entry_kind)(ENTRY_GROUPS + 1), PARSE_BAD,
                 (enum message_kind)(MESSAGE_GROUPS + 1), PARSE_BAD);
    for (unsigned kind = ENTRY_CLIENT; kind <= ENTRY_GROUPS; kind++)
        assert_string_not_equal(entry_kind_text((enum entry_kind)kind), "unknown");
    for (unsigned kind = MESSAGE_DATA; kind <= MESSAGE_NOTE; kind++)
        assert_string_not_equal(message_kind_text((enum message_kind)kind), "unknown");
    assert_string_equal(entry_kind_text((enum entry_kind)200), "unknown");
    assert_string_equal(message_kind_text((enum message_kind)200), "unknown");
}

/* A number is one, and nothing else is taken for it. */
static void test_numbers_are_numbers(void **state) {
    static const unsigned char others[] = {0xc0, 0xc2, 0xc3, 0xe0, 0xff, 0x90, 0xa0};
    struct buf out = {0};
    struct entry e = sample_entry(), back;
    (void)state;
    entry_encode(&out, &e);
    for (size_t at = 1; at <= 2; at++) { /* the version and the kind: a byte each */
        char before = out.ptr[at];
        for (size_t i = 0; i < ARRAY_LEN(others); i++) {
            out.ptr[at] = (char)others[i];
            assert_int_equal(entry_decode(buf_bytes(&out), &back), PARSE_BAD);
        }
        out.ptr[at] = before;
    }
    assert_int_equal(entry_decode(buf_bytes(&out), &back), PARSE_OK);
    entry_free(&back);
    buf_deinit(&out);
}

/* An older version is read, a later one is not. */
static void test_versions(void **state) {
    struct buf out = {0};
    struct entry e = sample_entry(), e_back;
    struct message m = {.kind = MESSAGE_DATA}, m_back;
    (void)state;
    for (int is_message = 0; is_message < 2; is_message++) {
        for (int more = -1; more <= 1; more++) {
            buf_clear(&out);
            if (is_message)
                message_encode(&out, &m);
            else
                entry_encode(&out, &e);
            assert_int_equal(out.ptr[1], ENVELOPE_VERSION);
            out.ptr[1] = (char)(out.ptr[1] + more);
            enum parse expected = more > 0 ? PARSE_BAD : PARSE_OK;
            assert_int_equal(is_message ? message_decode(buf_bytes(&out), &m_back)
                                        : entry_decode(buf_bytes(&out), &e_back),
                             expected);
            if (is_message)
                message_free(&m_back);
            else
                entry_free(&e_back);
        }
    }
    buf_deinit(&out);
}

/* No two fields of one type change their places. */
static void test_each_field_is_its_own(void **state) {
    static const struct bytes groups[] = {{"g1", 2}}, clients[] = {{"c1", 2}, {"c2", 2}};
    struct buf out = {0};
    struct entry e = sample_entry(), e_back;
    struct message m = {.id = {5, 6},
                        .prev = {3, 4},
                        .kind = MESSAGE_NOTE,
                        .ts_ms = 7,
                        .to_groups = {groups, 1},
                        .to_clients = {clients, 2},
                        .to_conn = BYTES_LIT("conn"),
                        .from = BYTES_LIT("from"),
                        .flags = UINT_MAX,
                        .data = BYTES_LIT("data")},
                   m_back;
    (void)state;
    e.groups = (struct bytes_list){groups, 1};
    entry_encode(&out, &e);
    assert_int_equal(entry_decode(buf_bytes(&out), &e_back), PARSE_OK);
    assert_bytes(e_back.group, "g");
    assert_bytes(e_back.client_id, "id");
    assert_bytes(e_back.session, "s");
    assert_int_equal(e_back.groups.count, 1);
    assert_bytes(e_back.groups.items[0], "g1");
    assert_bytes(e_back.names.items[0], "A");
    entry_free(&e_back);
    buf_clear(&out);
    message_encode(&out, &m);
    assert_int_equal(message_decode(buf_bytes(&out), &m_back), PARSE_OK);
    assert_int_equal(message_id_compare(m_back.prev, (struct message_id){3, 4}), 0);
    assert_int_equal(m_back.kind, MESSAGE_NOTE);
    assert_int_equal(m_back.ts_ms, 7);
    assert_int_equal(m_back.flags, UINT_MAX);
    assert_int_equal(m_back.to_clients.count, 2);
    assert_bytes(m_back.to_clients.items[1], "c2");
    assert_bytes(m_back.to_conn, "conn");
    assert_bytes(m_back.from, "from");
    message_free(&m_back);
    buf_deinit(&out);
}

/* A header without a value is none. */
static void test_session_headers_come_in_pairs(void **state) {
    struct session_header header = {BYTES_LIT("host"), BYTES_LIT("")};
    struct session s = {.path = BYTES_LIT("1"),
                        .url = BYTES_LIT("2"),
                        .protocol = BYTES_LIT("3"),
                        .address = BYTES_LIT("4"),
                        .endpoint = BYTES_LIT("5"),
                        .remote_address = BYTES_LIT("6"),
                        .headers = &header,
                        .header_count = 1},
                   back;
    struct buf out = {0};
    (void)state;
    session_encode(&out, &s);
    assert_int_equal(session_decode(buf_bytes(&out), &back), PARSE_OK);
    assert_bytes(back.path, "1");
    assert_bytes(back.url, "2");
    assert_bytes(back.protocol, "3");
    assert_bytes(back.address, "4");
    assert_bytes(back.endpoint, "5");
    assert_bytes(back.remote_address, "6");
    assert_int_equal(back.header_count, 1);
    session_free(&back);
    out.len -= 2; /* the value, a bin of no bytes */
    char *count = out.ptr + out.len - 7;
    assert_int_equal((unsigned char)*count, 0x92);
    *count = (char)0x91;
    assert_int_equal(session_decode(buf_bytes(&out), &back), PARSE_BAD);
    out.len -= 6; /* no header at all */
    *count = (char)0x90;
    assert_int_equal(session_decode(buf_bytes(&out), &back), PARSE_OK);
    assert_int_equal(back.header_count, 0);
    session_free(&back);
    out.len -= 1; /* a field too few */
    out.ptr[0]--;
    assert_int_equal(session_decode(buf_bytes(&out), &back), PARSE_BAD);
    buf_deinit(&out);
}

static void test_the_largest_numbers(void **state) {
    char text[MESSAGE_ID_TEXT];
    struct message_id id;
    struct conn_value v;
    (void)state;
    assert_true(message_id_parse(BYTES_LIT("18446744073709551615-18446744073709551615"), &id));
    assert_string_equal(message_id_format(id, text), "18446744073709551615-18446744073709551615");
    assert_false(message_id_parse(BYTES_LIT("18446744073709551616-1"), &id));
    assert_false(message_id_parse(BYTES_LIT("1-18446744073709551616"), &id));
    assert_true(conn_value_parse(BYTES_LIT("g:18446744073709551615:253402300799999|"), &v));
    assert_true(v.number == UINT64_MAX && v.group.len == 0);
    assert_false(conn_value_parse(BYTES_LIT("g:1:253402300800000|"), &v));
    assert_false(conn_value_parse(BYTES_LIT("g:1|x"), &v));
    assert_false(conn_value_parse(BYTES_LIT("g:1:x|"), &v));
    assert_false(conn_value_parse(BYTES_LIT(""), &v));
}

/* An array of `count` elements: those of an entry, then nil. */
static enum parse decode_with(size_t count) {
    struct buf out = {0};
    struct entry e = sample_entry(), back;
    entry_encode(&out, &e);
    struct buf large = {0};
    buf_append(&large, bytes_of((const char[]){(char)0xdc, (char)(count >> 8), (char)count}, 3));
    buf_append(&large, bytes_from(buf_bytes(&out), 1));
    for (size_t i = 14; i < count; i++)
        buf_append_char(&large, (char)0xc0);
    enum parse result = entry_decode(buf_bytes(&large), &back);
    if (result == PARSE_OK)
        entry_free(&back);
    buf_deinit(&out);
    buf_deinit(&large);
    return result;
}

static void test_the_bound_of_elements(void **state) {
    (void)state;
    /* the array itself, and two Names and a client id in lists */
    assert_int_equal(decode_with(ENVELOPE_ELEMENTS_MAX - 4), PARSE_OK);
    assert_int_equal(decode_with(ENVELOPE_ELEMENTS_MAX - 3), PARSE_BAD);
}

static void test_numbers_out_of_range(void **state) {
    static const struct {
        enum entry_kind kind;
        int64_t code;
        uint64_t ts_ms;
        enum parse result;
    } cases[] = {
        {ENTRY_CLOSE, 4999, 1, PARSE_OK},
        {ENTRY_CLOSE, 0, 1, PARSE_OK},
        {ENTRY_CLOSE, -1, 1, PARSE_BAD},
        {ENTRY_CLOSE, 1005, 1, PARSE_BAD},
        {ENTRY_CLOSE, 5000, 1, PARSE_BAD},
        {ENTRY_CLOSE, 65536 + 1000, 1, PARSE_BAD},
        {ENTRY_TICK, 253402300799, 253402300799999, PARSE_OK},
        {ENTRY_TICK, 253402300800, 1, PARSE_BAD},
        {ENTRY_TICK, INT64_MIN, 1, PARSE_BAD},
        {ENTRY_SEND, 0, 253402300800000, PARSE_BAD},
        {ENTRY_SEND, 0, UINT64_MAX, PARSE_BAD},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        struct entry e = sample_entry(), back;
        e.kind = cases[i].kind;
        e.code = cases[i].code;
        e.ts_ms = cases[i].ts_ms;
        entry_encode(&out, &e);
        assert_int_equal(entry_decode(buf_bytes(&out), &back), cases[i].result);
        if (cases[i].result == PARSE_OK)
            entry_free(&back);
        buf_deinit(&out);
    }
}

static void test_session_there_and_back(void **state) {
    (void)state;
    struct buf out = {0};
    struct session_header headers[] = {{BYTES_LIT("host"), BYTES_LIT("h")},
                                       {BYTES_LIT("x"), BYTES_LIT("")}};
    struct session s = {.path = BYTES_LIT("/a b"),
                        .url = BYTES_LIT("ws://h/a%20b?x=1"),
                        .protocol = BYTES_LIT("ws"),
                        .address = BYTES_LIT("h"),
                        .headers = headers,
                        .header_count = 2,
                        .data = BYTES_LIT("{}")},
                   back;
    session_encode(&out, &s);
    assert_int_equal(session_decode(buf_bytes(&out), &back), PARSE_OK);
    assert_bytes(back.path, "/a b");
    assert_int_equal(back.header_count, 2);
    assert_bytes(back.headers[1].name, "x");
    assert_int_equal(back.endpoint.len, 0);
    assert_bytes(back.data, "{}");
    session_free(&back);
    buf_deinit(&out);
}

static void test_ids_and_connection_values(void **state) {
    (void)state;
    struct message_id id;
    struct conn_value v;
    struct buf out = {0};
    assert_true(message_id_parse(BYTES_LIT("12-7"), &id) && id.term == 12 && id.seq == 7);
    assert_false(message_id_parse(BYTES_LIT("12"), &id));
    assert_false(message_id_parse(BYTES_LIT("12-"), &id));
    assert_false(message_id_parse(BYTES_LIT("-1-2"), &id));
    assert_false(message_id_parse(BYTES_LIT("99999999999999999999-1"), &id));
    assert_true(message_id_compare((struct message_id){1, 9}, (struct message_id){2, 0}) < 0);
    conn_value_encode(&out, &(struct conn_value){BYTES_LIT("abc"), 7, 99, BYTES_LIT("a|b:c")});
    assert_true(conn_value_parse(buf_bytes(&out), &v));
    assert_true(v.number == 7 && v.connected_ms == 99);
    assert_bytes(v.gateway, "abc");
    assert_bytes(v.group, "a|b:c");
    assert_int_equal(v.transport.len, 0);
    assert_true(bytes_equal_str(conn_value_transport(&v), "ws"));
    buf_clear(&out);
    conn_value_encode(&out, &(struct conn_value){BYTES_LIT("abc"), 7, 99, BYTES_LIT("g:h"),
                                                 .transport = BYTES_LIT("sse")});
    assert_true(bytes_equal_str(buf_bytes(&out), "abc:7:99:sse|g:h"));
    assert_true(conn_value_parse(buf_bytes(&out), &v));
    assert_true(bytes_equal_str(conn_value_transport(&v), "sse"));
    assert_true(bytes_equal_str(v.group, "g:h") && v.connected_ms == 99);
    assert_false(conn_value_parse(BYTES_LIT("abc:7:99"), &v));
    assert_false(conn_value_parse(BYTES_LIT("abc:7:sse|"), &v));
    assert_false(conn_value_parse(BYTES_LIT("abc:x:99|"), &v));
    buf_deinit(&out);
}

/* --- details --- */

/* Whether the connection with this value has details of its own. */
static bool has_details(struct bytes value, struct bytes details) {
    struct conn_details d;
    conn_details_read(value, details, &d);
    bool has = d.zone != NULL;
    conn_details_free(&d);
    return has;
}

static void test_details_there_and_back(void **state) {
    struct bytes groups[] = {BYTES_LIT("Red"), BYTES_LIT("bl\xc3\x9c")};
    struct conn_details d = {.value = BYTES_LIT("gw:1:5|Red"),
                             .changed = {7, 9},
                             .data = BYTES_LIT("{\"a\":1}"),
                             .groups = {groups, 2}},
                        back;
    struct buf out = {0};
    (void)state;
    conn_details_encode(&out, &d);
    conn_details_read(d.value, buf_bytes(&out), &back);
    assert_int_equal(back.groups.count, 2);
    assert_bytes(back.groups.items[0], "Red");
    assert_bytes(back.groups.items[1], "bl\xc3\x9c");
    assert_bytes(back.data, "{\"a\":1}");
    assert_true(back.changed.term == 7 && back.changed.seq == 9);
    conn_details_free(&back);
    /* Of another connection with that id nothing is known but its value. */
    conn_details_read(BYTES_LIT("gw:2:5|green"), buf_bytes(&out), &back);
    assert_int_equal(back.groups.count, 1);
    assert_bytes(back.groups.items[0], "green");
    assert_int_equal(back.data.len, 0);
    conn_details_free(&back);
    for (size_t len = 0; len < out.len; len++) /* cut anywhere */
        assert_false(has_details(d.value, bytes_of(out.ptr, len)));
    buf_deinit(&out);
}

static void test_details_have_bounds(void **state) {
    struct bytes groups[CONN_GROUPS_MAX + 1];
    struct conn_details d = {.value = BYTES_LIT("v"), .groups = {groups, 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        groups[i] = BYTES_LIT("g");
    for (size_t count = CONN_GROUPS_MAX; count <= CONN_GROUPS_MAX + 1; count++) {
        struct buf out = {0};
        d.groups.count = count;
        conn_details_encode(&out, &d);
        assert_int_equal(has_details(d.value, buf_bytes(&out)), count == CONN_GROUPS_MAX);
        buf_deinit(&out);
    }
}

/* A group without a text, and details of nobody. */
static void test_details_of_strangers(void **state) {
    static const char *const cases[] = {"\x93\xa1v\xa3-0-\xa1x",
                                        "\x93\xa0\xa3\x30-0\xa1x",
                                        "\x92\xa1v\xa3\x30-0",
                                        "\x95\xa1v\xa3\x30-0\xa1x\xa1g\xc0",
                                        "\x95\xa1v\xa3\x30-0\xa1x\xa1g\x01",
                                        "\xa1v",
                                        ""};
    struct conn_details d;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (has_details(BYTES_LIT("v"), bytes_str(cases[i])))
            fail_msg("case %zu", i);
    assert_true(has_details(BYTES_LIT("v"), BYTES_LIT("\x93\xa1v\xa3\x30-0\xa1x")));
    conn_details_read(BYTES_LIT("no value"), BYTES_LIT("no details"), &d);
    assert_int_equal(d.groups.count, 0);
    assert_true(bytes_list_is_given(d.groups));
    conn_details_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_there_and_back),
        cmocka_unit_test(test_an_empty_list_stays_one),
        cmocka_unit_test(test_entry_cut_or_changed_never_reads_past),
        cmocka_unit_test(test_message_there_and_back),
        cmocka_unit_test(test_a_list_has_a_bound),
        cmocka_unit_test(test_claims_are_not_believed),
        cmocka_unit_test(test_every_type_is_as_long_as_it_says),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_numbers_are_numbers),
        cmocka_unit_test(test_each_field_is_its_own),
        cmocka_unit_test(test_session_headers_come_in_pairs),
        cmocka_unit_test(test_the_largest_numbers),
        cmocka_unit_test(test_the_bound_of_elements),
        cmocka_unit_test(test_numbers_out_of_range),
        cmocka_unit_test(test_session_there_and_back),
        cmocka_unit_test(test_ids_and_connection_values),
        cmocka_unit_test(test_details_there_and_back),
        cmocka_unit_test(test_details_have_bounds),
        cmocka_unit_test(test_details_of_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
