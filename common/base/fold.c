/* fold.c - see fold.h. */
#include "common/base/fold.h"

#include "common/base/must.h"
#include "common/base/utf8.h"

struct range {
    uint32_t first, last, step;
    int32_t delta;
};

static const struct range ranges[] = {
#define X(first, last, step, delta) {first, last, step, delta},
#include "common/base/fold.def"
#undef X
};

/* What stands for a byte that is no character: above them all. */
enum { NO_CHARACTER = 0x110000 };

static uint32_t fold_outside_ascii(uint32_t c) {
    size_t low = 0, high = ARRAY_LEN(ranges);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    const struct range *r = &ranges[low];
    bool is_in = low < ARRAY_LEN(ranges) && r->first <= c && (c - r->first) % r->step == 0;
    return is_in ? (uint32_t)((int32_t)c + r->delta) : c;
}

/* The length of the character at the beginning of b, 0 when there is none; b is not empty. */
static size_t character(struct bytes b, uint32_t *c_out) {
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)b.ptr[0];
    size_t len = lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
    uint32_t c = len == 0 ? 0 : lead & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if (i >= b.len || ((unsigned char)b.ptr[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | ((unsigned char)b.ptr[i] & 0x3fu);
    }
    *c_out = c;
    bool is_surrogate = c >= 0xd800 && c < 0xe000;
    return c < lowest[len] || c >= NO_CHARACTER || is_surrogate ? 0 : len;
}

/* The next character, folded; *b is not empty and loses it. */
static uint32_t next(struct bytes *b) {
    unsigned char lead = (unsigned char)b->ptr[0];
    uint32_t c;
    size_t len = lead < 0x80 ? 1 : character(*b, &c);
    *b = bytes_from(*b, len == 0 ? 1 : len);
    if (lead < 0x80)
        return lead >= 'A' && lead <= 'Z' ? lead | 0x20u : lead;
    return len == 0 ? (uint32_t)NO_CHARACTER + lead : fold_outside_ascii(c);
}

int fold_compare(struct bytes a, struct bytes b) {
    while (a.len > 0 && b.len > 0) {
        uint32_t x = next(&a), y = next(&b);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return a.len > 0 ? 1 : b.len > 0 ? -1 : 0;
}

bool fold_equal(struct bytes a, struct bytes b) {
    return fold_compare(a, b) == 0;
}

void fold_append(struct buf *out, struct bytes text) {
    char room[UTF8_MAX];
    while (text.len > 0) {
        uint32_t c = next(&text);
        if (c >= NO_CHARACTER)
            buf_append_char(out, (char)(c - NO_CHARACTER));
        else
            buf_append(out, bytes_of(room, utf8_put(room, c)));
    }
}

bool fold_list_has(struct bytes_list list, struct bytes value) {
    for (size_t i = 0; i < list.count; i++)
        if (fold_equal(list.items[i], value))
            return true;
    return false;
}
