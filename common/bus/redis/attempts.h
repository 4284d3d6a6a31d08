/*
 * attempts.h - how long a link waits before its next connection, when one has proved useful, and
 * which failures are worth a line of the log.
 *
 * The wait doubles from failure to failure, from 50 ms to 2 s, until a connection is proven: READY
 * for two seconds with an answer that is no error. To be READY is no proof, since what Redis
 * refuses it refuses right after it. A connection that was READY and merely ended is made anew
 * after a quarter of a second at most, sixteen times in a row.
 *
 * A failure is a state and not an event: one line until a connection is proven or fails for
 * another reason.
 */
#ifndef SIGNALBOX_BUS_REDIS_ATTEMPTS_H
#define SIGNALBOX_BUS_REDIS_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>

struct attempts {
    unsigned failures;  /* since a connection was proven */
    unsigned ready_ms;  /* of this connection */
    bool has_succeeded; /* it had an answer that is no error */
    bool is_proven;
    bool is_warned;
    uint64_t warned_ms;
    char warned[256]; /* the trouble that was logged last */
};

/* A connection is READY. */
void attempts_began(struct attempts *a);
/* It has been READY for so much longer. name: of the link, for the log. */
void attempts_lasted(struct attempts *a, unsigned ms, const char *name);
/* A connection failed. was_cut: it was READY and ended without a word of Redis. Returns how long to
 * wait, 30 % off either way, so that a fleet does not come at once. */
unsigned attempts_failed(struct attempts *a, bool was_cut);
void attempts_log(struct attempts *a, const char *name, const char *trouble);

#endif
