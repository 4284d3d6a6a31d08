/*
 * json_text.c - see json_text.h. json_check says whether a text is JSON; after that the
 * text itself is walked, so that what goes out has the sender's numbers and key order. The walkers
 * below only ever see checked text.
 */
#include "common/json/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "common/json/json_check.h"
#include "common/base/utf8.h"

enum { REPLACEMENT = 0xfffd }; /* for what no UTF-8 can say */

struct json_document {
    struct bytes text;
    struct json_value root;
};

/* --- walking checked text --- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(struct bytes text, size_t at) {
    while (at < text.len && is_space(text.ptr[at]))
        at++;
    return at;
}

struct bytes json_skip_space(struct bytes text) {
    return bytes_from(text, skip_space(text, 0));
}

/* `at` is on the opening quote; returns what follows the closing one. */
static size_t string_end(struct bytes text, size_t at) {
    for (at++; at < text.len && text.ptr[at] != '"'; at++)
        if (text.ptr[at] == '\\')
            at++;
    return at < text.len ? at + 1 : text.len;
}

static size_t nested_end(struct bytes text, size_t at) {
    size_t depth = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        if (c == '"') {
            at = string_end(text, at);
            continue;
        }
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            break;
    }
    return at;
}

static size_t value_end(struct bytes text, size_t at) {
    if (text.ptr[at] == '"')
        return string_end(text, at);
    if (text.ptr[at] == '{' || text.ptr[at] == '[')
        return nested_end(text, at);
    while (at < text.len && !is_space(text.ptr[at]) && text.ptr[at] != ',' && text.ptr[at] != ']' &&
           text.ptr[at] != '}')
        at++;
    return at;
}

static enum json_kind kind_of(char c) {
    switch (c) {
    case '"': return JSON_KIND_STRING;
    case '{': return JSON_KIND_OBJECT;
    case '[': return JSON_KIND_ARRAY;
    case 't': return JSON_KIND_TRUE;
    case 'f': return JSON_KIND_FALSE;
    case 'n': return JSON_KIND_NULL;
    default: return JSON_KIND_NUMBER;
    }
}

/* The value that begins at or after `at`; *at moves behind it. */
static struct json_value read_value(struct bytes text, size_t *at) {
    size_t from = skip_space(text, *at);
    *at = value_end(text, from);
    return (struct json_value){kind_of(text.ptr[from]), bytes_of(text.ptr + from, *at - from)};
}

/* Steps over an array's or object's elements: false at the end. The first call has *at == 0. */
static bool next_element(struct bytes text, size_t *at) {
    *at = skip_space(text, *at == 0 ? 1 : *at);
    if (text.ptr[*at] == ',')
        *at = skip_space(text, *at + 1);
    return text.ptr[*at] != ']' && text.ptr[*at] != '}';
}

static bool next_member(struct bytes object, size_t *at, struct bytes *key_out,
                        struct json_value *value_out) {
    if (!next_element(object, at))
        return false;
    struct json_value key = read_value(object, at);
    *key_out = bytes_of(key.text.ptr + 1, key.text.len - 2);
    *at = skip_space(object, *at) + 1; /* the colon */
    *value_out = read_value(object, at);
    return true;
}

/* --- texts --- */

static unsigned hex4(const char *at) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (unsigned)bytes_hex_value(at[i]);
    return value;
}

static bool is_high_half(unsigned c) {
    return c >= 0xd800 && c < 0xdc00;
}

static bool is_low_half(unsigned c) {
    return c >= 0xdc00 && c < 0xe000;
}

/* The character of the escape \uXXXX that `text` begins with, and the length of its spelling: 12
 * for a surrogate pair. Half of a pair stays what it is. */
static unsigned read_unicode(struct bytes text, size_t *len_out) {
    unsigned c = hex4(text.ptr + 2);
    *len_out = 6;
    if (!is_high_half(c) || text.len < 12 || text.ptr[6] != '\\' || text.ptr[7] != 'u')
        return c;
    unsigned low = hex4(text.ptr + 8);
    if (!is_low_half(low))
        return c;
    *len_out = 12;
    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* Writes the character of the escape that `text` begins with and steps over it; returns its length.
 */
static size_t put_escape(char *to, struct bytes *text) {
    static const char from[] = "bfnrt", controls[] = "\b\f\n\r\t";
    char name = text->ptr[1];
    size_t len = 2;
    if (name == 'u') {
        unsigned c = read_unicode(*text, &len);
        *text = bytes_from(*text, len);
        return utf8_put(to, is_high_half(c) || is_low_half(c) ? REPLACEMENT : c);
    }
    const char *control = strchr(from, name);
    *text = bytes_from(*text, len);
    *to = control != NULL ? controls[control - from] : name;
    return 1;
}

size_t json_unescape(struct bytes inner, char *room) {
    char *to = room;
    while (inner.len > 0) {
        ptrdiff_t escape = bytes_find(inner, '\\');
        size_t run = escape < 0 ? inner.len : (size_t)escape;
        memcpy(to, inner.ptr, run);
        to += run;
        inner = bytes_from(inner, run);
        if (inner.len > 0)
            to += put_escape(to, &inner);
    }
    return (size_t)(to - room);
}

static void append_unescaped(struct buf *out, struct bytes inner) {
    if (inner.len > 0)
        buf_added(out, json_unescape(inner, buf_reserve(out, inner.len)));
}

struct bytes json_key(struct bytes inner, char room[JSON_KEY_ROOM]) {
    if (bytes_find(inner, '\\') < 0)
        return inner;
    return inner.len > JSON_KEY_ROOM ? BYTES_NONE : bytes_of(room, json_unescape(inner, room));
}

size_t json_half_character(struct json_value string) {
    struct bytes rest = string.text;
    while (string.kind == JSON_KIND_STRING) {
        ptrdiff_t escape = bytes_find(rest, '\\');
        size_t len = 2;
        if (escape < 0)
            return 0;
        rest = bytes_from(rest, (size_t)escape);
        unsigned c = rest.ptr[1] == 'u' ? read_unicode(rest, &len) : 0;
        if (is_high_half(c) || is_low_half(c))
            return (size_t)(rest.ptr - string.text.ptr);
        rest = bytes_from(rest, len);
    }
    return 0;
}

/* --- documents --- */

struct json_document *json_open(struct bytes text, struct buf *error_out) {
    size_t at = 0;
    if (!json_check(text, error_out))
        return NULL;
    struct json_document *d = mem_alloc(sizeof(*d));
    d->text = text;
    d->root = read_value(json_without_mark(text), &at);
    return d;
}

void json_close(struct json_document *d) {
    free(d);
}

struct json_value json_root(const struct json_document *d) {
    return d->root;
}

size_t json_position(const struct json_document *d, const char *at) {
    return (size_t)(at - d->text.ptr) + 1;
}

struct json_value json_member(struct json_value object, const char *name) {
    size_t at = 0;
    struct bytes key;
    struct json_value value;
    char room[JSON_KEY_ROOM];
    while (object.kind == JSON_KIND_OBJECT && next_member(object.text, &at, &key, &value))
        if (bytes_equal_nocase(json_key(key, room), bytes_str(name)))
            return value;
    return (struct json_value){JSON_KIND_ABSENT, BYTES_NONE};
}

void json_each(struct json_value value, void (*fn)(void *ctx, struct json_value element),
               void *ctx) {
    size_t at = 0;
    if (value.kind == JSON_KIND_ABSENT || value.kind == JSON_KIND_NULL)
        return;
    if (value.kind != JSON_KIND_ARRAY) {
        fn(ctx, value);
        return;
    }
    while (next_element(value.text, &at))
        fn(ctx, read_value(value.text, &at));
}

struct json_value json_next_element(struct bytes array, size_t *at) {
    if (array.len == 0 || *at >= array.len || !next_element(array, at))
        return (struct json_value){JSON_KIND_ABSENT, BYTES_NONE};
    return read_value(array, at);
}

void json_each_member(struct json_value object,
                      bool (*fn)(void *ctx, struct bytes key_text, struct json_value value),
                      void *ctx) {
    size_t at = 0;
    struct bytes key;
    struct json_value value;
    bool goes_on = object.kind == JSON_KIND_OBJECT;
    while (goes_on && next_member(object.text, &at, &key, &value))
        goes_on = fn(ctx, bytes_of(key.ptr - 1, key.len + 2), value);
}

/* --- what values say --- */

void json_append_text(struct buf *out, struct json_value value) {
    if (value.kind == JSON_KIND_STRING)
        append_unescaped(out, bytes_of(value.text.ptr + 1, value.text.len - 2));
    else if (value.kind != JSON_KIND_ABSENT)
        json_append_compact(out, value);
}

void json_append_compact(struct buf *out, struct json_value value) {
    struct bytes text = value.text;
    size_t at = 0;
    while (at < text.len) {
        size_t from = at;
        if (text.ptr[at] == '"') {
            at = string_end(text, at);
        } else {
            while (at < text.len && !is_space(text.ptr[at]) && text.ptr[at] != '"')
                at++;
        }
        buf_append(out, bytes_of(text.ptr + from, at - from));
        at = skip_space(text, at);
    }
}

static void append_escaped(struct buf *out, struct bytes text) {
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_append(out, bytes_of(text.ptr + from, i - from));
        from = i + 1;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_append_str(out, "\\n");
        else
            buf_printf(out, "\\u%04x", c);
    }
    buf_append(out, bytes_from(text, from));
}

void json_append_string(struct buf *out, struct bytes text) {
    char replacement[4];
    buf_reserve(out, text.len + 2);
    buf_append_char(out, '"');
    while (text.len > 0) {
        struct bytes valid = utf8_is_valid(text) ? text : utf8_head(text, text.len);
        append_escaped(out, valid);
        text = bytes_from(text, valid.len);
        if (text.len > 0) {
            buf_append(out, bytes_of(replacement, utf8_put(replacement, REPLACEMENT)));
            text = bytes_from(text, 1);
        }
    }
    buf_append_char(out, '"');
}

void json_append_strings(struct buf *out, struct bytes_list texts) {
    buf_append_char(out, '[');
    for (size_t i = 0; i < texts.count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        json_append_string(out, texts.items[i]);
    }
    buf_append_char(out, ']');
}

bool json_is_empty(struct json_value value) {
    size_t at = 0;
    if (value.kind == JSON_KIND_STRING)
        return value.text.len == 2;
    if (value.kind == JSON_KIND_ARRAY || value.kind == JSON_KIND_OBJECT)
        return !next_element(value.text, &at);
    return value.kind == JSON_KIND_ABSENT || value.kind == JSON_KIND_NULL;
}

bool json_is_truthy(struct json_value value) {
    if (value.kind == JSON_KIND_FALSE || (value.kind != JSON_KIND_OBJECT && json_is_empty(value)))
        return false;
    if (value.kind != JSON_KIND_NUMBER)
        return true;
    char *digits = bytes_dup(value.text);
    bool is_zero = strtod(digits, NULL) == 0;
    free(digits);
    return !is_zero;
}
