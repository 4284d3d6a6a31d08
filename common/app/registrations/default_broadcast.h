/*
 * default_broadcast.h - where messages may go that no signal route handles.
 *
 * A client's message whose path has no signal route is sent on to whom it addresses. An app whose
 * signal routes are what decides (who may write, what it says) does not want that: a client that
 * connects at another path could send around them. It closes the Name, or every Name, to such
 * messages.
 *
 * A Name's own setting wins over the general one, what was set at run time over the app file. Names
 * are compared without case, as those of levels.
 */
#ifndef SIGNALBOX_APP_REGISTRATIONS_DEFAULT_BROADCAST_H
#define SIGNALBOX_APP_REGISTRATIONS_DEFAULT_BROADCAST_H

#include <stdbool.h>

#include "common/send/levels.h"

enum open_state { OPEN_UNSET, OPEN_NO, OPEN_YES };

struct default_broadcast;

struct default_broadcast *default_broadcast_new(void);
void default_broadcast_free(struct default_broadcast *d);

/* An empty name stands for all Names without a setting of their own. OPEN_UNSET removes it. */
void default_broadcast_set(struct default_broadcast *d, enum level_source source, struct bytes name,
                           enum open_state state);
/* Whether the Name is open; it is unless somebody said otherwise. */
bool default_broadcast_get(const struct default_broadcast *d, struct bytes name);
/* Whether each of the Names is open; absent: every Name there may be. *closed_out borrows the first
 * that is not, or is "*" for the general setting. */
bool default_broadcast_allows(const struct default_broadcast *d, struct bytes_list names,
                              struct bytes *closed_out);

#endif
