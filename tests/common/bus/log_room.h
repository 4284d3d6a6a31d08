/*
 * log_room.h - for tests: writes the logs of a Name in partition 0 as a broker would, or would not.
 */
#ifndef SIGNALBOX_TESTS_BUS_LOG_ROOM_H
#define SIGNALBOX_TESTS_BUS_LOG_ROOM_H

#include "common/bus/log/envelope.h"
#include "tests/common/bus/bus_room.h"

enum append {
    IN_HISTORY = 1, /* XADD */
    ON_FEED = 2,    /* PUBLISH */
    IN_LAST = 4,    /* SET l:, as of a Name that was joined before everything */
    AS_BROKER = 7,
    IS_NOTE = 8 /* MESSAGE_NOTE */
};

/* Redis knows that the Name was joined before everything. */
void log_join(struct bus_room *room, const char *name);
/* "1040-3" */
struct message_id id_of(const char *text);
/* A message with data = its id. name "*": the log for every Name. prev "": 0-0. */
void log_append(struct bus_room *room, const char *name, const char *id, const char *prev,
                unsigned how);
/* own: the last term, the last output ("": none), the lineage ("": none). The Name N
 * was joined before everything. */
void log_own(struct bus_room *room, const char *term, const char *last, const char *lineage);

#endif
