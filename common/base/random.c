/* random.c - see random.h. */
#include "common/base/random.h"

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "common/base/must.h"

void random_bytes(void *out, size_t len) {
    MUST(RAND_bytes(out, (int)len) == 1);
}

static uint64_t number(void) {
    uint64_t value;
    random_bytes(&value, sizeof(value));
    return value;
}

uint64_t random_below(uint64_t bound) {
    MUST(bound > 0);
    return number() % bound;
}

void random_id(char text_out[17]) {
    snprintf(text_out, 17, "%016llx", (unsigned long long)number());
}

void random_uuid(char text_out[37]) {
    unsigned char b[16];
    random_bytes(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(text_out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

bool random_is_uuid(struct bytes text) {
    static const char shape[] = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"; /* y: 8, 9, a or b */
    if (text.len != sizeof(shape) - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        bool is_variant = c == '8' || c == '9' || c == 'a' || c == 'b';
        if (shape[i] == 'x' ? !is_digit : shape[i] == 'y' ? !is_variant : c != shape[i])
            return false;
    }
    return true;
}

void random_secret(char text_out[65]) {
    for (int i = 0; i < 4; i++)
        random_id(text_out + i * 16);
}
