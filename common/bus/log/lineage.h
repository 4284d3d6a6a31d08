/*
 * lineage.h - the terms of a partition's data set, and whether an id that was read some time ago
 * has its place among them.
 *
 * A failover, a restart without persistence or an older snapshot gives up data that processes have
 * read already. What they read had terms (take_partition.lua); if the data set of today does not
 * have the term of an id, the id belongs to a data set that was given up:
 *
 *     given up   … 1040-1 … 1040-9    1058-1 … 1058-7 ◀ read up to here
 *     today      … 1040-1 … 1040-9    1050-1 … 1050-5    1060-1 …
 *                                     ▲ smaller than 1058-7, and never read
 *
 * An id whose term the data set has misses nothing: all that was appended since has a greater one.
 * An id whose term it does not have misses what the data set has up to the id, unless that was in
 * the data that were given up, too (lineage_contains): in the picture 1050-1 … 1050-5.
 */
#ifndef SIGNALBOX_BUS_LOG_LINEAGE_H
#define SIGNALBOX_BUS_LOG_LINEAGE_H

#include "common/bus/redis/command.h"
#include "common/bus/log/envelope.h"

struct redisReply;

enum { LINEAGE_TERMS = 32 };

struct lineage {
    bool has_owner;         /* false: nothing was ever appended in this data set */
    uint64_t term;          /* the latest */
    struct message_id last; /* the partition's last output; <term>-0 before the first */
    /* Until then, by Redis' clock, the logs of all Names have what was published after this id;
     * kept_until_ms 0: only those of Names that Redis knows to be joined. */
    uint64_t kept_until_ms;
    struct message_id kept_after;
    size_t count; /* 0: the terms are not known */
    struct lineage_term {
        uint64_t term;
        struct message_id before; /* the last output when it began; 0-0: none, or not known */
    } terms[LINEAGE_TERMS + 1];   /* rising; the first is 0 when these are all */
};

/* The command that lineage_read reads the reply of. */
struct command lineage_ask(unsigned partition);
/* False when the reply is no answer to lineage_ask. Terms that make no sense count as unknown. */
bool lineage_read(struct lineage *l_out, const struct redisReply *reply);

enum lineage_place {
    LINEAGE_WITHIN,  /* all that this data set has after the id is greater than it */
    LINEAGE_UNKNOWN, /* older than the terms that are known: nothing speaks against it */
    LINEAGE_ELSEWHERE
};
/* Only while has_owner. */
enum lineage_place lineage_find(const struct lineage *l, struct message_id id);
/* The last output that is not later than an id which is ELSEWHERE. */
struct message_id lineage_up_to(const struct lineage *l, struct message_id id);
/* Whether the term of an id was never given out in this data set: no output has such an id, even if
 * a key that some other program wrote says so. */
bool lineage_is_strange(const struct lineage *l, struct message_id id);
/* Whether an output with this id was appended, as far as l knows. An id with seq 0 is no output. */
bool lineage_contains(const struct lineage *l, struct message_id id);

#endif
