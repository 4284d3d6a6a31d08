/*
 * refusals.h - what Redis refuses again and again, reported as a state.
 *
 * Callers that ask again until Redis takes it (the configuration, append.lua, commit.lua, leases …)
 * note every refusal. The first one of a command is a line of the log, and so is one with another
 * error word; when the command was not refused for REFUSAL_OVER_MS, a line says so. Between the two
 * refusals_text has it, for /readyz.
 */
#ifndef SIGNALBOX_BUS_REDIS_REFUSALS_H
#define SIGNALBOX_BUS_REDIS_REFUSALS_H

#include <stdint.h>

#include "common/base/bytes.h"

enum { REFUSALS_MAX = 16, REFUSAL_OVER_MS = 5000 };

struct refusals {
    struct refusal {
        const char *command;
        char error[160]; /* printable */
        uint64_t since_ms, last_ms, count;
    } items[REFUSALS_MAX];
    unsigned count;
    char text[256];
};

/* command: lives for ever ("append.lua"); error: Redis' text. */
void refusals_note(struct refusals *r, const char *command, struct bytes error);
/* Every second: reports what is over. */
void refusals_tick(struct refusals *r);
/* "append.lua: OOM command not allowed …" of the oldest that lasts, "" when there is none. Until
 * the next call. */
const char *refusals_text(struct refusals *r);

#endif
