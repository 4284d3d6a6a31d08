/*
 * address.h - what a Name, a group, a client id or a path may be, and how many of them a list may
 * hold. The limits and the texts of their errors are the same at every entrance (D18).
 */
#ifndef SIGNALBOX_SEND_ADDRESS_H
#define SIGNALBOX_SEND_ADDRESS_H

#include "common/base/buf.h"
#include "common/bus/log/envelope.h"

enum { ADDRESS_BYTES_MAX = 1024, ADDRESS_LIST_MAX = ENVELOPE_LIST_MAX };

#define ADDRESS_TOO_LONG "has more than 1024 bytes"
#define ADDRESS_NO_TEXTS "must be a string or a list of strings"
#define ADDRESS_NO_TEXT  "must be one string"
#define ADDRESS_TOO_MANY "has more than 1000 elements"

/* What one send may cost: its data and its address once for each of its Names. An element of a list
 * costs ADDRESS_ELEMENT_BYTES besides its text. A send to one Name is as large as it is. */
#define ADDRESS_COST_MAX ((size_t)32 * 1024 * 1024)
enum { ADDRESS_ELEMENT_BYTES = 32 };

/* What is wrong with a text, or NULL. It follows the name of the text: "group: has a line end
 * …". */
const char *address_fault(struct bytes text);

/* Whether a send of so many bytes to this address stays within ADDRESS_COST_MAX; one line in
 * error_out when not. */
bool address_is_affordable(struct bytes_list names, struct bytes_list groups,
                           struct bytes_list clients, size_t data_bytes, struct buf *error_out);

/* A list of texts on the heap. items is NULL as long as no list was given; a list that was given
 * without a text in it has items and the count 0, and addresses nobody. */
struct texts {
    struct bytes *items;
    size_t count;
};

/* The list counts as given from now on. */
void texts_give(struct texts *t);
/* Adds a copy. */
void texts_add(struct texts *t, struct bytes text);
void texts_deinit(struct texts *t);

static inline struct bytes_list texts_list(const struct texts *t) {
    return (struct bytes_list){t->items, t->count};
}

#endif
