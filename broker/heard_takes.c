/* heard_takes.c - see heard_takes.h. */
#include "broker/heard_takes.h"

#include <stdlib.h>

#include "common/base/must.h"
#include "common/bus/bus.h"
#include "common/bus/log/watch.h"

struct slot_takes {
    uint64_t taken, heard; /* terms; the message may come before the grant */
    uint64_t beat;         /* the first heartbeat after the grant */
};

struct heard_takes {
    struct bus *bus;
    unsigned count;
    struct slot_takes slots[];
};

static void on_take(void *ctx, struct bytes payload) {
    struct heard_takes *h = ctx;
    struct bytes term = payload, slot = bytes_split(&term, ' ');
    uint64_t number, heard;
    if (bytes_to_u64(slot, &number) && number < h->count && bytes_to_u64(term, &heard))
        h->slots[number].heard = heard;
}

struct heard_takes *heard_takes_new(struct bus *bus, unsigned slots) {
    static const struct channel_events events = {.on_message = on_take};
    struct heard_takes *h = mem_zalloc(sizeof(*h) + slots * sizeof(h->slots[0]));
    h->bus = bus;
    h->count = slots;
    watch_takes(bus, &events, h);
    return h;
}

void heard_takes_free(struct heard_takes *h) {
    free(h);
}

void heard_takes_taken(struct heard_takes *h, unsigned slot, uint64_t term) {
    h->slots[slot].taken = term;
    h->slots[slot].beat = bus_next_beat(h->bus);
}

void heard_takes_passed(struct heard_takes *h, uint64_t beat) {
    for (unsigned i = 0; i < h->count; i++)
        if (beat >= h->slots[i].beat)
            h->slots[i].heard = h->slots[i].taken;
}

bool heard_takes_has(const struct heard_takes *h, unsigned slot) {
    return h->slots[slot].heard == h->slots[slot].taken;
}
