/* numbers.h - numbers as Redis reads them: strictly, as it would write them itself. */
#ifndef SIGNALBOX_WORLD_REDIS_NUMBERS_H
#define SIGNALBOX_WORLD_REDIS_NUMBERS_H

#include <stdint.h>

#include "common/base/bytes.h"

/* No sign +, no leading zero, no space, no -0; within 64 bits. */
bool number_parse(struct bytes text, int64_t *number_out);
/* As strtod, all of it, and no NaN. */
bool number_parse_float(struct bytes text, double *number_out);
/* glob: *, ?, [a-z], [^a], \x */
bool glob_matches(struct bytes pattern, struct bytes text);

#endif
