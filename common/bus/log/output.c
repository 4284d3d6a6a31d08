/* output.c - see output.h. */
#include "common/bus/log/output.h"

#include "common/base/arena.h"

struct output output_copy(struct arena *a, const struct output *from, struct bytes name) {
    struct output copy = *from;
    copy.name = name;
    struct message *m = &copy.message;
    m->to_groups = arena_list(a, m->to_groups);
    m->to_clients = arena_list(a, m->to_clients);
    m->to_conn = arena_copy(a, m->to_conn);
    m->from = arena_copy(a, m->from);
    m->data = arena_copy(a, m->data);
    copy.client_id = arena_copy(a, from->client_id);
    copy.change = arena_copy(a, from->change);
    return copy;
}
