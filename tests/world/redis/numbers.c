/* numbers.c - see numbers.h. */
#include "tests/world/redis/numbers.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool number_parse(struct bytes text, int64_t *number_out) {
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    struct bytes digits = bytes_from(text, is_negative);
    uint64_t most = (uint64_t)INT64_MAX + is_negative, n;
    bool has_zero = digits.len > 0 && digits.ptr[0] == '0' && (digits.len > 1 || is_negative);
    if (has_zero || !bytes_to_u64(digits, &n) || n > most)
        return false;
    *number_out = is_negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

bool number_parse_float(struct bytes text, double *number_out) {
    char copy[256], *end;
    if (text.len == 0 || text.len >= sizeof(copy) || isspace((unsigned char)text.ptr[0]))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *number_out = strtod(copy, &end);
    return end == copy + text.len && !isnan(*number_out) &&
           !(errno == ERANGE && (isinf(*number_out) || *number_out == 0));
}

/* [abc], [^a-z]: the pattern begins behind the bracket; *rest_out is behind the closing one. */
static bool class_has(struct bytes p, unsigned char c, struct bytes *rest_out) {
    bool is_not = p.len > 0 && p.ptr[0] == '^', is_in = false;
    for (p = bytes_from(p, is_not); p.len > 0 && p.ptr[0] != ']'; p = bytes_from(p, 1)) {
        if (p.ptr[0] == '\\' && p.len >= 2) {
            p = bytes_from(p, 1);
            is_in |= (unsigned char)p.ptr[0] == c;
        } else if (p.len >= 3 && p.ptr[1] == '-') {
            unsigned char from = (unsigned char)p.ptr[0], to = (unsigned char)p.ptr[2];
            is_in |= from <= to ? c >= from && c <= to : c >= to && c <= from;
            p = bytes_from(p, 2);
        } else {
            is_in |= (unsigned char)p.ptr[0] == c;
        }
    }
    *rest_out = bytes_from(p, 1);
    return is_in != is_not;
}

bool glob_matches(struct bytes p, struct bytes t) {
    for (; p.len > 0; t = bytes_from(t, 1)) {
        if (p.ptr[0] == '*') {
            while (p.len > 0 && p.ptr[0] == '*')
                p = bytes_from(p, 1);
            for (size_t i = 0; p.len > 0 && i <= t.len; i++)
                if (glob_matches(p, bytes_from(t, i)))
                    return true;
            return p.len == 0;
        }
        if (t.len == 0)
            return false;
        if (p.ptr[0] == '[') {
            if (!class_has(bytes_from(p, 1), (unsigned char)t.ptr[0], &p))
                return false;
            continue;
        }
        if (p.ptr[0] == '\\' && p.len >= 2)
            p = bytes_from(p, 1);
        else if (p.ptr[0] == '?') {
            p = bytes_from(p, 1);
            continue;
        }
        if (p.ptr[0] != t.ptr[0])
            return false;
        p = bytes_from(p, 1);
    }
    return t.len == 0;
}
