/* dice.c - see dice.h. The generator is splitmix64. */
#include "tests/world/dice.h"

#include <string.h>

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct dice dice_new(uint64_t seed, uint64_t name) {
    return (struct dice){mix(seed * 0x9e3779b97f4a7c15u + mix(name + 1))};
}

uint64_t dice_roll(struct dice *d) {
    return mix(d->state += 0x9e3779b97f4a7c15u);
}

uint64_t dice_below(struct dice *d, uint64_t bound) {
    return dice_roll(d) % bound;
}

uint64_t dice_between(struct dice *d, uint64_t least, uint64_t most) {
    return least >= most ? least : least + dice_below(d, most - least + 1);
}

uint64_t dice_skewed(struct dice *d, uint64_t least, uint64_t most) {
    unsigned magnitudes = 1;
    while (magnitudes < 64 && (most - least) >> magnitudes != 0)
        magnitudes++;
    uint64_t below = (most - least) >> dice_below(d, magnitudes);
    return dice_between(d, least, least + below);
}

bool dice_chance(struct dice *d, unsigned per_million) {
    return per_million > 0 && dice_below(d, 1000000) < per_million;
}

void dice_bytes(struct dice *d, void *out, size_t len) {
    for (unsigned char *at = out; len > 0;) {
        uint64_t eight = dice_roll(d);
        size_t n = len < sizeof(eight) ? len : sizeof(eight);
        memcpy(at, &eight, n);
        at += n;
        len -= n;
    }
}
