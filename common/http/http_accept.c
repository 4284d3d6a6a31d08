/* http_accept.c - see http_accept.h. */
#include "common/http/http_accept.h"

#include "common/http/http_head.h"

/* The part before `separator`, as bytes_split does it; a separator within quotes is none. */
static struct bytes split_unquoted(struct bytes *rest, char separator) {
    struct bytes all = *rest;
    bool is_quoted = false;
    for (size_t i = 0; i < all.len; i++) {
        if (is_quoted && all.ptr[i] == '\\')
            i++;
        else if (all.ptr[i] == '"')
            is_quoted = !is_quoted;
        else if (all.ptr[i] == separator && !is_quoted) {
            *rest = bytes_from(all, i + 1);
            return bytes_head(all, i);
        }
    }
    *rest = BYTES_NONE;
    return all;
}

/* 0, 0.5, 1.000: one digit and at most three after the point. */
static bool is_quality(struct bytes text) {
    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
        (text.len > 1 && text.ptr[1] != '.'))
        return false;
    for (size_t i = 2; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > (text.ptr[0] == '1' ? '0' : '9'))
            return false;
    return true;
}

static bool is_zero(struct bytes quality) {
    for (size_t i = 0; i < quality.len; i++)
        if (quality.ptr[i] >= '1' && quality.ptr[i] <= '9')
            return false;
    return true;
}

static bool is_wanted(struct bytes member, const char *type) {
    if (!bytes_equal_nocase(bytes_trim(split_unquoted(&member, ';')), bytes_str(type)))
        return false;
    while (member.ptr != NULL) {
        struct bytes value = split_unquoted(&member, ';');
        struct bytes name = bytes_trim(bytes_split(&value, '='));
        if (!bytes_equal_nocase(name, BYTES_LIT("q")))
            continue;
        value = bytes_trim(value);
        return is_quality(value) && !is_zero(value);
    }
    return true;
}

bool http_accepts(const struct http_head *head, const char *type) {
    for (size_t i = 0; i < head->header_count; i++) {
        struct bytes rest = head->headers[i].value;
        if (!bytes_equal_nocase(head->headers[i].name, BYTES_LIT("Accept")))
            continue;
        while (rest.ptr != NULL)
            if (is_wanted(split_unquoted(&rest, ','), type))
                return true;
    }
    return false;
}
