/*
 * send_one.h - puts one message (or one close) into the public stream, and says what became of it.
 *
 *     send_one_run ─▶ receipts_listen ─▶ publish_json ─▶ verdict_ask ─▶ receipts_await_id
 *                 └──────(--no-wait)─────▲                          ─▶ receipts_collect (--wait)
 */
#ifndef SIGNALBOX_TOOLS_SEND_ONE_H
#define SIGNALBOX_TOOLS_SEND_ONE_H

#include "common/send/delivery.h"
#include "common/send/public_message.h"
#include "tools/tool.h"

struct receipts;

struct send_one {
    struct tool *tool;
    struct delivery what; /* borrows; the address is set by send_one_address */
    bool has_one_id;      /* it becomes one message, whose id can be learned */
    bool has_no_wait;     /* nothing is asked once Redis has it */
    int64_t wait_ms;      /* the reports of the gateways are waited for; 0: they are not */
    /* Private to send_one.c from here; zeroed. */
    struct texts names, groups, clients;
    struct buf text;
    struct receipts *receipts; /* while they are listened to, else NULL */
    char entry[64];            /* the id of its entry in the public stream */
    char message_id[64];       /* the message's own; empty: not known */
};

/* Without --wait a refusal is looked for this long. */
enum { SEND_VERDICT_MS = 300 };

enum send_check { SEND_FINE, SEND_NOTHING /* correct, and there is nothing to send */, SEND_BAD };
/* Whether a broker will take the text; otherwise one line in error_out. bus: NULL before there is
 * a connection. */
enum send_check send_one_check(struct bytes text, const struct bus *bus, struct buf *error_out);

/* To whom it goes: name NULL means every Name. False after one line on standard error. */
bool send_one_address(struct send_one *s, const char *name, const struct settings_list *groups,
                      const struct settings_list *clients);
/* Connects, sends, prints the id, and returns the exit code. */
int send_one_run(struct send_one *s);
/* After the tool has ended. */
void send_one_deinit(struct send_one *s);

#endif
