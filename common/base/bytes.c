/* bytes.c - see bytes.h. */
#include "common/base/bytes.h"

#include <string.h>

#include "common/base/must.h"

struct bytes bytes_str(const char *text) {
    return text == NULL ? BYTES_NONE : bytes_of(text, strlen(text));
}

struct bytes bytes_from(struct bytes b, size_t from) {
    return from >= b.len ? bytes_of(b.ptr == NULL ? NULL : b.ptr + b.len, 0)
                         : bytes_of(b.ptr + from, b.len - from);
}

struct bytes bytes_head(struct bytes b, size_t len) {
    return bytes_of(b.ptr, len < b.len ? len : b.len);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct bytes bytes_trim(struct bytes b) {
    while (b.len > 0 && is_blank(b.ptr[0]))
        b = bytes_from(b, 1);
    while (b.len > 0 && is_blank(b.ptr[b.len - 1]))
        b.len--;
    return b;
}

bool bytes_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bytes_equal_nocase(struct bytes a, struct bytes b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (bytes_lower(a.ptr[i]) != bytes_lower(b.ptr[i]))
            return false;
    return true;
}

bool bytes_equal_str(struct bytes a, const char *text) {
    return bytes_equal(a, bytes_str(text));
}

bool bytes_ends_with(struct bytes b, struct bytes suffix) {
    return b.len >= suffix.len && bytes_equal(bytes_from(b, b.len - suffix.len), suffix);
}

bool bytes_starts_with(struct bytes b, struct bytes prefix) {
    return b.len >= prefix.len && bytes_equal(bytes_head(b, prefix.len), prefix);
}

int bytes_compare(struct bytes a, struct bytes b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

ptrdiff_t bytes_find(struct bytes b, char c) {
    const char *at = b.len == 0 ? NULL : memchr(b.ptr, c, b.len);
    return at == NULL ? -1 : at - b.ptr;
}

ptrdiff_t bytes_find_last(struct bytes b, char c) {
    const char *at = b.len == 0 ? NULL : memrchr(b.ptr, c, b.len);
    return at == NULL ? -1 : at - b.ptr;
}

struct bytes bytes_split(struct bytes *rest, char separator) {
    ptrdiff_t at = bytes_find(*rest, separator);
    struct bytes part = at < 0 ? *rest : bytes_head(*rest, (size_t)at);
    *rest = at < 0 ? BYTES_NONE : bytes_from(*rest, (size_t)at + 1);
    return part;
}

bool bytes_to_u64(struct bytes b, uint64_t *value_out) {
    uint64_t value = 0;
    if (b.len == 0)
        return false;
    for (size_t i = 0; i < b.len; i++) {
        if (b.ptr[i] < '0' || b.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(b.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *value_out = value;
    return true;
}

char *bytes_dup(struct bytes b) {
    char *copy = mem_alloc(b.len + 1);
    if (b.len > 0)
        memcpy(copy, b.ptr, b.len);
    copy[b.len] = '\0';
    return copy;
}

bool bytes_list_has(struct bytes_list list, struct bytes value) {
    for (size_t i = 0; i < list.count; i++)
        if (bytes_equal(list.items[i], value))
            return true;
    return false;
}

size_t bytes_list_total(struct bytes_list list) {
    size_t total = 0;
    for (size_t i = 0; i < list.count; i++)
        total += list.items[i].len;
    return total;
}
