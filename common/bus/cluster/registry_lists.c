/* registry_lists.c - see registry_lists.h. */
#include "common/bus/cluster/registry_lists.h"

#include <stdlib.h>

#include "common/base/must.h"
#include "common/bus/cluster/registry.h"

struct registry_lists {
    unsigned refs, running, waiting;
    size_t bytes; /* that all of them hold */
    TAILQ_HEAD(, list_place) line;
};

struct registry_lists *registry_lists_new(void) {
    struct registry_lists *l = mem_zalloc(sizeof(*l));
    l->refs = 1;
    TAILQ_INIT(&l->line);
    return l;
}

struct registry_lists *registry_lists_ref(struct registry_lists *l) {
    l->refs++;
    return l;
}

void registry_lists_unref(struct registry_lists *l) {
    if (--l->refs == 0)
        free(l);
}

static void begin(struct registry_lists *l, struct list_place *place) {
    place->state = PLACE_TAKEN;
    l->running++;
    place->on_turn(place);
}

bool registry_lists_enter(struct registry_lists *l, struct list_place *place) {
    if (l->running < REGISTRY_LISTS_MAX) {
        begin(l, place);
        return true;
    }
    if (l->waiting == REGISTRY_LISTS_WAITING_MAX)
        return false;
    place->state = PLACE_WAITING;
    TAILQ_INSERT_TAIL(&l->line, place, link);
    l->waiting++;
    return true;
}

void registry_lists_leave(struct registry_lists *l, struct list_place *place) {
    MUST(place->state != PLACE_WAITING);
    if (place->state == PLACE_NONE)
        return;
    l->running--;
    l->bytes -= place->bytes;
    place->state = PLACE_NONE;
    struct list_place *next = TAILQ_FIRST(&l->line);
    if (next == NULL)
        return;
    TAILQ_REMOVE(&l->line, next, link);
    l->waiting--;
    begin(l, next);
}

bool registry_lists_hold(struct registry_lists *l, struct list_place *place, size_t bytes) {
    place->bytes += bytes;
    l->bytes += bytes;
    return l->bytes <= REGISTRY_LISTS_BYTES_MAX;
}
