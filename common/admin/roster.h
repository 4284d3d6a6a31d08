/*
 * roster.h - which gateways and brokers there are, by their heartbeats: for the lists of the admin
 * listener and of the CLI.
 *
 * A process is alive if its counter moves while we look; no clock is compared. A look therefore
 * takes as long as the slowest heartbeat, and patience_ms if a process is dead. Each look also
 * tries a write that changes nothing: while Redis refuses it no counter can move, and silence means
 * nothing.
 */
#ifndef SIGNALBOX_ADMIN_ROSTER_H
#define SIGNALBOX_ADMIN_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct about_row;
struct buf;
struct bus;
struct roster;

enum roster_kind { ROSTER_GATEWAYS, ROSTER_BROKERS };

/* Longer than two beats. */
enum { ROSTER_PATIENCE_MS = 2200 };

struct roster_row {
    const char *id;
    bool is_alive;
    bool is_known;       /* false: Redis refused writes, so that no heartbeat could move */
    int64_t connections; /* of a gateway: in the registry; -1: a broker, or not known */
    const struct about_row *about;
};

/* "alive", "draining", "drained" or "ending", as the process reports; "silent"; or "unknown" while
 * Redis refuses heartbeats. */
const char *roster_state(const struct roster_row *row);

/* status negative: Redis went away. Rows are sorted by id and borrowed until return. The roster is
 * gone after this. */
typedef void roster_fn(void *ctx, int status, const struct roster_row *rows, size_t count);

/* Answers on a later turn. */
struct roster *roster_look(struct bus *bus, enum roster_kind kind, uint64_t patience_ms,
                           roster_fn *fn, void *ctx);
/* fn is not called any more; NULL is legal. */
void roster_cancel(struct roster *r);

/* [{"id":"…","alive":true,"state":"alive","connections":3,"listen":["http+ws://127.0.0.1:8091"],
 * "admin":"127.0.0.1:9090","host":"…","pid":17,"version":"…"}, …]; brokers have no "connections"
 * and no "listen"; what a process has not reported is missing; "alive" is null if it is not
 * known. */
void roster_write_json(struct buf *out, const struct roster_row *rows, size_t count);

#endif
