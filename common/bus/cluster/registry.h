/*
 * registry.h - who is connected, in Redis: (Name, client id) → connection value. Live Global
 * connections only.
 *
 * All calls answer on a later turn. While Redis is away register fails at once (-ENOTCONN);
 * unregister is repeated until answered, also over reconnects; lists fail.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_REGISTRY_H
#define SIGNALBOX_BUS_CLUSTER_REGISTRY_H

#include "common/bus/cluster/registry_member.h"
#include "common/bus/log/envelope.h"

struct bus;
struct registry;

struct registry *registry_new(struct bus *bus);
void registry_free(struct registry *r);
struct bus *registry_bus(const struct registry *r);

enum registered {
    REGISTERED_OK,
    REGISTERED_ELSEWHERE, /* restore only: another connection took the id over */
    REGISTERED_FAILED     /* Redis away, full or out of memory */
};
typedef void registry_registered_fn(void *ctx, enum registered result, struct message_id position);

struct registration {
    struct bytes name, client_id;
    struct bytes value;   /* conn_value */
    bool is_restore;      /* after a Redis outage: no events, no take-over */
    struct bytes details; /* encoded conn_details; empty: the value says it all */
};

/* register.lua. An earlier connection with the same name and id is taken over; its gateway
 * learns it through the log. */
void registry_register(struct registry *r, const struct registration *what,
                       registry_registered_fn *fn, void *ctx);
/* Forgets the callback (the registration itself may happen: unregister it). */
void registry_cancel(struct registry *r, void *ctx);
/* unregister.lua: only if the value is still registered. cause: "client:1000:bye" … goes to the
 * Disconnect event; empty: it has had one, there is none now. */
void registry_unregister(struct registry *r, struct bytes name, struct bytes client_id,
                         struct bytes value, struct bytes cause);
/* Unregistrations not answered yet. */
size_t registry_pending(const struct registry *r);

/* rows borrowed until return; status negative: no answer, and registry_failure says why. */
typedef void registry_rows_fn(void *ctx, int status, const struct registry_row *rows, size_t count);
const char *registry_failure(int status);

/* --- look-ups: a few commands, however many connections there are --- */

/* One connection; count 0 or 1. */
void registry_find(struct registry *r, struct bytes name, struct bytes client_id,
                   registry_rows_fn *fn, void *ctx);
/* The connections with this id over all Names, at most so many of each partition. */
void registry_find_id(struct registry *r, struct bytes client_id, unsigned most,
                      registry_rows_fn *fn, void *ctx);
/* Whether a Name has a connection: count 0 or 1, the row has only `name`. */
void registry_find_name(struct registry *r, struct bytes name, registry_rows_fn *fn, void *ctx);

/* --- lists: page by page. At most REGISTRY_LISTS_MAX are read at a time, others wait for them, and
 * what all of them hold is bounded: a process whose clients cause lists stays within it. --- */

enum {
    REGISTRY_LISTS_MAX = 8,
    REGISTRY_LISTS_WAITING_MAX = 1000,
    REGISTRY_LISTS_BYTES_MAX = 256 * 1024 * 1024,
    REGISTRY_LIST_MAX = 50000,
    REGISTRY_NAMES_MAX = 100000,
    REGISTRY_PART_ROWS = 1000
};
enum { REGISTRY_PART = 1 /* as a status: there is more to come */ };

/* All connections of a Name; -E2BIG if there are more than REGISTRY_LIST_MAX. */
void registry_list(struct registry *r, struct bytes name, registry_rows_fn *fn, void *ctx);
/* However many there are: fn is called with REGISTRY_PART for each part of at most
 * REGISTRY_PART_ROWS, a turn of the loop apart, and at the end with 0 or an error and no rows. */
void registry_list_in_parts(struct registry *r, struct bytes name, registry_rows_fn *fn, void *ctx);
/* Every Name with a live connection; rows have only `name`. -EFBIG if there are more than
 * REGISTRY_NAMES_MAX. */
void registry_names(struct registry *r, registry_rows_fn *fn, void *ctx);
/* However many there are, in parts as registry_list_in_parts. */
void registry_names_in_parts(struct registry *r, registry_rows_fn *fn, void *ctx);

#endif
