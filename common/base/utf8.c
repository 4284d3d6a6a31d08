/* utf8.c - see utf8.h. The lead byte decides how many bytes follow and what the first of them may
 * be (RFC 3629, 4). */
#include "common/base/utf8.h"

#include "common/base/buf.h"

#include <string.h>

void utf8_init(struct utf8 *u) {
    *u = (struct utf8){0};
}

static bool take_lead(struct utf8 *u, unsigned char c) {
    u->low = 0x80;
    u->high = 0xBF;
    if (c < 0x80)
        return true;
    if (c < 0xC2 || c > 0xF4)
        return false;
    if (c < 0xE0) {
        u->missing = 1;
    } else if (c < 0xF0) {
        u->missing = 2;
        if (c == 0xE0)
            u->low = 0xA0; /* below: overlong */
        if (c == 0xED)
            u->high = 0x9F; /* above: surrogates */
    } else {
        u->missing = 3;
        if (c == 0xF0)
            u->low = 0x90; /* below: overlong */
        if (c == 0xF4)
            u->high = 0x8F; /* above: beyond U+10FFFF */
    }
    return true;
}

static inline bool take(struct utf8 *u, unsigned char c) {
    if (u->missing == 0)
        return take_lead(u, c);
    if (c < u->low || c > u->high)
        return false;
    u->missing--;
    u->low = 0x80;
    u->high = 0xBF;
    return true;
}

/* How many bytes at the front are ASCII, to a multiple of eight. */
static size_t ascii_run(const char *p, size_t len) {
    size_t n = 0;
    for (; len - n >= 8; n += 8) {
        uint64_t word;
        memcpy(&word, p + n, 8);
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    return n;
}

bool utf8_feed(struct utf8 *u, struct bytes more) {
    size_t i = 0;
    while (i < more.len) {
        if (u->missing == 0 && (unsigned char)more.ptr[i] < 0x80) {
            size_t run = ascii_run(more.ptr + i, more.len - i);
            i += run > 0 ? run : 1;
            continue;
        }
        if (!take(u, (unsigned char)more.ptr[i]))
            return false;
        i++;
    }
    return true;
}

bool utf8_is_complete(const struct utf8 *u) {
    return u->missing == 0;
}

bool utf8_is_valid(struct bytes text) {
    struct utf8 u;
    utf8_init(&u);
    return utf8_feed(&u, text) && utf8_is_complete(&u);
}

struct bytes utf8_head(struct bytes text, size_t max_bytes) {
    struct utf8 u;
    size_t whole = 0;
    utf8_init(&u);
    for (size_t i = 0; i < text.len && i < max_bytes; i++) {
        if (!take(&u, (unsigned char)text.ptr[i]))
            break;
        if (utf8_is_complete(&u))
            whole = i + 1;
    }
    return bytes_head(text, whole);
}

size_t utf8_put(char *to, uint32_t c) {
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(leads[len] | c);
    return len;
}

void utf8_from_latin1(struct bytes text, struct buf *out) {
    char room[UTF8_MAX];
    for (size_t i = 0; i < text.len; i++)
        buf_append(out, bytes_of(room, utf8_put(room, (unsigned char)text.ptr[i])));
}
