/* percent.h - the escapes of URLs, %XX (RFC 3986, section 2.1). */
#ifndef SIGNALBOX_BASE_PERCENT_H
#define SIGNALBOX_BASE_PERCENT_H

#include "common/base/buf.h"

/* The byte that the escape at the front of `in` stands for; -1 when `in` begins with no escape. */
int percent_escape_value(struct bytes in);
/* Appends `in` with its escapes decoded, and '+' as a space where plus_is_space (forms, queries).
 * What is no valid escape is kept as it stands; the result is false when there was one. */
bool percent_decode(struct bytes in, bool plus_is_space, struct buf *out);

#endif
