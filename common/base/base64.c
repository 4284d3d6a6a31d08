/* base64.c - see base64.h. */
#include "common/base/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(struct bytes data, char *out) {
    const unsigned char *in = (const unsigned char *)data.ptr;
    char *at = out;
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = data.len - i;
        uint32_t three = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                         (left > 2 ? in[i + 2] : 0);
        *at++ = alphabet[three >> 18];
        *at++ = alphabet[three >> 12 & 63];
        *at++ = left > 1 ? alphabet[three >> 6 & 63] : '=';
        *at++ = left > 2 ? alphabet[three & 63] : '=';
    }
    return (size_t)(at - out);
}

void base64_append(struct buf *out, struct bytes data) {
    buf_added(out, base64_encode(data, buf_reserve(out, base64_encoded_size(data.len))));
}

bool base64_decode(struct bytes text, char *out, size_t *len_out) {
    size_t len = 0, padding = 0;
    if (text.len % 4 != 0)
        return false;
    while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < text.len; i += 4) {
        uint32_t bits = 0;
        for (size_t j = i; j < i + 4; j++) {
            bool is_padding = j >= text.len - padding;
            ptrdiff_t value = is_padding ? 0 : bytes_find(bytes_str(alphabet), text.ptr[j]);
            if (value < 0)
                return false;
            bits = bits << 6 | (uint32_t)value;
        }
        out[len++] = (char)(bits >> 16);
        out[len++] = (char)(bits >> 8);
        out[len++] = (char)bits;
    }
    *len_out = len - padding;
    return true;
}

void base64url_append(struct buf *out, struct bytes data) {
    size_t begin = out->len;
    base64_append(out, data);
    while (out->len > begin && out->ptr[out->len - 1] == '=')
        out->len--;
    for (size_t i = begin; i < out->len; i++)
        out->ptr[i] = out->ptr[i] == '+' ? '-' : out->ptr[i] == '/' ? '_' : out->ptr[i];
}

bool base64url_decode(struct bytes text, struct buf *out) {
    struct buf padded = {0}, again = {0};
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        buf_append_char(&padded, text.ptr[i] == '-' ? '+' : text.ptr[i] == '_' ? '/' : text.ptr[i]);
    while (padded.len % 4 != 0)
        buf_append_char(&padded, '=');
    char *to = buf_reserve(out, base64_decoded_max(padded.len) + 1);
    bool is_ok = base64_decode(buf_bytes(&padded), to, &len);
    if (is_ok) /* one spelling of each: no bits that mean nothing, and no padding */
        base64url_append(&again, bytes_of(to, len));
    is_ok = is_ok && bytes_equal(buf_bytes(&again), text);
    if (is_ok)
        buf_added(out, len);
    buf_deinit(&padded);
    buf_deinit(&again);
    return is_ok;
}
