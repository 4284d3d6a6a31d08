/* texts.c - see texts.h. */
#include "broker/texts.h"

#include <stdlib.h>

struct adding {
    struct texts *texts;
    bool is_bad;
};

static void add_one(void *ctx, struct json_value value) {
    struct adding *a = ctx;
    struct texts *t = a->texts;
    struct buf text = {0};
    if (value.kind == JSON_KIND_ABSENT || value.kind == JSON_KIND_NULL)
        return;
    if (value.kind == JSON_KIND_ARRAY || value.kind == JSON_KIND_OBJECT) {
        a->is_bad = true;
        return;
    }
    json_append_text(&text, value);
    if (text.len > 0) {
        size_t len = text.len;
        t->items = mem_realloc(t->items, (t->count + 1) * sizeof(*t->items));
        t->items[t->count++] = bytes_of(buf_take(&text), len);
    }
    buf_deinit(&text);
}

bool texts_add(struct texts *t, struct json_value value) {
    struct adding a = {.texts = t};
    json_each(value, add_one, &a);
    return !a.is_bad;
}

void texts_deinit(struct texts *t) {
    for (size_t i = 0; i < t->count; i++)
        free((char *)t->items[i].ptr);
    free(t->items);
    *t = (struct texts){0};
}
