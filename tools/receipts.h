/*
 * receipts.h - for send --wait: the reports of the gateways about one message (publish.h).
 *
 *     receipts_listen ─▶ on_listening: publish now, with receipts_token in the message
 *     receipts_collect ─▶ on_end once every gateway that follows the Name has reported, or the time
 * is over
 */
#ifndef SIGNALBOX_TOOLS_RECEIPTS_H
#define SIGNALBOX_TOOLS_RECEIPTS_H

#include "common/bus/publish.h"
#include "tools/tool.h"

struct receipts;

struct gateway_receipt {
    char gateway[40];
    struct receipt receipt; /* summed over the reports of this gateway */
};

struct receipts_events {
    void (*on_listening)(void *ctx);
    /* rows are borrowed until return; the receipts are gone after it. */
    void (*on_end)(void *ctx, const struct gateway_receipt *rows, size_t count);
};

/* name NULL: every Name; then the whole time is waited. */
struct receipts *receipts_listen(struct tool *t, const char *name,
                                 const struct receipts_events *events, void *ctx);
/* So many of those that follow the Name are no gateways. */
void receipts_discount(struct receipts *r, size_t followers);
const char *receipts_token(const struct receipts *r);
void receipts_collect(struct receipts *r, uint64_t within_ms);
/* Without on_end. NULL is legal. */
void receipts_drop(struct receipts *r);

#endif
