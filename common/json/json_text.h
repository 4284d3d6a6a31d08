/*
 * json_text.h - looks into a sender's JSON without changing its text.
 *
 * json_check.h says what is JSON. What goes out to clients keeps the number text and key order of
 * the sender (D6), so it is copied from the sender's own text; only white space between tokens is
 * dropped.
 */
#ifndef SIGNALBOX_JSON_JSON_TEXT_H
#define SIGNALBOX_JSON_JSON_TEXT_H

#include <stdbool.h>

#include "common/base/buf.h"

/* "text" in quotes, escaped. Always JSON: each byte that is no UTF-8 becomes U+FFFD. */
void json_append_string(struct buf *out, struct bytes text);
/* An array of them. */
void json_append_strings(struct buf *out, struct bytes_list texts);

/* What is left behind the white space in front. */
struct bytes json_skip_space(struct bytes text);

/* A value is a slice of its checked text. */
enum json_kind {
    JSON_KIND_ABSENT,
    JSON_KIND_NULL,
    JSON_KIND_FALSE,
    JSON_KIND_TRUE,
    JSON_KIND_NUMBER,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
};
struct json_value {
    enum json_kind kind;
    struct bytes text; /* the value's own text, as sent, strings with their quotes */
};
struct json_document; /* a checked text */

/* NULL with one line in error_out when it is no JSON (json_check.h). The text is borrowed for as
 * long as the document lives. */
struct json_document *json_open(struct bytes text, struct buf *error_out);
void json_close(struct json_document *d);
struct json_value json_root(const struct json_document *d);
/* The position of a byte of the text, counted from 1, as error texts give it. */
size_t json_position(const struct json_document *d, const char *at);
/* A key, which may be written with escapes, as text: what stands between its quotes, or in `room`.
 * BYTES_NONE when it is written with more bytes than the longest spelling of JSON_KEY_MAX
 * characters: no key that is known here is longer, and a long one costs nothing. */
enum { JSON_KEY_MAX = 32, JSON_KEY_ROOM = 6 * JSON_KEY_MAX };
struct bytes json_key(struct bytes inner, char room[JSON_KEY_ROOM]);
/* The member of an object by name without case, the first of several; JSON_KIND_ABSENT when there
 * is none. What comes from outside is read by message_form.h, which refuses keys it does not know.
 */
struct json_value json_member(struct json_value object, const char *name);
/* Calls fn for each element of an array. A value that is no array counts as its only element;
 * JSON_KIND_ABSENT and JSON_KIND_NULL have none. */
void json_each(struct json_value value, void (*fn)(void *ctx, struct json_value element),
               void *ctx);
/* The next element of an array's text, JSON_KIND_ABSENT after the last and for an empty text. *at
 * is 0 at first. */
struct json_value json_next_element(struct bytes array, size_t *at);
/* Calls fn for each member of an object, in their order, until it returns false; key_text has its
 * quotes. */
void json_each_member(struct json_value object,
                      bool (*fn)(void *ctx, struct bytes key_text, struct json_value value),
                      void *ctx);
/* Appends a string's characters unescaped, a number's text, true/false; compact JSON for the rest.
 * Half of a surrogate pair, which has no UTF-8, becomes U+FFFD. */
void json_append_text(struct buf *out, struct json_value value);
/* The same for what stands between a string's quotes; returns how much was written to `room`, which
 * has inner.len bytes: enough. */
size_t json_unescape(struct bytes inner, char *room);
/* Where in value.text a string has an escape that is half of a surrogate pair; 0: nowhere. */
size_t json_half_character(struct json_value value);
/* Appends the value's JSON without white space between tokens. */
void json_append_compact(struct buf *out, struct json_value value);
/* The seed's truthiness: non-empty strings, true, non-zero numbers, objects, non-empty arrays. */
bool json_is_truthy(struct json_value value);
/* "", null, [], {} and absent. */
bool json_is_empty(struct json_value value);

#endif
