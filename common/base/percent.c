/* percent.c - see percent.h. */
#include "common/base/percent.h"

int percent_escape_value(struct bytes in) {
    int high = in.len < 3 || in.ptr[0] != '%' ? -1 : bytes_hex_value(in.ptr[1]);
    int low = high < 0 ? -1 : bytes_hex_value(in.ptr[2]);
    return low < 0 ? -1 : high << 4 | low;
}

bool percent_decode(struct bytes in, bool plus_is_space, struct buf *out) {
    bool is_valid = true;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        int value = percent_escape_value(bytes_from(in, i));
        if (value >= 0) {
            buf_append_char(out, (char)value);
            i += 2;
            continue;
        }
        is_valid = is_valid && c != '%';
        buf_append_char(out, c == '+' && plus_is_space ? ' ' : c);
    }
    return is_valid;
}
