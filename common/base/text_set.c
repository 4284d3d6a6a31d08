/* text_set.c - see text_set.h. */
#include "common/base/text_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/table.h"

struct text_item {
    UT_hash_handle hh;
};

/* memcmp takes no NULL. */
static struct bytes as_key(struct bytes text) {
    return text.len == 0 ? BYTES_LIT("") : text;
}

bool text_set_has(const struct text_set *s, struct bytes text) {
    struct bytes key = as_key(text);
    const struct text_item *item;
    HASH_FIND(hh, s->items, key.ptr, key.len, item);
    return item != NULL;
}

bool text_set_add(struct text_set *s, struct bytes text) {
    if (text_set_has(s, text))
        return false;
    struct bytes key = as_key(text);
    struct text_item *item = arena_room(&s->arena, sizeof(*item));
    HASH_ADD_KEYPTR(hh, s->items, key.ptr, key.len, item);
    return true;
}

void text_set_clear(struct text_set *s) {
    HASH_CLEAR(hh, s->items);
    arena_clear(&s->arena);
}
