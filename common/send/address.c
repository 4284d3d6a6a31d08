/* address.c - see address.h. */
#include "common/send/address.h"

#include <stdlib.h>

#include "common/base/utf8.h"

const char *address_fault(struct bytes text) {
    if (text.len > ADDRESS_BYTES_MAX)
        return ADDRESS_TOO_LONG;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == '\0')
            return "has a line end or a NUL in it";
    return utf8_is_valid(text) ? NULL : "is not valid UTF-8";
}

/* Lists and data have bounds of their own, so nothing overflows. */
bool address_is_affordable(struct bytes_list names, struct bytes_list groups,
                           struct bytes_list clients, size_t data_bytes, struct buf *error_out) {
    size_t each = data_bytes + bytes_list_total(groups) + bytes_list_total(clients) +
                  ADDRESS_ELEMENT_BYTES * (groups.count + clients.count);
    if (names.count <= 1 || names.count * each <= ADDRESS_COST_MAX)
        return true;
    buf_printf(error_out, "name: %zu Names times %zu bytes are more than %zu bytes", names.count,
               each, ADDRESS_COST_MAX);
    return false;
}

/* There is always room for one more item. */
void texts_give(struct texts *t) {
    if (t->items == NULL)
        t->items = mem_alloc(sizeof(*t->items));
}

void texts_add(struct texts *t, struct bytes text) {
    size_t len = text.len;
    t->items = mem_realloc(t->items, (t->count + 2) * sizeof(*t->items));
    t->items[t->count++] = bytes_of(bytes_dup(text), len);
}

void texts_deinit(struct texts *t) {
    for (size_t i = 0; i < t->count; i++)
        free((char *)t->items[i].ptr);
    free(t->items);
    *t = (struct texts){0};
}
