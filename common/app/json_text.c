/*
 * json_text.c - the text side of json.h: jansson says whether a text is JSON; after that the text
 * itself is walked, so that what goes out has the sender's numbers and key order. The walkers below
 * only ever see checked text.
 */
#include "common/app/json.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

struct json_document {
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
    char digits[5] = {at[0], at[1], at[2], at[3], '\0'};
    return (unsigned)strtoul(digits, NULL, 16);
}

static void append_utf8(struct buf *out, unsigned c) {
    if (c < 0x80) {
        buf_append_char(out, (char)c);
    } else if (c < 0x800) {
        buf_append_char(out, (char)(0xc0 | c >> 6));
        buf_append_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_append_char(out, (char)(0xe0 | c >> 12));
        buf_append_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_append_char(out, (char)(0xf0 | c >> 18));
        buf_append_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* `at` is on the backslash; returns the length of the escape. jansson has checked that surrogates
 * come in pairs. */
static size_t append_escape(struct buf *out, const char *at) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (at[1] == 'u') {
        unsigned c = hex4(at + 2);
        bool is_pair = c >= 0xd800 && c < 0xdc00;
        if (is_pair)
            c = 0x10000 + ((c - 0xd800) << 10) + (hex4(at + 8) - 0xdc00);
        append_utf8(out, c);
        return is_pair ? 12 : 6;
    }
    const char *control = strchr(from, at[1]);
    buf_append_char(out, control != NULL ? to[control - from] : at[1]);
    return 2;
}

static void append_unescaped(struct buf *out, struct bytes inner) {
    while (inner.len > 0) {
        ptrdiff_t escape = bytes_find(inner, '\\');
        if (escape < 0) {
            buf_append(out, inner);
            return;
        }
        buf_append(out, bytes_head(inner, (size_t)escape));
        inner = bytes_from(inner, (size_t)escape);
        inner = bytes_from(inner, append_escape(out, inner.ptr));
    }
}

/* Keys may be written with escapes, too. */
static bool is_same_key(struct bytes a, struct bytes b) {
    if (bytes_find(a, '\\') < 0 && bytes_find(b, '\\') < 0)
        return bytes_equal_nocase(a, b);
    struct buf x = {0}, y = {0};
    append_unescaped(&x, a);
    append_unescaped(&y, b);
    bool is_same = bytes_equal_nocase(buf_bytes(&x), buf_bytes(&y));
    buf_deinit(&x);
    buf_deinit(&y);
    return is_same;
}

/* --- documents --- */

static bool has_key_before(struct bytes object, size_t until, struct bytes key) {
    size_t at = 0;
    struct bytes other;
    struct json_value value;
    while (next_member(object, &at, &other, &value) && at < until)
        if (is_same_key(other, key))
            return true;
    return false;
}

/* Keys count without case, so two that differ only by it would be ambiguous. Only the outermost
 * object matters. */
static bool has_ambiguous_keys(struct json_value root) {
    size_t at = 0;
    struct bytes key;
    struct json_value value;
    unsigned members = 0;
    if (root.kind != JSON_KIND_OBJECT)
        return false;
    while (next_member(root.text, &at, &key, &value))
        if (++members > 64 || has_key_before(root.text, at, key))
            return true;
    return false;
}

struct json_document *json_open(struct bytes text, struct buf *error_out) {
    json_error_t error;
    json_t *parsed = json_loadb(text.ptr == NULL ? "" : text.ptr, text.len,
                                JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL |
                                    JSON_DECODE_INT_AS_REAL,
                                &error);
    if (parsed == NULL) {
        buf_printf(error_out, "not JSON: %s at byte %d", error.text, error.position);
        return NULL;
    }
    json_decref(parsed);
    size_t at = 0;
    struct json_value root = read_value(text, &at);
    if (has_ambiguous_keys(root)) {
        buf_append_str(error_out,
                       "not usable: more than 64 keys, or keys that differ only by case");
        return NULL;
    }
    struct json_document *d = mem_alloc(sizeof(*d));
    d->root = root;
    return d;
}

void json_close(struct json_document *d) {
    free(d);
}

struct json_value json_root(const struct json_document *d) {
    return d->root;
}

struct json_value json_member(struct json_value object, const char *name) {
    size_t at = 0;
    struct bytes key;
    struct json_value value;
    while (object.kind == JSON_KIND_OBJECT && next_member(object.text, &at, &key, &value))
        if (is_same_key(key, bytes_str(name)))
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

void json_append_string(struct buf *out, struct bytes text) {
    buf_reserve(out, text.len + 2);
    buf_append_char(out, '"');
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
    buf_append_char(out, '"');
}

bool json_is_empty(struct json_value value) {
    size_t at = 0;
    switch (value.kind) {
    case JSON_KIND_ABSENT:
    case JSON_KIND_NULL: return true;
    case JSON_KIND_STRING: return value.text.len == 2;
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT: return !next_element(value.text, &at);
    case JSON_KIND_FALSE:
    case JSON_KIND_TRUE:
    case JSON_KIND_NUMBER: return false;
    }
    return true;
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
