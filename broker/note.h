/* note.h - what a sender that speaks signalbox.v1 is told about a message that bore a `ref`. */
#ifndef SIGNALBOX_BROKER_NOTE_H
#define SIGNALBOX_BROKER_NOTE_H

#include "common/base/bytes.h"

struct client_message;
struct outcome;

/* {"type":"ack","ref":…,"id":…}; id is null when the message left for other partitions only. */
void note_ack(struct outcome *o, const struct client_message *m);
/* {"type":"error","ref":…,"code":…,"message":…}; code: level, bad_request, too_big, handler, busy.
 */
void note_error(struct outcome *o, const struct client_message *m, const char *code,
                struct bytes text);

#endif
