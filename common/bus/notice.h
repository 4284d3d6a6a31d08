/*
 * notice.h - what processes and the CLI tell each other on the control channel: one text each, by
 * the table notices.def, from which both the encoder and the decoder are made.
 *
 *     WORD     " <bytes without space and line feed>"
 *     NUMBER   " <decimal>"
 *     EITHER   " <one of two words>": true for the first; any other word reads as false
 *     SIZED    " <length> <bytes>"
 *     TEXT     " <everything up to the end>"
 *     TAIL     "<everything up to the end>", without a space before it
 *
 * Empty fields at the end are left out, with their spaces. Whoever reads a notice checks whether a
 * word that it needs is empty. notice_decode accepts any bytes.
 *
 * In a fleet with a cluster secret a notice is proven (proof.h) and has the time at which it was
 * sent before it: "hmac:… 1764226800000 reload". It holds for a minute.
 */
#ifndef SIGNALBOX_BUS_NOTICE_H
#define SIGNALBOX_BUS_NOTICE_H

#include "common/base/buf.h"

struct bus;
struct channel_events;

/* clang-format off */
#define NOTICE(kind)                  struct notice_##kind {
#define WORD(kind, member)            struct bytes member;
#define NUMBER(kind, member)          uint64_t member;
#define EITHER(kind, member, yes, no) bool member;
#define SIZED(kind, member)           struct bytes member;
#define TEXT(kind, member)            struct bytes member;
#define TAIL(kind, member)            struct bytes member;
#define END(kind)                     };
#include "common/bus/notices.def"
/* clang-format on */

enum notice_kind {
#define NOTICE(kind) NOTICE_##kind,
#include "common/bus/notices.def"
    NOTICE_COUNT
};

struct notice {
    enum notice_kind kind;
    union {
#define NOTICE(kind) struct notice_##kind kind;
#include "common/bus/notices.def"
    };
};

void notice_encode(struct buf *out, const struct notice *n);
/* Borrows from the text. False when it is no notice that this process knows. */
bool notice_decode(struct bytes text, struct notice *n_out);

/* What came over the control channel, if it may be believed. Otherwise as notice_decode. */
bool notice_read(struct bus *b, struct bytes payload, struct notice *n_out);

/* Publishes a notice; does nothing while Redis is away. */
void notice_send(struct bus *b, const struct notice *n);
/* The same for a caller that knows that Redis is there. fn, which may be NULL: whether Redis has
 * published it. */
typedef void notice_sent_fn(void *ctx, bool is_sent);
void notice_send_then(struct bus *b, const struct notice *n, notice_sent_fn *fn, void *ctx);

/* What comes over the control channel, for notice_read: see bus_subscribe. */
void notice_listen(struct bus *b, const struct channel_events *events, void *ctx);
void notice_listen_end(struct bus *b);

#endif
