/*
 * multiplex.h - the path of WebSockets that carry many Signal connections (session/channels.h). The
 * socket itself is none: it joins no Name and has no registration.
 *
 *     handshake ─ 101, welcome ─ open ─ waits for its turn ─▶ request ─ dispatch ─▶ hello, or error
 *
 * An open is a request without a socket of its own: the fields of the handshake, with the path and
 * query of the open, and its token as Authorization. Whatever would answer an upgrade answers it.
 * Opens are begun in their order, some in each turn, and not while much waits to be written: what
 * they have to catch up with goes out past the bound of the queue.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_MULTIPLEX_H
#define SIGNALBOX_GATEWAY_ROUTES_MULTIPLEX_H

#include <stdbool.h>

struct request;

enum {
    OPENS_WAITING_MAX = 1024 * 1024, /* bytes of opens of one socket that wait for their turn */
    OPENS_RUNNING_MAX = 128,         /* opens of one socket under way, */
    OPENS_CATCHING_UP_MAX = 4        /* and of these, those that resume */
};

/* Whether it is that path, where this endpoint speaks WebSocket. */
bool multiplex_is_path(const struct request *r);
/* A handshake for the path that the app has for it, which offers signalbox.v1. */
bool multiplex_is(const struct request *r);
/* Answers it. `run` is what each of its opens is handed to. */
void multiplex_take(struct request *r, void (*run)(struct request *r));

#endif
