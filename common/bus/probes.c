/* probes.c - see probes.h. */
#include "common/bus/probes.h"

void probes_begin(struct probes *b, uint64_t first) {
    *b = (struct probes){.first = first};
}

/* Its place; that of an old one is taken. */
static unsigned place_of(struct probes *b, uint64_t number) {
    unsigned i = (unsigned)(number % PROBES_KEPT);
    if (b->all[i].number != number) {
        b->all[i].number = number;
        b->all[i].is_accepted = b->all[i].has_come = false;
    }
    return i;
}

static bool find_skipped(struct probes *b) {
    bool is_some = false;
    for (unsigned i = 0; i < PROBES_KEPT; i++) {
        if (!b->all[i].is_accepted || b->all[i].has_come || b->all[i].number >= b->last)
            continue;
        b->all[i].has_come = true;
        is_some = true;
    }
    return is_some;
}

bool probes_accepted(struct probes *b, uint64_t number) {
    if (number < b->first)
        return false;
    b->all[place_of(b, number)].is_accepted = true;
    return find_skipped(b);
}

bool probes_came(struct probes *b, uint64_t number) {
    if (number < b->first)
        return false;
    b->all[place_of(b, number)].has_come = true;
    if (number > b->last)
        b->last = number;
    return find_skipped(b);
}
