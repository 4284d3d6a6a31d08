/*
 * retained.h - a page of the history of a Name, the newest message first, with whom each message
 * was for: for handlers, the admin API and the CLI, who may see all of it.
 *
 * What the Name's clients could be sent is in it: its own messages, and those to every Name. A page
 * ends after `limit` messages, or when they have more than RETAINED_BYTES_MAX together.
 */
#ifndef SIGNALBOX_BUS_LOG_RETAINED_H
#define SIGNALBOX_BUS_LOG_RETAINED_H

#include "common/bus/log/envelope.h"
#include "common/bus/log/look_back.h"

struct retained;

/* A page ends with the message that goes over it, encoded. */
enum { RETAINED_BYTES_MAX = 1024 * 1024, RETAINED_USUAL = 100 /* unless somebody says another */ };

struct retained_ask {
    struct bytes name;
    struct message_id before; /* from retained_parse_before; MESSAGE_ID_NONE: the newest page */
    unsigned limit;           /* 1 to LOOK_BACK_MAX */
};

struct retained_page {
    const struct message *messages;
    size_t count;
    struct message_id next; /* what the next page is to be before; MESSAGE_ID_NONE: nothing more */
};

/* status 0, or why there is no page: see retained_failure. Borrowed until return. */
typedef void retained_fn(void *ctx, int status, const struct retained_page *page);
/* One line about a status below 0; -ESTALE is the caller's fault. */
const char *retained_failure(int status);

/* Whether a text is an id that a page may be before. */
bool retained_parse_before(struct bytes text, struct message_id *before_out);
#define RETAINED_NO_ID "before: is no id of a message"

/* Answers on a later turn. bus_can_send must hold. */
struct retained *retained_start(struct bus *bus, const struct retained_ask *ask, retained_fn *fn,
                                void *ctx);
/* fn is not called any more; NULL is legal. */
void retained_cancel(struct retained *r);

#endif
