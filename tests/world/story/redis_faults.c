/* redis_faults.c - the faults of Redis (fault.def), which inflict.c calls. */
#include "tests/world/network.h"
#include "tests/world/redis/host.h"
#include "tests/world/redis/model.h"
#include "tests/world/story/books.h"
#include "tests/world/story/cast.h"

void redis_fault_begin(const struct fault *f);
void redis_fault_end(const struct fault *f);

void redis_fault_begin(const struct fault *f) {
    struct process *p = redis_host_process(cast_redis());
    switch ((int)f->kind) {
    case FAULT_REDIS_STOP: process_stop(p); break;
    case FAULT_REDIS_CUT: net_reset_all("*", REDIS_HOST); break;
    case FAULT_REDIS_MISCONF: redis_model_refuse(cast_redis_model(), REDIS_MISCONF); break;
    case FAULT_REDIS_NOREPLICAS: redis_model_refuse(cast_redis_model(), REDIS_NOREPLICAS); break;
    case FAULT_REDIS_OOM: redis_model_set_maxmemory(cast_redis_model(), 1); break;
    default: break;
    }
}

void redis_fault_end(const struct fault *f) {
    struct process *p = redis_host_process(cast_redis());
    switch ((int)f->kind) {
    case FAULT_REDIS_STOP: process_continue(p); break;
    case FAULT_REDIS_MISCONF:
    case FAULT_REDIS_NOREPLICAS: redis_model_refuse(cast_redis_model(), REDIS_FINE); break;
    case FAULT_REDIS_OOM: redis_model_set_maxmemory(cast_redis_model(), 0); break;
    default: break;
    }
}
