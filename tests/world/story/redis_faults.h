/* redis_faults.h - how a fault of Redis begins and ends. */
#ifndef SIGNALBOX_WORLD_REDIS_FAULTS_H
#define SIGNALBOX_WORLD_REDIS_FAULTS_H

#include "tests/world/story/plan.h"

void redis_fault_begin(const struct fault *f);
void redis_fault_end(const struct fault *f);

#endif
