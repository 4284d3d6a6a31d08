/* reconcile.c - see reconcile.h. */
#include "gateway/delivery/reconcile.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/registry.h"
#include "gateway/routes/join.h"
#include "gateway/session/clients.h"

struct reconcile_name {
    char *text;
    size_t len;
};

void reconcile_init(struct reconcile *r, struct bus *bus, struct registry *registry,
                    struct clients *clients) {
    *r = (struct reconcile){.bus = bus, .registry = registry, .clients = clients};
}

static void forget_names(struct reconcile *r) {
    while (r->count > 0)
        free(r->names[--r->count].text);
    free(r->names);
    r->names = NULL;
}

void reconcile_deinit(struct reconcile *r) {
    forget_names(r);
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

static void look_at(struct reconcile *r, const struct registry_row *row) {
    struct conn_value value;
    if (!conn_value_parse(row->value, &value) || !bytes_equal_str(value.gateway, bus_id(r->bus)) ||
        is_here(r->clients, row->name, value.number))
        return;
    log_info("reconcile", "unregistered id=%s name=%s", LOG_TEXT(row->client_id),
             LOG_TEXT(row->name));
    /* Without a cause: its Disconnect ran before Redis fell back. */
    registry_unregister(r->registry, row->name, row->client_id, row->value, BYTES_LIT(""));
}

static void on_rows(void *ctx, int status, const struct registry_row *rows, size_t count);

/* When Redis is lost it ends; the next restore starts another. */
static void end(struct reconcile *r, bool is_complete) {
    forget_names(r);
    r->is_running = false;
    if (is_complete && r->starts_again)
        reconcile_start(r);
}

static void next(struct reconcile *r) {
    if (r->count == 0) {
        end(r, true);
        return;
    }
    struct reconcile_name name = r->names[--r->count];
    registry_list(r->registry, bytes_of(name.text, name.len), on_rows, r);
    free(name.text);
}

static void on_rows(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct reconcile *r = ctx;
    for (size_t i = 0; status == 0 && i < count; i++)
        look_at(r, &rows[i]);
    if (status < 0)
        end(r, false);
    else
        next(r);
}

static void on_names(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct reconcile *r = ctx;
    if (status < 0) {
        end(r, false);
        return;
    }
    r->names = mem_alloc((count + 1) * sizeof(*r->names));
    for (size_t i = 0; i < count; i++)
        r->names[i] =
            (struct reconcile_name){.text = bytes_dup(rows[i].name), .len = rows[i].name.len};
    r->count = count;
    next(r);
}

void reconcile_start(struct reconcile *r) {
    r->starts_again = r->is_running;
    if (r->is_running)
        return;
    r->is_running = true;
    registry_names(r->registry, on_names, r);
}
