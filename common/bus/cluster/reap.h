/*
 * reap.h - one buried gateway in one partition: entomb, then a Disconnect for each member of its
 * set, then it is forgotten there. Each ends by itself; what breaks off is found again by the next
 * sweep.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_REAP_H
#define SIGNALBOX_BUS_CLUSTER_REAP_H

#include "common/base/bytes.h"

struct bus;
struct reaps;

enum { REAP_TOMB_SECONDS = 86400 };

struct reaps *reaps_new(struct bus *bus);
/* Once the link answers no more. NULL is legal. */
void reaps_free(struct reaps *all);

/* Does nothing while the same is under way. */
void reap_start(struct reaps *all, unsigned partition, struct bytes gateway);

/* Exposed for tests: "name NUL client_id NUL value". */
bool reap_read_member(struct bytes member, struct bytes *name_out, struct bytes *client_id_out,
                      struct bytes *value_out);

#endif
