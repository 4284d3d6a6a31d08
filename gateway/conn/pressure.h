/*
 * pressure.h - what happens to connections when memory (common/base/memory_budget.h) is short.
 *
 *             in                                             out
 *     full    more than CONN_INPUT_SMALL_MAX bytes of an
 *             unfinished message or request are not read     those whose peer has taken nothing
 *             but in turns; the costliest are closed         for 2 s are dealt with as the policy
 *             after 5 s                                      of their Name says, costliest first
 *     flooded nothing of that kind is; after 1 s             after 1 s
 *     drowned at once                                        at once
 *
 * Who goes first is decided by bytes times milliseconds: how much a connection has kept, and for
 * how long. A client that sends small messages and reads what it is sent keeps nothing.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_PRESSURE_H
#define SIGNALBOX_GATEWAY_CONN_PRESSURE_H

#include <stdbool.h>

struct conns;

/* Once a turn, after sockets were heard; is_tick: about ten times a second. */
void pressure_relieve(struct conns *set, bool is_tick);

#endif
