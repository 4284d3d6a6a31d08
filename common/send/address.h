/*
 * address.h - what a Name, a group, a client id or a path may be, and how many of them a list may
 * hold: the same at every entrance (D18), with the same words for what is wrong.
 */
#ifndef SIGNALBOX_SEND_ADDRESS_H
#define SIGNALBOX_SEND_ADDRESS_H

#include "common/base/buf.h"
#include "common/bus/log/envelope.h"

enum { ADDRESS_BYTES_MAX = 1024, ADDRESS_LIST_MAX = 1000 };

#define ADDRESS_NO_TEXTS "must be a string or a list of strings"
#define ADDRESS_NO_TEXT  "must be one string"
#define ADDRESS_TOO_MANY "has more than 1000 elements"

/* What one send may come to: for each of its Names the data and the address once. */
#define ADDRESS_COST_MAX ((size_t)256 * 1024 * 1024)

/* What is wrong with one text; NULL when nothing is. */
const char *address_fault(struct bytes text);

/* Whether a send of so many bytes, to these, stays within ADDRESS_COST_MAX; else one line in
 * error_out. */
bool address_is_affordable(struct bytes_list names, struct bytes_list groups,
                           struct bytes_list clients, size_t data_bytes, struct buf *error_out);

/* Texts that were read from elsewhere; each is on the heap. items is NULL as long as nothing was
 * given; a list without a text in it has items and count 0, and addresses nobody. */
struct texts {
    struct bytes *items;
    size_t count;
};

/* An empty list was given, or one more text, of which a copy is made. */
void texts_give(struct texts *t);
void texts_add(struct texts *t, struct bytes text);
void texts_deinit(struct texts *t);

static inline struct bytes_list texts_list(const struct texts *t) {
    return (struct bytes_list){t->items, t->count};
}

#endif
