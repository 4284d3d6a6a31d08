/*
 * fuzz_percent.c - queries and the escapes of URLs in any bytes.
 *
 * Properties: decoding agrees with decoding by hand, is no longer than its input, and says whether
 * each '%' began an escape; a text that is escaped byte by byte decodes to itself; the parameters
 * of a query, put together again, are the query.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/percent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int digit(char c) {
    static const char digits[] = "0123456789abcdefABCDEF";
    for (int i = 0; digits[i] != '\0'; i++)
        if (digits[i] == c)
            return i < 16 ? i : i - 6;
    return -1;
}

static void check_decoding(struct bytes text, bool plus_is_space) {
    struct buf out = {0};
    size_t at = 0;
    bool is_valid = true;
    bool said = percent_decode(text, plus_is_space, &out);
    MUST(out.len <= text.len);
    for (size_t i = 0; i < text.len; i++, at++) {
        char c = text.ptr[i];
        bool is_escape = c == '%' && text.len - i > 2 && digit(text.ptr[i + 1]) >= 0 &&
                         digit(text.ptr[i + 2]) >= 0;
        is_valid = is_valid && (c != '%' || is_escape);
        if (is_escape) {
            c = (char)(digit(text.ptr[i + 1]) * 16 + digit(text.ptr[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        MUST(at < out.len && out.ptr[at] == c);
    }
    MUST(at == out.len && said == is_valid);
    buf_deinit(&out);
}

static void check_escaped(struct bytes text) {
    struct buf escaped = {0}, plain = {0};
    for (size_t i = 0; i < text.len; i++)
        buf_printf(&escaped, i % 2 == 0 ? "%%%02x" : "%%%02X", (unsigned char)text.ptr[i]);
    MUST(percent_decode(buf_bytes(&escaped), true, &plain));
    MUST(bytes_equal(buf_bytes(&plain), text));
    buf_deinit(&escaped);
    buf_deinit(&plain);
}

/* As the readers of queries take one apart. */
static void check_query(struct bytes query) {
    struct buf again = {0};
    struct bytes rest = query;
    while (rest.ptr != NULL) {
        struct bytes value = bytes_split(&rest, '&');
        struct bytes key = bytes_split(&value, '=');
        buf_append(&again, key);
        if (value.ptr != NULL)
            buf_append_char(&again, '=');
        buf_append(&again, value);
        if (rest.ptr != NULL)
            buf_append_char(&again, '&');
        check_decoding(key, true);
        check_decoding(value, true);
    }
    MUST(bytes_equal(buf_bytes(&again), query));
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of((const char *)data, size);
    check_decoding(text, false);
    check_decoding(text, true);
    check_escaped(text);
    check_query(text);
    return 0;
}
