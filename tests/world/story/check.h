/*
 * check.h - the invariants I1 … I5 (docs/testing.md), judged on the books of a story that has come
 * to rest.
 */
#ifndef SIGNALBOX_WORLD_CHECK_H
#define SIGNALBOX_WORLD_CHECK_H

#include <stdbool.h>

/* Whether what is still to come has come: accepted messages published and delivered, events
 * complete, the registry true. why_out: what is missing. */
bool check_is_at_rest(const char **why_out);
/* All of it; violations go to violate. */
void check_all(void);

#endif
