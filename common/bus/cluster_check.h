/*
 * cluster_check.h - for bus.c: with each heartbeat, whether Redis takes writes (probe_write.lua)
 * and whether each partition has an owner. Raises TROUBLE_writes and TROUBLE_unowned.
 */
#ifndef SIGNALBOX_BUS_CLUSTER_CHECK_H
#define SIGNALBOX_BUS_CLUSTER_CHECK_H

struct bus;
struct cluster_check;

struct cluster_check *cluster_check_new(struct bus *bus);
/* After the last answer. */
void cluster_check_free(struct cluster_check *w);
/* bus_can_send must hold. Does nothing while the answer before is to come. */
void cluster_check_ask(struct cluster_check *w);

#endif
