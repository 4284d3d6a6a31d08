/*
 * memo.h - bounded streams that people read: dead letters, refused messages. Best effort.
 *
 * A stream holds the last MEMO_MAX rows, a value in it at most MEMO_VALUE_MAX bytes: what is longer
 * is cut, and the field "bytes" has its whole length.
 */
#ifndef SIGNALBOX_BUS_MEMO_H
#define SIGNALBOX_BUS_MEMO_H

#include "common/base/bytes.h"

struct bus;

enum { MEMO_MAX = 1000, MEMO_VALUE_MAX = 65536 };

/* fields: name, value, name, value … bus_can_send must hold. */
void memo_add(struct bus *bus, struct bytes key, const struct bytes *fields, size_t count);

#endif
