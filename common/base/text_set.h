/*
 * text_set.h - which texts of a list were there before, in a time that does not grow with their
 * number. A zeroed struct is an empty set.
 */
#ifndef SIGNALBOX_BASE_TEXT_SET_H
#define SIGNALBOX_BASE_TEXT_SET_H

#include "common/base/arena.h"

struct text_set {
    struct text_item *items; /* uthash */
    struct arena arena;
};

/* False: it is there already. The text is borrowed until text_set_clear. */
bool text_set_add(struct text_set *s, struct bytes text);
bool text_set_has(const struct text_set *s, struct bytes text);
void text_set_clear(struct text_set *s);

#endif
