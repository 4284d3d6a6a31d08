/* What a client's message says: reference section 6. */
#include "broker/handlers/client_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct client_message *m;

static void read_text(const char *text) {
    client_message_unref(m);
    m = client_message_new(bytes_str(text), true);
}

static void assert_list(struct texts t, const char *joined) {
    struct buf b = {0};
    for (size_t i = 0; i < t.count; i++) {
        buf_append_str(&b, i > 0 ? "," : "");
        buf_append(&b, t.items[i]);
    }
    char *text = buf_take(&b);
    assert_string_equal(text, joined);
    free(text);
}

static void assert_message(const char *text) {
    assert_true(bytes_equal_str(m->message.text, text));
}

static int teardown(void **state) {
    (void)state;
    client_message_unref(m);
    m = NULL;
    return 0;
}

static void fields_without_case(void **state) {
    (void)state;
    read_text(
        "{\"MESSAGE\":\"hi\",\"Path\":\"N2\",\"GROUP\":\"g\",\"clientid\":\"c\",\"Direct\":true}");
    assert_true(m->is_valid && m->is_direct);
    assert_message("\"hi\"");
    assert_list(m->names, "N2");
    assert_list(m->groups, "g");
    assert_list(m->clients, "c");
}

static void path_is_decoded(void **state) {
    (void)state;
    read_text("{\"message\":1,\"path\":\"%4e2+b%zz%\"}");
    assert_list(m->names, "N2 b%zz%");
}

static void path_may_be_a_number_but_no_list(void **state) {
    (void)state;
    read_text("{\"message\":1,\"path\":12}");
    assert_list(m->names, "12");
    read_text("{\"message\":1,\"path\":[\"a\"]}");
    assert_false(m->is_valid);
    read_text("{\"message\":1,\"path\":{}}");
    assert_false(m->is_valid);
}

static void lists_and_numbers(void **state) {
    (void)state;
    read_text("{\"message\":1,\"group\":[\"a\",7,\"\"],\"clientId\":5}");
    assert_true(m->is_valid);
    assert_list(m->groups, "a,7");
    assert_list(m->clients, "5");
    read_text("{\"message\":1,\"group\":[[\"a\"]]}");
    assert_false(m->is_valid);
}

static void empty_counts_as_absent(void **state) {
    (void)state;
    read_text("{\"message\":1,\"path\":\"\",\"group\":\"\",\"clientId\":null}");
    assert_true(m->is_valid);
    assert_true(m->names.items == NULL && m->groups.items == NULL && m->clients.items == NULL);
    read_text("{\"message\":1,\"path\":null}");
    assert_true(m->is_valid && m->names.items == NULL);
}

static void an_empty_list_is_nobody(void **state) {
    static const char *const rows[] = {"[]", "[\"\"]", "[null]"};
    char text[80];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof(text), "{\"message\":1,\"clientId\":%s,\"group\":%s}", rows[i],
                 rows[i]);
        read_text(text);
        assert_true(m->is_valid);
        assert_true(bytes_list_is_nobody(texts_list(&m->clients)));
        assert_true(bytes_list_is_nobody(texts_list(&m->groups)));
    }
}

/* What says to whom, and is not understood, is refused; what is the application's own is not meant.
 */
static void what_is_not_understood(void **state) {
    static const struct {
        const char *text;
        bool is_misunderstood;
        const char *error;
    } rows[] = {
        {"{\"message\":1,\"clientId\":\"a\",\"client_id\":\"b\"}", true,
         "clientId: is given twice"},
        {"{\"message\":1,\"group\":{}}", true, "group: must be"},
        {"{\"message\":1,\"clientId\":true}", true, "clientId: must be"},
        {"{\"message\":1,\"path\":\"a%0d\"}", true, "path: has a line end"},
        {"[{\"message\":1,\"path\":\"a\"},{\"message\":2,\"path\":\"b\"}]", true,
         "path: is given by several objects"},
        {"[{\"message\":1,\"path\":\"a\"},{\"message\":2,\"path\":\"a\"}]", true,
         "path: is given by several objects"},
        {"{\"message\":\"\\ud83d\"}", true, "message: the escape at byte 13"},
        {"[{\"message\":1},{\"message\":2,\"group\":{}}]", true, "group: must be"},
        {"{\"op\":\"move\",\"args\":[1],\"ref\":7}", false, "unknown key \"op\""},
        {"[{\"op\":1}]", false, "unknown key \"op\""},
        {"[{\"x\":0,\"message\":1},{\"group\":{}}]", true, "group: must be"},
        {"[{\"ref\":1,\"ref\":2},{\"message\":1,\"clientId\":\"c\"}]", true, "ref: is given twice"},
        {"{\"message\":1,\"x\":0,\"group\":{}}", true, "group: must be"},
        {"{ no JSON", false, "no JSON: a key was expected, at byte 3"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        read_text(rows[i].text);
        assert_false(m->is_valid || m->has_unknown);
        assert_int_equal(m->is_misunderstood, rows[i].is_misunderstood);
        assert_true(bytes_starts_with(buf_bytes(&m->error), bytes_str(rows[i].error)));
        assert_true(m->message.kind == JSON_KIND_ABSENT && m->names.items == NULL &&
                    m->groups.items == NULL && m->clients.items == NULL && !m->is_direct);
    }
}

/* A signal route may know them; to whom it goes is not known. */
static void keys_of_the_application(void **state) {
    static const char *const rows[] = {
        "{\"message\":1,\"client\":\"x\"}",
        "{\"message\":1,\"x\":0,\"clientId\":\"c\",\"ref\":\"r\"}",
        "[{\"x\":0,\"message\":1,\"path\":\"N\"}]",
        "[{\"message\":1,\"clientId\":\"c\"},{\"x\":0}]",
        "[{\"x\":0},{\"message\":1,\"clientId\":\"c\"}]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        read_text(rows[i]);
        assert_true(m->has_unknown && !m->is_valid && !m->is_misunderstood);
        assert_message(i < 3 ? "1" : "[1]");
        assert_true(bytes_list_is_nobody(texts_list(&m->clients)));
        assert_true(bytes_starts_with(buf_bytes(&m->error), BYTES_LIT("unknown key \"")));
        if (i == 1)
            assert_true(bytes_equal_str(m->ref.text, "\"r\""));
    }
}

static void a_path_has_a_bound(void **state) {
    char text[4000];
    (void)state;
    for (int more = 0; more < 2; more++) {
        strcpy(text, "{\"message\":1,\"path\":\"");
        for (int i = 0; i < 1024 + more; i++)
            strcat(text, "%41");
        strcat(text, "\"}");
        read_text(text);
        assert_int_equal(m->is_valid, more == 0);
    }
}

static void direct_is_any_truth(void **state) {
    static const char *const yes[] = {"true", "\"false\"", "1", "{}", "[1]"};
    static const char *const no[] = {"false", "0", "\"\"", "null", "[]"};
    char text[80];
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        snprintf(text, sizeof(text), "{\"message\":1,\"direct\":%s}", yes[i]);
        read_text(text);
        assert_true(m->is_direct);
        snprintf(text, sizeof(text), "{\"message\":1,\"direct\":%s}", no[i]);
        read_text(text);
        assert_false(m->is_direct);
    }
}

static void compress_is_true_or_false(void **state) {
    (void)state;
    read_text("{\"message\":1,\"compress\":false}");
    assert_true(m->is_valid && m->is_uncompressed);
    read_text("{\"message\":1,\"compress\":true}");
    assert_true(m->is_valid && !m->is_uncompressed);
    read_text("{\"message\":1,\"compress\":null}");
    assert_true(m->is_valid && !m->is_uncompressed);
    read_text("[{\"message\":1,\"compress\":false},{\"message\":2}]");
    assert_true(m->is_valid && m->is_uncompressed);
    read_text("{\"message\":1,\"compress\":0}");
    assert_true(!m->is_valid && m->is_misunderstood && !m->is_uncompressed);
    assert_true(bytes_equal_str(buf_bytes(&m->error), "compress: must be true or false"));
    read_text("{\"own\":1,\"compress\":false}"); /* the application's own */
    assert_true(!m->is_valid && !m->is_misunderstood && !m->has_unknown && !m->is_uncompressed);
}

static void no_json_and_no_message(void **state) {
    (void)state;
    read_text("hello");
    assert_false(m->is_valid);
    read_text("{\"message\":1,\"Message\":2}");
    assert_false(m->is_valid);
    assert_true(m->is_misunderstood);
    read_text("12");
    assert_true(m->is_valid && m->message.kind == JSON_KIND_ABSENT);
    read_text("{}");
    assert_true(m->is_valid && m->message.kind == JSON_KIND_ABSENT);
}

static void arrays_of_objects(void **state) {
    (void)state;
    read_text("[{\"message\":\"a\",\"path\":\"P\"}]");
    assert_message("\"a\"");
    assert_list(m->names, "P");
    read_text("[{\"message\":\"a\"},{\"message\": [1, 2],\"group\":\"g\"}]");
    assert_message("[\"a\",[1,2]]");
    assert_list(m->groups, "g");
    read_text("[]");
    assert_true(m->message.kind == JSON_KIND_ABSENT);
}

/* `count` objects {"KEY":1} as an array. */
static void read_array_of(const char *key, size_t count) {
    struct buf text = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s{\"%s\":1}", i == 0 ? "[" : ",", key);
    buf_append(&text, BYTES_LIT("]\0"));
    read_text(text.ptr);
    buf_deinit(&text);
}

static void an_array_has_a_bound(void **state) {
    (void)state;
    read_array_of("message", ADDRESS_LIST_MAX);
    assert_true(m->is_valid);
    read_array_of("message", ADDRESS_LIST_MAX + 1);
    assert_true(!m->is_valid && m->is_misunderstood);
    assert_true(bytes_equal_str(buf_bytes(&m->error), "the array has more than 1000 elements"));
    read_array_of("own", ADDRESS_LIST_MAX + 1); /* the application's: for its signal route */
    assert_false(m->is_valid || m->is_misunderstood);
}

/* Over all objects of an array together. */
static void groups_of_several_objects_have_a_bound(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct buf text = {0};
        for (size_t object = 0; object < 2; object++) {
            buf_append_str(&text, object == 0 ? "[{\"message\":1" : ",{\"message\":2");
            buf_append_str(&text, ",\"group\":[\"g\"");
            for (size_t i = 1; i < ADDRESS_LIST_MAX / 2 + (object == 1 ? more : 0); i++)
                buf_append_str(&text, ",\"g\"");
            buf_append_str(&text, "]}");
        }
        buf_append(&text, bytes_of("]\0", 2));
        read_text(text.ptr);
        buf_deinit(&text);
        assert_int_equal(m->is_valid, more == 0);
        assert_int_equal(m->groups.count, more == 0 ? ADDRESS_LIST_MAX : 0);
    }
    assert_true(bytes_equal_str(buf_bytes(&m->error), "group: has more than 1000 elements"));
}

/* In one object, or in all of an array; what is the application's own goes to its signal route. */
static void keys_have_a_bound(void **state) {
    static const struct {
        const char *first, *between;
        bool is_meant;
    } rows[] = {
        {"{\"message\":1", ",\"k\":1", true},
        {"{\"k\":1", ",\"k\":1", false},
        {"[{\"message\":1", ",\"k\":1", true},
        {"[{\"message\":1}",
         ",{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1"
         ",\"j\":1,\"k\":1}",
         true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t more = 0; more < 2; more++) {
            struct buf text = {0};
            size_t each = i == 3 ? 11 : 1;
            buf_append_str(&text, rows[i].first);
            for (size_t keys = 1; keys + (more == 0 ? each : 1) <= FORM_KEYS_MAX + more;
                 keys += each)
                buf_append_str(&text, rows[i].between);
            buf_append_str(&text, i < 3 ? "}" : "");
            buf_append_str(&text, i < 2 ? "" : "]");
            buf_append_char(&text, '\0');
            read_text(text.ptr);
            buf_deinit(&text);
            assert_false(m->is_valid);
            assert_int_equal(m->has_unknown, more == 0 && rows[i].is_meant);
            assert_int_equal(m->is_misunderstood, more == 1 && rows[i].is_meant);
            assert_int_equal(bytes_equal_str(buf_bytes(&m->error), FORM_TOO_MANY_KEYS), more);
        }
    }
}

static void ref_is_kept_as_sent(void **state) {
    (void)state;
    read_text("{\"message\":1,\"ref\": 1.50}");
    assert_true(bytes_equal_str(m->ref.text, "1.50"));
}

/* The key `id` of signalbox.v1: of what is meant for us, one to 128 bytes. */
static void id_of_its_own(void **state) {
    (void)state;
    char longest[200], too_long[200];
    snprintf(longest, sizeof(longest), "{\"message\":1,\"id\":\"%0128d\"}", 7);
    snprintf(too_long, sizeof(too_long), "{\"message\":1,\"id\":\"%0129d\"}", 7);
    static const struct {
        const char *text, *id, *error;
    } rows[] = {
        {"{\"message\":1,\"id\":\"a\"}", "a", NULL},
        {"{\"message\":1,\"ID\":7}", "7", NULL},
        {"{\"message\":1,\"\\u0069d\":\"\\u00e9\"}", "\xc3\xa9", NULL},
        {"{\"message\":1,\"id\":null}", "", NULL},
        {"{\"message\":1}", "", NULL},
        {"{\"message\":1,\"id\":\"\"}", "", "id: must be"},
        {"{\"message\":1,\"id\":\"a\\nb\"}", "", "id: must be"},
        {"{\"message\":1,\"id\":true}", "", "id: must be"},
        {"{\"message\":1,\"id\":[\"a\"]}", "", "id: must be"},
        {"{\"message\":1,\"id\":\"\\ud800\"}", "", "id: the escape"},
        {"{\"message\":1,\"id\":1,\"Id\":2}", "", "id: is given twice"},
        {"{\"message\":1,\"path\":[],\"id\":\"a\"}", "", "path: "},
        {"[{\"message\":1,\"id\":\"a\"}]", "", "id: an array has none"},
        {"{\"id\":\"a\",\"mine\":1}", "", NULL}, /* the application's own */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        read_text(rows[i].text);
        if (!bytes_equal_str(buf_bytes(&m->id), rows[i].id) ||
            m->is_misunderstood != (rows[i].error != NULL))
            fail_msg("%s: '%.*s' %d", rows[i].text, BYTES_FMT(buf_bytes(&m->id)),
                     m->is_misunderstood);
        if (rows[i].error != NULL)
            assert_true(bytes_starts_with(buf_bytes(&m->error), bytes_str(rows[i].error)));
    }
    read_text(longest);
    assert_int_equal(m->id.len, 128);
    read_text(too_long);
    assert_int_equal(m->id.len, 0);
    assert_true(m->is_misunderstood);
}

static void plain_clients_have_no_id(void **state) {
    (void)state;
    client_message_unref(m);
    m = client_message_new(BYTES_LIT("{\"message\":1,\"id\":\"a\"}"), false);
    assert_true(m->has_unknown && m->id.len == 0);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)
    const struct CMUnitTest tests[] = {
        TEST(fields_without_case),
        TEST(path_is_decoded),
        TEST(path_may_be_a_number_but_no_list),
        TEST(lists_and_numbers),
        TEST(empty_counts_as_absent),
        TEST(an_empty_list_is_nobody),
        TEST(what_is_not_understood),
        TEST(keys_of_the_application),
        TEST(a_path_has_a_bound),
        TEST(direct_is_any_truth),
        TEST(compress_is_true_or_false),
        TEST(no_json_and_no_message),
        TEST(arrays_of_objects),
        TEST(an_array_has_a_bound),
        TEST(groups_of_several_objects_have_a_bound),
        TEST(keys_have_a_bound),
        TEST(ref_is_kept_as_sent),
        TEST(id_of_its_own),
        TEST(plain_clients_have_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
