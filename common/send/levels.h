/*
 * levels.h - broadcast levels: what a send must address at least (seed: Broadcast Levels; reference
 * section 8).
 *
 * The level of a Name is its own entry, which is looked up without case: the one set at run time,
 * else that of the app file. Without an entry it is the default set at run time, else that of the
 * app file, else "name".
 *
 *              only Name   +Group   +ClientId   +both
 *   name          ok         ok        ok        ok
 *   group        fail        ok        ok        ok
 *   client_id    fail       fail       ok        ok
 */
#ifndef SIGNALBOX_SEND_LEVELS_H
#define SIGNALBOX_SEND_LEVELS_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/bus/log/envelope.h"

enum level { LEVEL_UNSET, LEVEL_NAME, LEVEL_GROUP, LEVEL_CLIENT_ID };
enum level_source { LEVEL_FROM_APP, LEVEL_FROM_CLUSTER /* wins */ };

struct levels;

struct levels *levels_new(void);
void levels_free(struct levels *l);

/* Reads "name", "group", "client_id" or "clientid", in any case; false for anything else. */
bool level_parse(struct bytes text, enum level *level_out);
/* "name", "group", "clientid": the lower-case spelling of the seed's error text. */
const char *level_text(enum level level);

/* An empty name stands for the default of all Names. LEVEL_UNSET removes the entry. */
void levels_set(struct levels *l, enum level_source source, struct bytes name, enum level level);
enum level levels_get(const struct levels *l, struct bytes name);
/* Calls fn for each Name with an entry of this source, as it was written there, in the order in
 * which the entries were set. */
typedef void levels_each_fn(void *ctx, struct bytes name, enum level level);
void levels_each(const struct levels *l, enum level_source source, levels_each_fn *fn, void *ctx);

/* Whether a send is allowed. Each of its Names is checked; a send to every Name is checked
 * against the default and every level that is set for a Name. When it is not allowed, error_out
 * (may be NULL) gets "Signal failed to broadcast due to defined Signal broadcast level for
 * {Name}: {level}". */
bool levels_allow(const struct levels *l, struct bytes_list names, bool has_groups,
                  bool has_clients, struct buf *error_out);

#endif
