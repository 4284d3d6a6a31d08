/* reconcile.c - see reconcile.h. */
#include "gateway/delivery/reconcile.h"

#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/registry.h"
#include "gateway/routes/join.h"
#include "gateway/session/clients.h"

void reconcile_init(struct reconcile *r, struct bus *bus, struct registry *registry,
                    struct clients *clients) {
    *r = (struct reconcile){.bus = bus, .registry = registry, .clients = clients};
}

/* Joins count, too, since they are registered before they are attached. */
static bool is_here(struct clients *clients, struct bytes name, uint64_t number) {
    if (clients_by_number(clients, number) != NULL)
        return true;
    struct name_entry *e = clients_find(clients, name);
    if (e == NULL)
        return false;
    for (struct join *j = LIST_FIRST(&e->joins); j != NULL; j = join_next(j))
        if (join_number(j) == number)
            return true;
    return false;
}

static void on_row(void *ctx, const struct registry_row *row) {
    struct reconcile *r = ctx;
    struct conn_value value;
    if (!conn_value_parse(row->value, &value) || !bytes_equal_str(value.gateway, bus_id(r->bus)) ||
        is_here(r->clients, row->name, value.number))
        return;
    log_info("reconcile", "unregistered id=%s name=%s", LOG_TEXT(row->client_id),
             LOG_TEXT(row->name));
    /* Without a cause: its Disconnect ran before Redis fell back. */
    registry_unregister(r->registry, row->name, row->client_id, row->value, BYTES_LIT(""));
}

/* When Redis is lost, or refuses, it begins again later. */
static void on_end(void *ctx, bool is_complete) {
    struct reconcile *r = ctx;
    r->is_running = false;
    if (is_complete)
        reconcile_go_on(r);
    else
        r->is_due = true;
}

void reconcile_go_on(struct reconcile *r) {
    if (!r->is_due || r->is_running || !bus_can_send(r->bus))
        return;
    r->is_due = false;
    r->is_running = true;
    own_registrations_read(&r->walk, r->bus, on_row, on_end, r);
}

void reconcile_start(struct reconcile *r) {
    r->is_due = true;
    reconcile_go_on(r);
}
