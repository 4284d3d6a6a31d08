/*
 * join.h - how a request becomes a Global connection: in the order drawn here, so that a client
 * that has read its 101 can be reached from everywhere.
 *
 *     FOLLOWING ─ the Name's log is followed ─▶ REGISTERING ─ {position} ─▶ (REPLAYING) ─▶ 101
 *
 * From REGISTERING on, live messages of the Name are held, and those after `position` follow the
 * 101. A client that resumes first gets what the history has between its id and `position`; another
 * one the last messages for it up to `position`, when its route says so.
 *
 * Any failure is a 503. A client that leaves meanwhile is unregistered again.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_JOIN_H
#define SIGNALBOX_GATEWAY_ROUTES_JOIN_H

#include "common/bus/log/envelope.h"
#include "common/bus/log/follower.h"

struct addressees;
struct client;
struct join;
struct request;

/* Answers the request and lets a transport carry the client from now on. */
typedef void join_carry_fn(struct request *r, struct client *client);

struct join_options {
    struct client *client; /* the reference becomes the join's */
    join_carry_fn *carry;
    bool wants_resume; /* it comes back, … */
    bool has_resume;   /* … and this is where it got to: */
    struct message_id resume;
    bool wants_last; /* the route or the client asked for the last messages, … */
    unsigned last;   /* … and so many of them come first, unless it resumes */
};

/* Ends with request->on_converted, never inside the call unless it fails at once. */
void join_start(struct request *r, const struct join_options *options);

/* A live message of the Name. */
void join_on_message(struct join *j, struct addressees *to);
/* Messages were lost for good. A position that was given out already is before the gap, so the
 * client is closed with 4004 right after its 101. */
void join_on_gap(struct join *j, enum gap gap);
struct join *join_next(struct join *j);
/* The number its connection will have. */
uint64_t join_number(const struct join *j);

#endif
