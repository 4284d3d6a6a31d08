/*
 * utf8.h - strict UTF-8 (RFC 3629), byte run by byte run, with the error found at the earliest byte
 * that shows it.
 *
 *     struct utf8 u;
 *     utf8_init(&u);
 *     while (more bytes)
 *         if (!utf8_feed(&u, bytes)) -> never valid
 *     if (!utf8_is_complete(&u)) -> cut within a character
 *
 * Refused: overlong forms, surrogates (U+D800..DFFF), above U+10FFFF, stray or missing continuation
 * bytes.
 */
#ifndef SIGNALBOX_BASE_UTF8_H
#define SIGNALBOX_BASE_UTF8_H

#include "common/base/bytes.h"

struct buf;

struct utf8 {
    uint8_t missing; /* continuation bytes the current character still needs */
    uint8_t low;     /* while missing > 0: what the next byte may be, both ends included */
    uint8_t high;
};

void utf8_init(struct utf8 *u);

/* False at the first byte after which no continuation can make the text valid. After false, only
 * utf8_init. */
bool utf8_feed(struct utf8 *u, struct bytes more);

/* True when what was fed ends between two characters (also before the first). */
bool utf8_is_complete(const struct utf8 *u);

/* All at once: valid and complete. */
bool utf8_is_valid(struct bytes text);

/* The longest beginning of `text`, of at most `max_bytes`, that is valid and complete. */
struct bytes utf8_head(struct bytes text, size_t max_bytes);

/* Writes the character and returns its length, at most UTF8_MAX bytes. */
enum { UTF8_MAX = 4 };
size_t utf8_put(char *to, uint32_t c);

/* Appends ISO 8859-1 as UTF-8. */
void utf8_from_latin1(struct bytes text, struct buf *out);

#endif
