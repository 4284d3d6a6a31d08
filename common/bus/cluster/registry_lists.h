/*
 * registry_lists.h - how many lists of the registry are read at a time, and how much they hold.
 *
 * A list of a large Name takes many pages and much memory, and a client may be what causes it (an
 * HTTP route that calls signalbox.clients). A list therefore takes a place here first, waits when
 * there is none, and gives up when the lists together would hold too much. The bounds are in
 * registry.h.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_REGISTRY_LISTS_H
#define SIGNALBOX_BUS_CLUSTER_REGISTRY_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct registry;
struct registry_lists;

/* Counted, since a list under way may outlive its registry. */
struct registry_lists *registry_lists_new(void);
struct registry_lists *registry_lists_ref(struct registry_lists *l);
void registry_lists_unref(struct registry_lists *l);
struct registry_lists *registry_lists_of(const struct registry *r);

/* The place of one list; embedded in it, and zeroed at first. */
struct list_place {
    TAILQ_ENTRY(list_place) link;
    enum { PLACE_NONE, PLACE_WAITING, PLACE_TAKEN } state;
    void (*on_turn)(struct list_place *place);
    size_t bytes;
};

/* Calls place->on_turn at once or when a place has become free. False: too many wait already. */
bool registry_lists_enter(struct registry_lists *l, struct list_place *place);
/* Gives the place back, if it has one, and lets the next list begin. */
void registry_lists_leave(struct registry_lists *l, struct list_place *place);
/* The list holds so many bytes more. False: that is too much, and the list should end. */
bool registry_lists_hold(struct registry_lists *l, struct list_place *place, size_t bytes);

#endif
