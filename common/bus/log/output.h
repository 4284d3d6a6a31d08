/* output.h - what an entry leads to: one message for the log of a Name. */
#ifndef SIGNALBOX_BUS_LOG_OUTPUT_H
#define SIGNALBOX_BUS_LOG_OUTPUT_H

#include "common/bus/log/envelope.h"

struct arena;

struct output {
    struct bytes name; /* empty: the log for every Name */
    bool has_history;
    unsigned keep;          /* of the Name: so many of the newest outlive the history; 0: none */
    struct message message; /* without id and prev */
    /* Of a message GROUPS: whose groups change, and how (groups_change_encode). */
    struct bytes client_id, change;
};

/* Copies what it borrows; name: its name, which lives as long. */
struct output output_copy(struct arena *a, const struct output *from, struct bytes name);

#endif
