/*
 * message_line.h - a message of a Name as one line for people.
 */
#ifndef SIGNALBOX_TOOLS_MESSAGE_LINE_H
#define SIGNALBOX_TOOLS_MESSAGE_LINE_H

#include "common/bus/log/envelope.h"

/* Appends time, id, Name, addresses and the data, which is cut when it is long. name: "*" for one
 * to every Name. Safe for a terminal; without a line feed. */
void message_line_append(struct buf *out, struct bytes name, const struct message *m);

#endif
