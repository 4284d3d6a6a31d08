/* send.h - shared by cmd_send.c, send_lines.c, send_receipts.c and cmd_close.c. */
#ifndef SIGNALBOX_TOOLS_SEND_H
#define SIGNALBOX_TOOLS_SEND_H

#include "common/base/buf.h"
#include "tools/tool.h"

struct receipts;

struct send {
    /* options */
    struct settings_list groups, clients;
    const char *id;
    bool is_binary, is_every, is_json_data, is_stdin, has_no_wait;
    int64_t wait_ms; /* 0: not given */
    /* the run */
    struct tool *tool;
    const char *name;          /* NULL: every Name */
    struct buf head;           /* of a message */
    struct buf text;           /* the one message */
    struct receipts *receipts; /* while they are listened to, else NULL */
    char entry[64];            /* the id of its entry in the public stream */
    char message_id[64];       /* the message's own; empty: not known */
};

/* Without --wait a refusal is looked for this long. */
enum { SEND_VERDICT_MS = 300 };
/* The message's id is listened for this long after a broker has taken it. */
enum { SEND_ID_MS = 1000 };

/* Publishes s->text, prints the message's id, and ends the tool with the verdict. */
void send_text_start(struct send *s);
/* --json: "entry":"…","id":"…" or null, without the braces. */
void send_print_ids(const struct send *s);
/* The message's id, or empty: prints it, and goes on. */
void send_on_id(void *ctx, struct bytes id);
/* For --stdin: reads, sends, counts, and ends the tool. */
void send_lines_start(struct send *s);
/* Listens for the reports about the message, then send_text_start; with --wait prints those of the
 * gateways and ends the tool. */
void send_receipts_start(struct send *s);

#endif
