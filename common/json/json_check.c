/*
 * json_check.c - see json_check.h. Read walk: it never recurses; what is open is a stack of bits.
 */
#include "common/json/json_check.h"

#include <string.h>

#include "common/base/utf8.h"

struct checker {
    const char *begin, *at, *end;
    const char *why; /* set once */
    size_t depth;
    unsigned char is_object[JSON_DEPTH_MAX / 8]; /* a bit for each open bracket */
};

static bool complain(struct checker *c, const char *why) {
    if (c->why == NULL)
        c->why = why;
    return false;
}

static void skip_space(struct checker *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(struct checker *c, char wanted) {
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* --- scalars --- */

static bool take_word(struct checker *c, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return complain(c, "a value was expected");
    c->at += len;
    return true;
}

/* After the backslash. */
static bool take_escape(struct checker *c) {
    if (c->at == c->end)
        return complain(c, "a string has no end");
    if (*c->at == '\0' || strchr("\"\\/bfnrtu", *c->at) == NULL)
        return complain(c, "an unknown escape");
    if (*c->at++ != 'u')
        return true;
    for (int i = 0; i < 4; i++, c->at++)
        if (c->at == c->end || bytes_hex_value(*c->at) < 0)
            return complain(c, "a wrong \\u escape");
    return true;
}

/* After the opening quote. */
static bool take_string(struct checker *c) {
    for (;;) {
        while (c->at < c->end && *c->at != '"' && *c->at != '\\' && (unsigned char)*c->at >= 0x20)
            c->at++;
        if (take(c, '"'))
            return true;
        if (c->at == c->end)
            return complain(c, "a string has no end");
        if (!take(c, '\\'))
            return complain(c, "a control character in a string");
        if (!take_escape(c))
            return false;
    }
}

static bool take_digits(struct checker *c) {
    const char *from = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > from || complain(c, "a digit was expected");
}

static bool take_number(struct checker *c) {
    if (!take(c, '-') && (*c->at < '0' || *c->at > '9'))
        return complain(c, "a value was expected");
    if (!take(c, '0') && !take_digits(c))
        return false;
    if (take(c, '.') && !take_digits(c))
        return false;
    if (!take(c, 'e') && !take(c, 'E'))
        return true;
    if (!take(c, '+'))
        take(c, '-');
    return take_digits(c);
}

/* --- arrays and objects --- */

static bool is_in_object(const struct checker *c) {
    size_t i = c->depth - 1;
    return (c->is_object[i / 8] >> i % 8 & 1) != 0;
}

static bool open_bracket(struct checker *c, bool is_object) {
    if (c->depth == JSON_DEPTH_MAX)
        return complain(c, "nested deeper than 2048 levels");
    size_t i = c->depth++;
    unsigned char bit = (unsigned char)(1u << i % 8);
    c->is_object[i / 8] =
        (unsigned char)(is_object ? c->is_object[i / 8] | bit : c->is_object[i / 8] & ~bit);
    c->at++;
    skip_space(c);
    return true;
}

/* The key and its colon. */
static bool take_key(struct checker *c) {
    skip_space(c);
    if (!take(c, '"'))
        return complain(c, "a key was expected");
    if (!take_string(c))
        return false;
    skip_space(c);
    return take(c, ':') || complain(c, "':' was expected");
}

static bool close_bracket(struct checker *c) {
    bool is_object = is_in_object(c);
    if (!take(c, is_object ? '}' : ']'))
        return complain(c, is_object ? "',' or '}' was expected" : "',' or ']' was expected");
    c->depth--;
    return true;
}

/* A scalar, an empty array or object, or the opening of one that is not empty: *opened_out. */
static bool begin_value(struct checker *c, bool *opened_out) {
    size_t depth = c->depth;
    *opened_out = false;
    skip_space(c);
    if (c->at == c->end)
        return complain(c, "a value was expected");
    switch (*c->at) {
    case '{':
    case '[': break;
    case '"': c->at++; return take_string(c);
    case 't': return take_word(c, "true");
    case 'f': return take_word(c, "false");
    case 'n': return take_word(c, "null");
    default: return take_number(c);
    }
    bool is_object = *c->at == '{';
    if (!open_bracket(c, is_object))
        return false;
    if (c->at < c->end && *c->at == (is_object ? '}' : ']'))
        return close_bracket(c);
    *opened_out = c->depth > depth;
    return !is_object || take_key(c);
}

/* After a value: to the next one. False at the end of the outermost value, or of the text. */
static bool go_on(struct checker *c) {
    while (c->depth > 0) {
        skip_space(c);
        if (take(c, ','))
            return !is_in_object(c) || take_key(c);
        if (!close_bracket(c))
            return false;
    }
    return false;
}

static bool walk(struct checker *c) {
    bool is_open;
    do
        if (!begin_value(c, &is_open))
            return false;
    while (is_open || go_on(c));
    if (c->why != NULL)
        return false;
    skip_space(c);
    return c->at == c->end || complain(c, "something follows the value");
}

struct bytes json_without_mark(struct bytes text) {
    struct bytes mark = BYTES_LIT("\xef\xbb\xbf");
    return bytes_starts_with(text, mark) ? bytes_from(text, mark.len) : text;
}

bool json_check(struct bytes text, struct buf *error_out) {
    if (text.ptr == NULL)
        text = BYTES_LIT("");
    struct bytes plain = json_without_mark(text);
    struct checker c = {.begin = text.ptr, .at = plain.ptr, .end = plain.ptr + plain.len};
    bool is_text = utf8_is_valid(plain);
    if (!is_text) {
        c.at += utf8_head(plain, plain.len).len;
        complain(&c, "it is not valid UTF-8");
    }
    if (is_text && walk(&c))
        return true;
    if (error_out != NULL)
        buf_printf(error_out, "no JSON: %s, at byte %zu", c.why, (size_t)(c.at - c.begin) + 1);
    return false;
}
