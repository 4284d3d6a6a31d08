/*
 * upgrade.h - from a request to a Signal connection, over a WebSocket or an event stream. The
 * handshake, the origin and the names are checked, then the connection gets its identity; a Global
 * one then joins its Name (join.h), a Local one is answered at once, with 101 or 200.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_UPGRADE_H
#define SIGNALBOX_GATEWAY_ROUTES_UPGRADE_H

#include "common/app/registrations/registrations.h"
#include "common/base/buf.h"
#include "common/bus/log/envelope.h"

struct request;

struct upgrade_options {
    struct bytes name, client_id; /* client_id: empty when not given */
    struct bytes_list groups;
    struct bytes data; /* kept with the connection: JSON; or empty */
    enum scope scope;
    bool is_automatic;    /* no route: the id is never signed */
    bool is_uncompressed; /* whatever the client asks for */
    unsigned last;        /* so many of the last messages come first, at most LOOK_BACK_MAX; a
                             client may ask for fewer */
};

enum upgrade_outcome {
    UPGRADE_OPEN,    /* the answer was written (Local) */
    UPGRADE_WAITING, /* request->on_converted will be called */
    UPGRADE_REFUSED, /* the refusal was written */
    UPGRADE_INVALID  /* a name is not valid: see upgrade_error; nothing was written */
};

/* The reason, and the status for the client unless the app answers itself: 400 for a value that is
 * not valid, since it may come from the client; 500 if the app gave no Name; 503. */
struct upgrade_error {
    int status;
    const char *text; /* constant */
};

enum upgrade_outcome upgrade(struct request *r, const struct upgrade_options *options,
                             struct upgrade_error *error_out);

/* Whether a handshake may not become a WebSocket: then it was refused. */
bool upgrade_is_refused(struct request *r);
struct ws_reply_fields;
/* Appends the 101 with these fields, of which the date and the route's lines are set here. */
void upgrade_append_101(struct buf *out, const struct request *r, struct ws_reply_fields *fields);

/* Appends the client id that a connection with these options would have, signed where the app
 * signs. */
struct upgrade_error upgrade_decide_id(const struct request *r, const struct upgrade_options *o,
                                       struct buf *id);
/* The groups that it would have: those that are more than white space. False with the reason: they
 * are too many, too long, or no texts. */
struct upgrade_groups {
    struct bytes items[CONN_GROUPS_MAX];
    size_t count;
};
const char *upgrade_groups(const struct upgrade_options *o, struct upgrade_groups *groups_out);

#endif
