/*
 * fuzz_json.c - one reading of JSON, held to a second library.
 *
 * Properties: json_check accepts what jansson accepts, but for what jansson is known to see
 * differently (see is_comparable); kinds and values are equal; what is copied out, compact or as a
 * Lua value written again, is JSON and means the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <lauxlib.h>

#include "common/app/lua/json_lua.h"
#include "common/json/json_check.h"
#include "common/json/json_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 100 };

static json_t *load(struct bytes text, json_error_t *error) {
    return json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, error);
}

/* jansson refuses what the grammar allows: numbers beyond its own types, halves of surrogate pairs,
 * a NUL in a key; and it counts depth in another way. */
static bool is_comparable(const json_error_t *error) {
    enum json_error_code code = json_error_code(error);
    return code != json_error_numeric_overflow && code != json_error_stack_overflow &&
           code != json_error_null_byte_in_key && strstr(error->text, "invalid Unicode") == NULL;
}

/* --- values --- */

static void compare(struct json_value value, json_t *other);

static struct bytes text_of(struct json_value string, struct buf *room) {
    json_append_text(room, string);
    return buf_bytes(room);
}

static void compare_strings(struct json_value value, const json_t *other) {
    struct buf text = {0};
    struct bytes theirs = bytes_of(json_string_value(other), json_string_length(other));
    MUST(bytes_equal(text_of(value, &text), theirs));
    MUST(json_half_character(value) == 0);
    buf_deinit(&text);
}

static void compare_numbers(struct json_value value, const json_t *other) {
    char *digits = bytes_dup(value.text);
    if (json_is_integer(other))
        MUST(strtoll(digits, NULL, 10) == json_integer_value(other));
    else
        MUST(strtod(digits, NULL) == json_real_value(other));
    MUST(json_is_truthy(value) == (json_number_value(other) != 0));
    free(digits);
}

static void compare_arrays(struct json_value value, json_t *other) {
    struct json_value element;
    size_t at = 0, count = 0;
    for (; (element = json_next_element(value.text, &at)).kind != JSON_KIND_ABSENT; count++)
        compare(element, json_array_get(other, count));
    MUST(count == json_array_size(other));
}

/* The last of several members with one key is jansson's. */
struct wanted {
    struct bytes key;
    struct json_value last;
    const json_t *object;
};

static bool find_last(void *ctx, struct bytes key_text, struct json_value value) {
    struct wanted *w = ctx;
    struct buf key = {0};
    if (bytes_equal(text_of((struct json_value){JSON_KIND_STRING, key_text}, &key), w->key))
        w->last = value;
    buf_deinit(&key);
    return true;
}

static bool is_known(void *ctx, struct bytes key_text, struct json_value value) {
    struct wanted *w = ctx;
    struct buf key = {0};
    (void)value;
    text_of((struct json_value){JSON_KIND_STRING, key_text}, &key);
    buf_append_char(&key, '\0');
    MUST(json_object_get(w->object, key.ptr) != NULL);
    buf_deinit(&key);
    return true;
}

static void compare_objects(struct json_value value, json_t *other) {
    const char *key;
    json_t *member;
    struct wanted all = {.object = other};
    json_each_member(value, is_known, &all);
    json_object_foreach(other, key, member) {
        struct wanted w = {.key = bytes_str(key)};
        json_each_member(value, find_last, &w);
        compare(w.last, member);
    }
}

static enum json_kind kind_of(const json_t *other) {
    switch (json_typeof(other)) {
    case JSON_OBJECT: return JSON_KIND_OBJECT;
    case JSON_ARRAY: return JSON_KIND_ARRAY;
    case JSON_STRING: return JSON_KIND_STRING;
    case JSON_INTEGER:
    case JSON_REAL: return JSON_KIND_NUMBER;
    case JSON_TRUE: return JSON_KIND_TRUE;
    case JSON_FALSE: return JSON_KIND_FALSE;
    case JSON_NULL: return JSON_KIND_NULL;
    }
    return JSON_KIND_ABSENT;
}

static void compare(struct json_value value, json_t *other) {
    MUST(other != NULL && value.kind == kind_of(other));
    if (value.kind == JSON_KIND_STRING)
        compare_strings(value, other);
    else if (value.kind == JSON_KIND_NUMBER)
        compare_numbers(value, other);
    else if (value.kind == JSON_KIND_ARRAY)
        compare_arrays(value, other);
    else if (value.kind == JSON_KIND_OBJECT)
        compare_objects(value, other);
}

/* --- copies --- */

/* other: what the text means, or NULL where jansson cannot say. */
static void check_copy(struct bytes copy, json_t *other) {
    json_error_t error;
    MUST(json_check(copy, NULL));
    if (other == NULL)
        return;
    json_t *again = load(copy, &error);
    MUST(again != NULL && json_equal(again, other));
    json_decref(again);
}

static void check_compact(struct json_value root, json_t *other) {
    struct buf once = {0}, twice = {0};
    json_append_compact(&once, root);
    check_copy(buf_bytes(&once), other);
    struct json_document *d = json_open(buf_bytes(&once), NULL);
    json_append_compact(&twice, json_root(d));
    MUST(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    json_close(d);
    buf_deinit(&once);
    buf_deinit(&twice);
}

/* An app that passes on what it read. What is nested deeper than it writes becomes a text. */
static void check_lua(struct bytes text, json_t *other) {
    static lua_State *L;
    struct buf out = {0};
    size_t brackets = 0;
    for (size_t i = 0; i < text.len; i++)
        brackets += text.ptr[i] == '[' || text.ptr[i] == '{';
    if (brackets > DEPTH)
        return;
    if (L == NULL)
        L = luaL_newstate();
    MUST(json_push(L, text, NULL));
    if (json_from_lua(L, -1, DEPTH, &out, NULL))
        check_copy(buf_bytes(&out), json_is_object(other) || json_is_array(other) ? other : NULL);
    buf_deinit(&out);
    lua_settop(L, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of((const char *)data, size), plain = json_without_mark(text);
    struct buf why = {0};
    json_error_t error;
    if (size > 4096)
        return -1;
    bool is_json = json_check(text, &why);
    MUST(is_json == (why.len == 0));
    buf_deinit(&why);
    /* jansson passes over a NUL after a number. Nowhere is one JSON. */
    if (bytes_find(text, '\0') >= 0) {
        MUST(!is_json);
        return 0;
    }
    json_t *other = load(plain, &error);
    MUST(is_json == (other != NULL) || (other == NULL && !is_comparable(&error)));
    if (is_json) {
        struct json_document *d = json_open(text, NULL);
        if (other != NULL)
            compare(json_root(d), other);
        check_compact(json_root(d), other);
        check_lua(text, other);
        json_close(d);
    }
    json_decref(other);
    return 0;
}
