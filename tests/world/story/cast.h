/*
 * cast.h - who plays in a story besides clients and publishers: Redis, the gateways and the
 * brokers, started, killed and started again.
 *
 *     gateway g   10.0.1.(g+1)   clients: 8091   admin: 9090
 *     broker b    10.0.2.(b+1)                   admin: 9090
 *     Redis       10.0.9.1:6379
 */
#ifndef SIGNALBOX_WORLD_CAST_H
#define SIGNALBOX_WORLD_CAST_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/world/process.h"
#include "tests/world/story/plan.h"

#define REDIS_HOST    "10.0.9.1"
#define REDIS_ADDRESS "10.0.9.1:6379"

enum { CAST_MAX = 8 };

/* app: the folder with app.lua and the admin token. */
void cast_begin(const char *app, unsigned gateways, unsigned brokers);
unsigned cast_count(void); /* gateways and brokers, in this order */
struct process *cast_process(unsigned at);
struct process *cast_of(enum whom whom, unsigned index);
/* It stays down until cast_release was called as often. */
void cast_hold(struct process *p);
void cast_release(struct process *p);
/* It is about to end by itself, and may. False: that was known, or it is dead. */
bool cast_will_end(struct process *p);
bool cast_is_up(void); /* all run */

struct redis_host *cast_redis(void);
struct redis_model *cast_redis_model(void);
uint64_t cast_redis_wall_us(void);

#endif
