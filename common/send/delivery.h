/*
 * delivery.h - what a send or a close asks for: data, and to whom. Every entrance makes one of it
 * (a client's message, an app's handler, the public entrances, an entry of a partition), and from
 * there on all are treated alike:
 *
 *     delivery_check_data          is the data allowed at all?
 *     delivery_is_allowed          do the broadcast levels allow it?
 *     delivery_fits                does Redis take it?
 *     delivery_split               one entry for each partition that it concerns
 *     delivery_of_entry            and what such an entry says
 *     delivery_message             what is written into the log of a Name
 *     delivery_read_close          and what a gateway reads there about a close
 */
#ifndef SIGNALBOX_SEND_DELIVERY_H
#define SIGNALBOX_SEND_DELIVERY_H

#include "common/base/close_reason.h"
#include "common/bus/log/envelope.h"

struct buf;
struct bus;
struct levels;

struct delivery {
    enum message_kind kind; /* MESSAGE_DATA, MESSAGE_CLOSE or MESSAGE_GROUPS */
    uint64_t ts_ms;
    struct bytes_list names;           /* absent: every Name */
    struct bytes_list groups, clients; /* absent: all; any list that is empty: nobody */
    struct bytes from;                 /* client id of the sender, or empty */
    unsigned flags;                    /* FLAG_BINARY, FLAG_JSON, FLAG_RECEIPT, FLAG_UNCOMPRESSED */
    struct bytes data;                 /* CLOSE: the reason */
    int64_t code;                      /* CLOSE; GROUPS: enum groups_change */
    struct bytes once;                 /* the publisher's idempotency key, or empty */
};

/* One connection: the Name in whose log it listens, and its value. */
struct recipient {
    struct bytes name, conn;
};

/* Whether data of so many bytes may be sent; one line in error_out when not. */
bool delivery_check_size(size_t bytes, size_t max_message_bytes, struct buf *error_out);
/* The same, and text must be UTF-8. */
bool delivery_check_data(struct bytes data, bool is_binary, size_t max_message_bytes,
                         struct buf *error_out);

/* Whether a close may have this code and this reason, which is at most CLOSE_TEXT_MAX bytes of
 * UTF-8; one line in error_out when not. */
bool delivery_check_close(int64_t code, struct bytes reason, struct buf *error_out);

/* Whether it can change groups: of one connection, and those that a connection may have; one line
 * in error_out when not. */
bool delivery_check_groups(const struct delivery *d, struct buf *error_out);

/* Whether one of its lists is empty, so that it is done without anything being sent. */
bool delivery_is_for_nobody(const struct delivery *d);
/* Whether the levels allow it, every Name checked; error_out (may be NULL) gets the text when not.
 * What is for nobody breaks no level, and a close is not subject to levels. */
bool delivery_is_allowed(const struct delivery *d, const struct levels *levels,
                         struct buf *error_out);
/* Whether Redis takes what this becomes, as far as it is known (capacity.h); error_out says why
 * not. */
bool delivery_fits(const struct delivery *d, const struct bus *bus, struct buf *error_out);

/* The entries that carry it to its partitions, one call for each, in the order of the first Name in
 * it; each Name once. names: those of this partition, none for every Name. All is borrowed until
 * return. */
typedef void delivery_share_fn(void *ctx, unsigned partition, struct bytes_list names,
                               struct bytes entry);
void delivery_split(const struct delivery *d, unsigned partitions, delivery_share_fn *fn,
                    void *ctx);
/* Appends the entry that carries it to one connection. */
void delivery_encode_to_one(struct buf *out, const struct recipient *to, const struct delivery *d);
/* Of an entry SEND or CLOSE; borrows from it. */
struct delivery delivery_of_entry(const struct entry *e);

/* The message for the log of a Name; borrows from the delivery, and from `room` for a close. */
enum { DELIVERY_CLOSE_MAX = 2 + CLOSE_TEXT_MAX };
struct message delivery_message(const struct delivery *d, char room[DELIVERY_CLOSE_MAX]);
/* The code of a message CLOSE; *reason_out borrows from it. */
int delivery_read_close(const struct message *m, struct bytes *reason_out);

#endif
