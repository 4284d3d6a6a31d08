/*
 * levels.h - broadcast levels: what a send must name (seed: Broadcast Levels; reference section 8).
 *
 * Effective level of a Name: its own entry (without case) set at run time, else by the app file;
 * else the default set at run time, else by the app file; else name.
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

/* "name", "group", "client_id" (also "clientid", any case); false for anything else. */
bool level_parse(struct bytes text, enum level *level_out);
/* "name", "group", "clientid": the lower-case spelling of the seed's error text. */
const char *level_text(enum level level);

/* name empty: the default for all Names. LEVEL_UNSET takes the entry away. */
void levels_set(struct levels *l, enum level_source source, struct bytes name, enum level level);
enum level levels_get(const struct levels *l, struct bytes name);
/* For each Name with an entry of this source, as it was written there, in the order of setting. */
typedef void levels_each_fn(void *ctx, struct bytes name, enum level level);
void levels_each(const struct levels *l, enum level_source source, levels_each_fn *fn, void *ctx);

/* Whether a send is allowed: every Name is checked; no Names at all: the default and every level
 * set for a Name. When not, error_out (may be NULL) gets "Signal failed to broadcast due to defined
 * Signal broadcast level for {Name}: {level}". */
bool levels_allow(const struct levels *l, struct bytes_list names, bool has_groups,
                  bool has_clients, struct buf *error_out);

#endif
