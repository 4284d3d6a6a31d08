/*
 * ask.h - questions to Redis of which a caller outside of common/bus wants the value only: for the
 * CLI, the lists of the admin API and the checks of every second.
 */
#ifndef SIGNALBOX_BUS_ASK_H
#define SIGNALBOX_BUS_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

struct bus;

struct ask_answer {
    bool is_lost; /* the connection broke first, and there is nothing else */
    bool is_refused;
    struct bytes text; /* of the value, or of the error that refuses it; or BYTES_NONE */
    int64_t number;    /* 0 when there is none */
};

/* Borrowed until return. bus_can_send must hold for all of these. */
typedef void ask_fn(void *ctx, const struct ask_answer *answer);

/* The text of a section of INFO, and the value of a setting (CONFIG GET). */
void ask_info(struct bus *bus, const char *section, ask_fn *fn, void *ctx);
void ask_config(struct bus *bus, const char *setting, ask_fn *fn, void *ctx);
/* Redis' clock, in ms since 1970. */
void ask_clock(struct bus *bus, ask_fn *fn, void *ctx);
/* Whether a write is accepted, by one that changes nothing. */
void ask_write(struct bus *bus, ask_fn *fn, void *ctx);
/* How many partitions have an owner. */
void ask_owned(struct bus *bus, ask_fn *fn, void *ctx);
/* How many connections a gateway has in a partition. */
void ask_connections(struct bus *bus, unsigned partition, const char *gateway, ask_fn *fn,
                     void *ctx);

#endif
