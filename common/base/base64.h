/* base64.h - RFC 4648: section 4, with padding, and section 5 (base64url), without. */
#ifndef SIGNALBOX_BASE_BASE64_H
#define SIGNALBOX_BASE_BASE64_H

#include <stdbool.h>

#include "common/base/buf.h"

/* Exactly what base64_encode writes. */
static inline size_t base64_encoded_size(size_t len) {
    return (len + 2) / 3 * 4;
}
/* Returns how much it wrote; without a NUL. */
size_t base64_encode(struct bytes data, char *out);
void base64_append(struct buf *out, struct bytes data);
/* Room that base64_decode needs. */
static inline size_t base64_decoded_max(size_t len) {
    return len / 4 * 3;
}
/* false when it is not just that. */
bool base64_decode(struct bytes text, char *out, size_t *len_out);

void base64url_append(struct buf *out, struct bytes data);
/* Appends what the text stands for. False when it is not just that; then nothing is appended. */
bool base64url_decode(struct bytes text, struct buf *out);

#endif
