/* http_string.c - see http_string.h. */
#include "common/http/http_string.h"

#include <string.h>

static bool is_plain(char c) {
    return c >= 0x20 && c <= 0x7e;
}

/* The value begins with a quote. */
static bool read_quoted(struct bytes value, struct buf *out) {
    for (size_t i = 1; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '"')
            return i + 1 == value.len;
        if (c == '\\' && ++i < value.len && value.ptr[i] != '"' && value.ptr[i] != '\\')
            return false;
        if (i == value.len || !is_plain(value.ptr[i]))
            return false;
        buf_append_char(out, value.ptr[i]);
    }
    return false;
}

bool http_string_read(struct bytes value, struct buf *out) {
    struct bytes text = bytes_trim(value);
    if (text.len > 0 && text.ptr[0] == '"')
        return read_quoted(text, out);
    if (text.len > 0 && memchr(text.ptr, '"', text.len) != NULL)
        return false;
    buf_append(out, text);
    return true;
}
