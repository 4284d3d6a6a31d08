/*
 * resume.h - how a client that comes back says so: ?signalbox-resume=<id>, <token> or <token>~<id>
 * (session/resume_token.h), and on an event stream Last-Event-ID, whose id wins.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_RESUME_H
#define SIGNALBOX_GATEWAY_ROUTES_RESUME_H

#include "common/base/buf.h"
#include "common/bus/log/envelope.h"

struct request;
struct upgrade_options;

struct resume {
    bool is_asked;     /* for what was missed, … */
    bool has_position; /* … since then; without one that is not known */
    struct message_id position;
    struct bytes client_id; /* of its token: that its connection shall have again; or empty */
    struct buf text;        /* what client_id points into */
};

/* For a connection with a hello that these options make. */
void resume_read(struct resume *out, const struct request *r, const struct upgrade_options *o,
                 bool is_stream);
void resume_deinit(struct resume *resume);

#endif
