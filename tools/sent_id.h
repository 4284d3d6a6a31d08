/*
 * sent_id.h - under which id a message of `send` was published: the id that clients, tail, trace
 * and the history know. Redis' answer to XADD is only the id of the entry in the public stream.
 *
 *     sent_id_listen ─▶ on_listening: publish now ─▶ sent_id_entry ─▶ sent_id_wait ─▶ on_id
 *
 * It listens to the channel of the Name. A broker gives a message the time of its entry, so time,
 * address and data tell which one is ours; of several that are equal in all of them, it is the
 * first.
 */
#ifndef SIGNALBOX_TOOLS_SENT_ID_H
#define SIGNALBOX_TOOLS_SENT_ID_H

#include "common/base/bytes.h"

struct sent_id;
struct tool;

struct sent_id_events {
    void (*on_listening)(void *ctx);
    /* Empty: it was not seen. The text is borrowed, and *sent_id gone after this. */
    void (*on_id)(void *ctx, struct bytes id);
};

/* text: the message as it will be published to the Name (public_message.h). */
struct sent_id *sent_id_listen(struct tool *t, const char *name, struct bytes text,
                               const struct sent_id_events *events, void *ctx);
/* Redis has it, as the entry of this id. */
void sent_id_entry(struct sent_id *s, struct bytes entry);
void sent_id_wait(struct sent_id *s, uint64_t within_ms);
/* Without on_id. NULL is legal. */
void sent_id_drop(struct sent_id *s);

#endif
