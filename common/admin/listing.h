/*
 * listing.h - the connections of the fleet, Name after Name: for the lists of the admin listener
 * and of the CLI.
 */
#ifndef SIGNALBOX_ADMIN_LISTING_H
#define SIGNALBOX_ADMIN_LISTING_H

#include <stddef.h>

#include "common/base/bytes.h"

struct buf;
struct listing;
struct registry;
struct registry_row;

struct listing_events {
    /* Connections of one Name, all of them or a part; borrowed until return. */
    void (*on_rows)(void *ctx, const struct registry_row *rows, size_t count);
    /* status negative: Redis went away. The listing is gone after this. */
    void (*on_end)(void *ctx, int status);
};

/* Empty: of every Name, every group, every client id. Groups are compared without case. */
struct listing_filter {
    struct bytes name, group, client_id;
};
/* Never calls back inside. */
struct listing *listing_start(struct registry *registry, const struct listing_filter *filter,
                              const struct listing_events *events, void *ctx);
/* No more callbacks; NULL is legal. */
void listing_forget(struct listing *l);

/* {"name","clientId","group","gateway","connectedAt"} of each row, with commas between. */
void listing_write_rows(struct buf *out, const struct registry_row *rows, size_t count);
/* "Msg", … of the rows' names, with commas between. */
void listing_write_names(struct buf *out, const struct registry_row *rows, size_t count);

#endif
