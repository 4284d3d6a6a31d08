/* table.c - see table.h. */
#include "common/base/table.h"

#include <string.h>

#include <sys/random.h>

static uint64_t process_secret[2];

/* Before main: a table may be filled at any time after it. */
__attribute__((constructor)) static void choose_secret(void) {
    MUST(getrandom(process_secret, sizeof(process_secret), 0) == (ssize_t)sizeof(process_secret));
}

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotated(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s) {
    s->a += s->b;
    s->c += s->d;
    s->b = rotated(s->b, 13) ^ s->a;
    s->d = rotated(s->d, 16) ^ s->c;
    s->a = rotated(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotated(s->b, 17) ^ s->c;
    s->d = rotated(s->d, 21) ^ s->a;
    s->c = rotated(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t word) {
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

uint64_t table_hash_keyed(const uint64_t secret[2], const void *key, size_t len) {
    struct sip s = {secret[0] ^ 0x736f6d6570736575, secret[1] ^ 0x646f72616e646f6d,
                    secret[0] ^ 0x6c7967656e657261, secret[1] ^ 0x7465646279746573};
    const unsigned char *at = key; /* NULL when len is 0 */
    uint64_t word;
    for (size_t words = len / sizeof(word); words > 0; words--, at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sip_word(&s, word);
    }
    word = (uint64_t)len << 56;
    for (size_t i = 0; i < (len & 7); i++)
        word |= (uint64_t)at[i] << (8 * i);
    sip_word(&s, word);
    s.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint32_t table_hash(const void *key, size_t len) {
    uint64_t hash = table_hash_keyed(process_secret, key, len);
    return (uint32_t)(hash ^ hash >> 32);
}
