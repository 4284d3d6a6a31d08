/*
 * receipts.h - for send: the reports of brokers and gateways about one message (publish.h).
 *
 *     receipts_listen   ─▶ on_listening   publish now, with receipts_token in the message
 *     receipts_await_id ─▶ on_id          the id under which a broker has published it
 *     receipts_collect  ─▶ on_end         every gateway that follows the Name has reported,
 *                                         or the time is over
 */
#ifndef SIGNALBOX_TOOLS_RECEIPTS_H
#define SIGNALBOX_TOOLS_RECEIPTS_H

#include "common/bus/log/publish.h"

struct bus;
struct receipts;

struct gateway_receipt {
    char gateway[40];
    struct receipt receipt; /* summed over the reports of this gateway */
};

struct receipts_events {
    void (*on_listening)(void *ctx);
    /* The message's id; empty: no broker has reported it. */
    void (*on_id)(void *ctx, struct bytes id);
    /* The sum of all reports, and a row for each gateway, borrowed until return. The receipts are
     * gone after it. */
    void (*on_end)(void *ctx, const struct receipt *sum, const struct gateway_receipt *rows,
                   size_t count);
};

/* name: the number of gateways that follow it is looked up, so that receipts_collect ends with the
 * last report. Empty (every Name, or nobody collects): it takes its whole time. Borrowed. */
struct receipts *receipts_listen(struct bus *bus, struct bytes name,
                                 const struct receipts_events *events, void *ctx);
const char *receipts_token(const struct receipts *r);
/* on_id, once it is known or the time is over. */
void receipts_await_id(struct receipts *r, uint64_t within_ms);
void receipts_collect(struct receipts *r, uint64_t within_ms);
/* Without on_end. NULL is legal. */
void receipts_drop(struct receipts *r);

#endif
