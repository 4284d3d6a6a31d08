/* fuzz_utf8.c - the validator agrees with decoding every character by hand, in one piece and in
 * two. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/must.h"
#include "common/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The length of the character at p, or 0 when it is none (RFC 3629, section 3). */
static size_t character(const uint8_t *p, size_t len) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xC0 ? 0
               : p[0] < 0xE0 ? 2
               : p[0] < 0xF0 ? 3
               : p[0] < 0xF8 ? 4
                             : 0;
    if (n == 0 || len < n)
        return 0;
    uint32_t value = n == 1 ? p[0] : p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3F);
    }
    return value < least[n] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF) ? 0 : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of(data, size);
    size_t whole = 0;
    for (size_t n; whole < size && (n = character(data + whole, size - whole)) > 0;)
        whole += n;
    MUST(utf8_is_valid(text) == (whole == size));
    MUST(utf8_head(text, size).len == whole);

    struct utf8 u;
    size_t cut = size == 0 ? 0 : data[0] % (size + 1);
    utf8_init(&u);
    bool is_good = utf8_feed(&u, bytes_head(text, cut)) && utf8_feed(&u, bytes_from(text, cut));
    MUST((is_good && utf8_is_complete(&u)) == (whole == size));
    /* Not refused, and cut: then up to three bytes of an unfinished character follow the whole
     * ones. */
    if (is_good)
        MUST(size - whole <= 3);
    return 0;
}
