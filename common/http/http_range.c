/* http_range.c - see http_range.h. */
#include "common/http/http_range.h"

/* Digits only; a number too large for 64 bits is UINT64_MAX, which is past every file. */
static bool read_number(struct bytes text, uint64_t *value_out) {
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    if (!bytes_to_u64(text, value_out))
        *value_out = UINT64_MAX;
    return text.len > 0;
}

static enum http_range last_bytes(uint64_t count, uint64_t size, uint64_t *begin_out,
                                  uint64_t *end_out) {
    if (count == 0)
        return HTTP_RANGE_NONE;
    *begin_out = count < size ? size - count : 0;
    *end_out = size;
    return size == 0 ? HTTP_RANGE_ALL : HTTP_RANGE_PART; /* no Content-Range can say "no bytes" */
}

enum http_range http_range_parse(struct bytes value, uint64_t size, uint64_t *begin_out,
                                 uint64_t *end_out) {
    struct bytes rest = value;
    struct bytes unit = bytes_split(&rest, '=');
    if (!bytes_equal_nocase(unit, BYTES_LIT("bytes")) || rest.ptr == NULL)
        return HTTP_RANGE_ALL;
    struct bytes last_text = bytes_trim(rest);
    struct bytes first_text = bytes_split(&last_text, '-');
    uint64_t first, last = UINT64_MAX;
    if (last_text.ptr == NULL || (last_text.len > 0 && !read_number(last_text, &last)))
        return HTTP_RANGE_ALL;
    if (first_text.len == 0)
        return last_text.len == 0 ? HTTP_RANGE_ALL : last_bytes(last, size, begin_out, end_out);
    if (!read_number(first_text, &first) || last < first)
        return HTTP_RANGE_ALL;
    if (first >= size)
        return HTTP_RANGE_NONE;
    *begin_out = first;
    *end_out = last < size ? last + 1 : size;
    return HTTP_RANGE_PART;
}
