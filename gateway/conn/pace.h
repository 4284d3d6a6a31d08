/*
 * pace.h - how fast one client may send: so many messages and so many bytes a second, and for how
 * long it may be over that without a pause (--max-messages-per-second, --rate-patience-ms).
 */
#ifndef SIGNALBOX_GATEWAY_CONN_PACE_H
#define SIGNALBOX_GATEWAY_CONN_PACE_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/conn/rate.h"

struct settings;

struct pace {
    const struct settings *settings;
    struct rate messages, bytes;
    bool spares_messages, spares_bytes; /* it does not have these limits */
    uint64_t over_ms;                   /* since when it has been over the rate; 0: it is not */
};

/* is_local: whether the client is one whom limits spare that nobody set. */
void pace_init(struct pace *p, const struct settings *settings, bool is_local);
/* One more message. For how many milliseconds the client has to wait; 0: it may go on. */
uint64_t pace_take(struct pace *p, uint64_t now_ms, size_t bytes);
/* After pace_take: whether it has been over for longer than --rate-patience-ms. */
bool pace_is_exhausted(const struct pace *p, uint64_t now_ms);
/* For so long it was not read, through no fault of its own: it may catch up (rate.h). */
void pace_unread(struct pace *p, uint64_t ms);

#endif
