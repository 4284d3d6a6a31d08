/*
 * upgrade.h - from a request to a WebSocket connection: is the handshake right, may the origin, are
 * the names valid, who is it; then a join (Global) or a 101 at once (Local).
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_UPGRADE_H
#define SIGNALBOX_GATEWAY_ROUTES_UPGRADE_H

#include "common/app/registrations/registrations.h"
#include "common/base/buf.h"

struct request;

struct upgrade_options {
    struct bytes name, group, client_id; /* group, client_id: empty when not given */
    enum scope scope;
    bool is_automatic; /* no route: the id is never signed */
};

enum upgrade_outcome {
    UPGRADE_OPEN,    /* the 101 was written (Local) */
    UPGRADE_WAITING, /* request->on_converted will be called */
    UPGRADE_REFUSED, /* the refusal was written */
    UPGRADE_INVALID  /* the names will not do: see upgrade_error; nothing was written */
};

/* Why, and what the client is answered unless the app does it: 400 when a value cannot be (it came
 * from the client, as far as anybody knows), 500 when the app gave none, 503. */
struct upgrade_error {
    int status;
    const char *text; /* constant */
};

enum upgrade_outcome upgrade(struct request *r, const struct upgrade_options *options,
                             struct upgrade_error *error_out);

#endif
