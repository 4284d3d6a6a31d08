/*
 * dice.h - pseudo-random numbers from a seed. Everything in the world that is left to chance asks
 * one of its dice, so that a seed decides the whole story.
 */
#ifndef SIGNALBOX_WORLD_DICE_H
#define SIGNALBOX_WORLD_DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

/* Dice of the same seed and different names are independent of each other. */
struct dice dice_new(uint64_t seed, uint64_t name);
uint64_t dice_roll(struct dice *d);
/* Below bound, which is not 0. */
uint64_t dice_below(struct dice *d, uint64_t bound);
/* From least to most, both included. */
uint64_t dice_between(struct dice *d, uint64_t least, uint64_t most);
/* The same, but every order of magnitude is as likely as every other: mostly small, now and then
 * large. */
uint64_t dice_skewed(struct dice *d, uint64_t least, uint64_t most);
bool dice_chance(struct dice *d, unsigned per_million);
void dice_bytes(struct dice *d, void *out, size_t len);

#endif
