/*
 * cors.h - pages of other origins and their event streams (Fetch, 3.3). Whoever may open a
 * WebSocket here (origin.h) may open an event stream and post to it, and nobody else: browsers ask
 * for leave, with a preflight or with the answer, which WebSockets do not need.
 *
 * The headers go to conversions, posted messages and preflights alone. What a route answers itself
 * is its own business.
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_CORS_H
#define SIGNALBOX_GATEWAY_ROUTES_CORS_H

#include <stdbool.h>

struct request;

/* Judges the origin, and lets its page read the answer to the request, whatever it will be. False:
 * it is not allowed. The answer varies by origin in any case. Once a request. */
bool cors_admit(struct request *r);

/* OPTIONS from a page that wants to GET or POST. */
bool cors_is_preflight(const struct request *r);
/* Answers it: 204, or 403. */
void cors_answer_preflight(struct request *r);

#endif
