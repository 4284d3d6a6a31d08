/* texts.h - a list of texts taken from JSON: a string or number, or an array of them. */
#ifndef SIGNALBOX_BROKER_TEXTS_H
#define SIGNALBOX_BROKER_TEXTS_H

#include "common/app/json.h"
#include "common/bus/envelope.h"

struct texts {
    struct bytes *items; /* each on the heap */
    size_t count;
};

/* Strings as they are, numbers and booleans as their text; empty ones count as absent. false: an
 * object, or an array within the array. */
bool texts_add(struct texts *t, struct json_value value);
void texts_deinit(struct texts *t);

static inline struct bytes_list texts_list(const struct texts *t) {
    return (struct bytes_list){t->items, t->count};
}

#endif
