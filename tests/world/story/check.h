/*
 * check.h - the invariants I1 … I5 (docs/testing.md), judged on the books of a story that has come
 * to rest.
 */
#ifndef SIGNALBOX_WORLD_CHECK_H
#define SIGNALBOX_WORLD_CHECK_H

#include <stdbool.h>
#include <stdint.h>

/* Whether what is still to come has come: accepted messages published and delivered, events
 * complete, the registry true. why_out: what is missing. */
bool check_is_at_rest(const char **why_out);
/* All of it; violations go to violate. Between the two times of Redis' clock ticks were due. */
void check_all(uint64_t from_wall_us, uint64_t to_wall_us);

#endif
