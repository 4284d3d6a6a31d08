/* beats.c - see beats.h. */
#include "common/bus/beats.h"

void beats_begin(struct beats *b, uint64_t first) {
    *b = (struct beats){.first = first};
}

/* Its place; that of an old one is taken. */
static unsigned place_of(struct beats *b, uint64_t number) {
    unsigned i = (unsigned)(number % BEATS_KEPT);
    if (b->all[i].number != number) {
        b->all[i].number = number;
        b->all[i].is_accepted = b->all[i].has_come = false;
    }
    return i;
}

static bool find_skipped(struct beats *b) {
    bool is_some = false;
    for (unsigned i = 0; i < BEATS_KEPT; i++) {
        if (!b->all[i].is_accepted || b->all[i].has_come || b->all[i].number >= b->last)
            continue;
        b->all[i].has_come = true;
        is_some = true;
    }
    return is_some;
}

bool beats_accepted(struct beats *b, uint64_t number) {
    if (number < b->first)
        return false;
    b->all[place_of(b, number)].is_accepted = true;
    return find_skipped(b);
}

bool beats_came(struct beats *b, uint64_t number) {
    if (number < b->first)
        return false;
    b->all[place_of(b, number)].has_come = true;
    if (number > b->last)
        b->last = number;
    return find_skipped(b);
}
