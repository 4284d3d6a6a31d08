/* default_broadcast.c - see default_broadcast.h. */
#include "common/app/registrations/default_broadcast.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fold.h"
#include "common/base/table.h"

enum { SOURCES = 2 };

struct named {
    enum open_state of[SOURCES];
    UT_hash_handle hh;
    size_t len;
    char name[]; /* folded */
};

struct default_broadcast {
    struct named *named;
    enum open_state general[SOURCES];
};

struct default_broadcast *default_broadcast_new(void) {
    return mem_zalloc(sizeof(struct default_broadcast));
}

void default_broadcast_free(struct default_broadcast *d) {
    struct named *n, *next;
    HASH_ITER (hh, d->named, n, next) {
        HASH_DEL(d->named, n);
        free(n);
    }
    free(d);
}

static struct named *find(const struct default_broadcast *d, struct bytes name) {
    struct named *n = NULL;
    struct buf key = {0};
    if (d->named == NULL)
        return NULL;
    fold_append(&key, name);
    HASH_FIND(hh, d->named, key.ptr, key.len, n);
    buf_deinit(&key);
    return n;
}

static struct named *add(struct default_broadcast *d, struct bytes name) {
    struct buf key = {0};
    fold_append(&key, name);
    struct named *n = mem_zalloc(sizeof(*n) + key.len);
    memcpy(n->name, key.ptr, key.len);
    n->len = key.len;
    HASH_ADD_KEYPTR(hh, d->named, n->name, n->len, n);
    buf_deinit(&key);
    return n;
}

void default_broadcast_set(struct default_broadcast *d, enum level_source source, struct bytes name,
                           enum open_state state) {
    if (name.len == 0) {
        d->general[source] = state;
        return;
    }
    struct named *n = find(d, name);
    if (n == NULL && state != OPEN_UNSET)
        n = add(d, name);
    if (n == NULL)
        return;
    n->of[source] = state;
    if (n->of[LEVEL_FROM_APP] == OPEN_UNSET && n->of[LEVEL_FROM_CLUSTER] == OPEN_UNSET) {
        HASH_DEL(d->named, n);
        free(n);
    }
}

static enum open_state decided(const enum open_state of[SOURCES]) {
    return of[LEVEL_FROM_CLUSTER] != OPEN_UNSET ? of[LEVEL_FROM_CLUSTER] : of[LEVEL_FROM_APP];
}

bool default_broadcast_get(const struct default_broadcast *d, struct bytes name) {
    const struct named *n = name.len == 0 ? NULL : find(d, name);
    return decided(n != NULL ? n->of : d->general) != OPEN_NO;
}

/* What goes to every Name goes to those with a setting of their own, too. */
static bool is_all_open(const struct default_broadcast *d, struct bytes *closed_out) {
    *closed_out = BYTES_LIT("*");
    if (decided(d->general) == OPEN_NO)
        return false;
    for (const struct named *n = d->named; n != NULL; n = n->hh.next)
        if (decided(n->of) == OPEN_NO) {
            *closed_out = bytes_of(n->name, n->len);
            return false;
        }
    return true;
}

bool default_broadcast_allows(const struct default_broadcast *d, struct bytes_list names,
                              struct bytes *closed_out) {
    if (!bytes_list_is_given(names))
        return is_all_open(d, closed_out);
    for (size_t i = 0; i < names.count; i++)
        if (!default_broadcast_get(d, names.items[i])) {
            *closed_out = names.items[i];
            return false;
        }
    return true;
}
