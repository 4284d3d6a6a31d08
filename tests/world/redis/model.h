/*
 * model.h - a Redis 7.0 server in process: what a server answers to the commands that the product
 * uses, byte for byte, in RESP2, with its scripts run by the same Lua (5.1). It has no socket and
 * no clock: bytes are handed in and come out, and the caller says what time it is.
 *
 * Why a model, and not the real server stepped: a command costs one or two microseconds instead of
 * two switches of processes, a whole server is copied and put back at will, and the order of lists
 * and scans follows from a seed. test_redis_model.py holds it to the real server.
 *
 *     struct redis_model *m = redis_model_new(seed);
 *     redis_model_set_time(m, now_us);                 before each step; whenever redis_model_due
 *     struct redis_session *s = redis_session_new(m, &events, ctx);
 *     redis_session_feed(s, bytes);
 *     while (redis_session_step(s)) ...                one command each
 *
 * What is not here: lists, consumer groups, geo, HyperLogLog, RESP3, users other than "default",
 * keyspace notifications, eviction. A replica is another model with a copy of the data.
 */
#ifndef SIGNALBOX_WORLD_REDIS_MODEL_H
#define SIGNALBOX_WORLD_REDIS_MODEL_H

#include <stdint.h>

#include "common/base/buf.h"

struct data;
struct redis_model;
struct redis_session;

struct redis_events {
    /* Bytes for the client; borrowed until return. Also from within another session's step. */
    void (*on_output)(void *ctx, struct bytes out);
    /* The server ends the connection, after what it has written. The owner frees the session
     * later, never within the call. */
    void (*on_close)(void *ctx);
    /* It was blocked and is not any more: step it, there may be commands. */
    void (*on_unblocked)(void *ctx);
};

/* What a server answers to commands, whatever they are. */
enum redis_refusal {
    REDIS_FINE,
    REDIS_LOADING,     /* after a restart, until the data are there */
    REDIS_BUSY,        /* a script runs for too long */
    REDIS_MISCONF,     /* a snapshot failed: no writes */
    REDIS_MISCONF_AOF, /* the append-only file cannot be written: no writes */
    REDIS_NOREPLICAS,  /* min-replicas-to-write: no writes */
    REDIS_MASTERDOWN   /* a replica without its master */
};

/* ---- the server ---- */

/* The seed decides run id, hashing and so the order of lists and scans. */
struct redis_model *redis_model_new(uint64_t seed);
/* Its sessions must be gone. */
void redis_model_free(struct redis_model *m);

/* Wall clock in microseconds since 1970. It may go back, as clocks do. monotonic_us measures how
 * long commands block. */
void redis_model_set_time(struct redis_model *m, int64_t wall_us, uint64_t monotonic_us);
/* Whether keys that nobody asks for go by themselves when they have expired; normally they do. */
void redis_model_set_sweeping(struct redis_model *m, bool is_sweeping);
/* Monotonic time at which a blocked command times out; UINT64_MAX: none. Ends those that are due
 * when redis_model_set_time comes to it. */
uint64_t redis_model_due(const struct redis_model *m);

/* A new process: another run id, no scripts, client numbers from 1. All sessions must be gone.
 * Takes the data; NULL: empty. */
void redis_model_restart(struct redis_model *m, struct data *data);
/* A copy of all that it keeps, for redis_model_restart or redis_model_set_data, or to be dropped. */
struct data *redis_model_copy_data(const struct redis_model *m);
void redis_model_drop_data(struct data *data);
/* As a replica does that was sent everything anew: sessions stay. Takes the data; NULL:
 * empty. */
void redis_model_set_data(struct redis_model *m, struct data *data);

/* It becomes a replica: blocked commands end with UNBLOCKED and their connections with them,
 * writes with READONLY. */
void redis_model_demote(struct redis_model *m);
/* It becomes a master, with a new replication id. */
void redis_model_promote(struct redis_model *m);
void redis_model_refuse(struct redis_model *m, enum redis_refusal refusal);
/* Bytes in use as INFO tells, and from how many on commands that need memory are refused; 0: no
 * bound. */
size_t redis_model_memory(const struct redis_model *m);
void redis_model_set_maxmemory(struct redis_model *m, size_t bytes);
/* "requirepass", "proto-max-bulk-len" …; false: no such setting. */
bool redis_model_config(struct redis_model *m, const char *name, const char *value);
/* Every PUBLISH, whoever listens. NULL ends it. */
void redis_model_tap(struct redis_model *m,
                     void (*fn)(void *ctx, struct bytes channel, struct bytes payload), void *ctx);
/* Every command of a connection, before it is carried out; the data may be changed there. NULL ends
 * it. */
void redis_model_ahead(struct redis_model *m,
                       void (*fn)(void *ctx, const struct bytes *argv, int argc), void *ctx);
/* A command from nowhere, carried out at once whatever is refused, for those who look on. Appends
 * the reply. */
void redis_model_ask(struct redis_model *m, const struct bytes *argv, int argc, struct buf *out);

/* ---- its connections ---- */

/* addr is what CLIENT LIST tells; copied. events and ctx are borrowed for life. */
struct redis_session *redis_session_new(struct redis_model *m, const char *addr,
                                        const struct redis_events *events, void *ctx);
/* The connection is gone. */
void redis_session_free(struct redis_session *s);
/* Nothing is carried out yet. */
void redis_session_feed(struct redis_session *s, struct bytes in);
/* Carries out the next command, if a whole one is there and it may run. False: nothing to do. */
bool redis_session_step(struct redis_session *s);
/* A whole command waits and may run. */
bool redis_session_has_command(const struct redis_session *s);
/* Channels and patterns it is subscribed to. */
size_t redis_session_subscriptions(const struct redis_session *s);
int64_t redis_session_id(const struct redis_session *s);

#endif
