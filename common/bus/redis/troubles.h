/*
 * troubles.h - what does not work at present, by name: for /readyz, /metrics and the log.
 *
 * Whoever may fail embeds a struct trouble, raises it with each failure and clears it with the
 * first success. The log gets a line when the first of a kind has lasted and one when the last is
 * over, however often it was raised. The kinds are the table troubles.def.
 *
 * To add a trouble: a line in troubles.def, a gauge in metrics.def, trouble_raise where it fails
 * and trouble_clear where it works again.
 */
#ifndef SIGNALBOX_BUS_REDIS_TROUBLES_H
#define SIGNALBOX_BUS_REDIS_TROUBLES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/bytes.h"

struct troubles;
struct buf;

enum trouble_kind {
#define X(kind, grace_ms, fade_ms, blocks, text) TROUBLE_##kind,
#include "common/bus/redis/troubles.def"
#undef X
    TROUBLE_KINDS
};

enum { TROUBLE_AT_MAX = 24, TROUBLE_WHY_MAX = 160 };

struct trouble {
    struct troubles *all;
    enum trouble_kind kind;
    LIST_ENTRY(trouble) link;
    char at[TROUBLE_AT_MAX]; /* which one of its kind, "" when there is only one */
    char why[TROUBLE_WHY_MAX];
    const char *reason; /* a text that says why better while it is not empty; borrowed, or NULL */
    uint64_t since_ms, last_ms; /* raised first, raised last; 0: not at present */
    uint64_t times;
};

struct troubles *troubles_new(void);
void troubles_free(struct troubles *all);

void trouble_init(struct trouble *t, struct troubles *all, enum trouble_kind kind, const char *at);
/* why is copied, one line of printable ASCII is left of it. */
void trouble_raise(struct trouble *t, struct bytes why);
/* Idempotent. Also before the memory of t goes. */
void trouble_clear(struct trouble *t);
bool trouble_is_raised(const struct trouble *t);
/* For how long without a break; 0 when it is not raised. */
uint64_t trouble_age_ms(const struct trouble *t);

/* Each second: ends what has faded, writes the log, sets the gauges. */
void troubles_tick(struct troubles *all);

/* Appends "text at (and N more): why, for N s; …", past their grace: those that block a process of
 * this kind, or those that do not. Appends nothing when there are none. */
void troubles_describe(const struct troubles *all, bool is_broker, bool is_blocking,
                       struct buf *out);

#endif
