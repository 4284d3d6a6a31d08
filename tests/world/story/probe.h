/*
 * probe.h - asks every process for /readyz, as a load balancer does, and holds the answers against
 * what is true: ready when all is calm, not ready when Redis has been out of reach for long.
 */
#ifndef SIGNALBOX_WORLD_PROBE_H
#define SIGNALBOX_WORLD_PROBE_H

#include <stdbool.h>

void probes_start(void);
/* Every process has answered 200, the last time that it was asked. */
bool probes_are_ready(void);

#endif
