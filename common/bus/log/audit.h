/*
 * audit.h - asks Redis, a few Names a second in turn, which id the logs of each may have reached,
 * so that a message that never came is missed also when no other follows it.
 *
 * One question for each Name in a round: the keys l:<name> and l*. Room for another round is there
 * when all questions of this one are answered.
 */
#ifndef SIGNALBOX_BUS_LOG_AUDIT_H
#define SIGNALBOX_BUS_LOG_AUDIT_H

#include "common/bus/log/envelope.h"

struct audit;
struct bus;

enum { AUDIT_ROUND = 256 };

/* The answer: no message of the Name's own log, of the log for every Name, has a later id. 0-0:
 * unknown. subject is what audit_ask was given. */
typedef void audit_fn(void *subject, struct message_id own, struct message_id every);

struct audit *audit_new(struct bus *bus, audit_fn *fn);
void audit_free(struct audit *a);

/* Whether another question has room in this round. */
bool audit_has_room(const struct audit *a);
/* room must be left, and bus_can_send hold. */
void audit_ask(struct audit *a, struct bytes name, void *subject);
/* The subject is gone: its answer is dropped. */
void audit_forget(struct audit *a, const void *subject);

#endif
