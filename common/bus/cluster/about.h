/*
 * about.h - what a gateway or broker says of itself, for `signalbox gateways` and `brokers`: its
 * host, process number, version, state and addresses.
 *
 * One hash per process, KEY_ABOUT <id>, that expires by itself: it is written when Redis is
 * reached, at every change of the state, and every ABOUT_RENEW_MS. Only its heartbeat says whether
 * a process is alive (heartbeats.h).
 */
#ifndef SIGNALBOX_BUS_CLUSTER_ABOUT_H
#define SIGNALBOX_BUS_CLUSTER_ABOUT_H

#include <stdint.h>

#include "common/base/bytes.h"

struct about;
struct bus;

enum { ABOUT_RENEW_MS = 15000, ABOUT_TTL_S = 60, ABOUT_TEXT_MAX = 400 };

/* listen: the URLs of the endpoints with spaces between them, "" for a broker; admin: the address
 * of the admin listener or "". All are copied. The first state is "alive". */
struct about *about_new(struct bus *bus, struct bytes listen, const char *admin);
void about_free(struct about *a);
/* One word, kept by pointer: "alive", "draining", "drained", "ending". */
void about_set_state(struct about *a, const char *state);

/* A text that the process did not write is ""; each is cut at ABOUT_TEXT_MAX. */
struct about_row {
    char host[ABOUT_TEXT_MAX], version[ABOUT_TEXT_MAX], state[ABOUT_TEXT_MAX];
    char listen[ABOUT_TEXT_MAX], admin[ABOUT_TEXT_MAX];
    int64_t pid; /* 0: not known */
};

/* status negative: Redis went away. The row is borrowed until return. */
typedef void about_fn(void *ctx, int status, const struct about_row *row);
void about_ask(struct bus *bus, const char *id, about_fn *fn, void *ctx);

#endif
