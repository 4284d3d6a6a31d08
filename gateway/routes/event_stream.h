/*
 * event_stream.h - from a request to an event stream (conn/sse.h): what a GET has to be for that,
 * where it resumes, and the head of its answer.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_EVENT_STREAM_H
#define SIGNALBOX_GATEWAY_ROUTES_EVENT_STREAM_H

#include "gateway/session/wire.h"

struct client;
struct request;

/* A GET or HEAD that asks for one. */
bool event_stream_is_asked(const struct request *r);
/* Refuses what cannot become one, or what must not come back. False: it may go on. */
bool event_stream_is_refused(struct request *r);
enum wire event_stream_wire(const struct request *r);
/* Answers the request, whose connection changes over to events. Returns the carrier. */
struct sse *event_stream_open(struct request *r, struct client *client);

#endif
