/*
 * rejects.h - bounded streams that people read: dead letters, refused messages. Best effort.
 *
 * A stream holds the last REJECTS_MAX rows, and a value in it has at most REJECTS_VALUE_MAX bytes.
 * A longer one is cut, and the field "bytes" says how long it was.
 */
#ifndef SIGNALBOX_BUS_LOG_REJECTS_H
#define SIGNALBOX_BUS_LOG_REJECTS_H

#include "common/base/bytes.h"

struct bus;

enum { REJECTS_MAX = 1000, REJECTS_VALUE_MAX = 65536 };

/* fields: name, value, name, value … bus_can_send must hold. */
void rejects_add_dead_letter(struct bus *bus, unsigned partition, const struct bytes *fields,
                             size_t count);
/* A message of the public stream. */
void rejects_add_refused(struct bus *bus, const struct bytes *fields, size_t count);

#endif
