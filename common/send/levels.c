/* levels.c - see levels.h. Each source has a table of its own, with folded Names. */
#include "common/send/levels.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fold.h"
#include "common/base/table.h"

enum { SOURCES = 2 };

struct named_level {
    enum level level;
    UT_hash_handle hh;
    char *shown; /* as it was set, for error texts */
    size_t len;
    char name[];
};

/* The first Name that refuses a send to every Name, by what that addresses; NULL: none does. It is
 * looked for after a change, when somebody asks: there may be as many levels as there are rooms. */
struct refusing {
    bool is_known;
    const struct named_level *nothing, *groups;
};

struct levels {
    struct named_level *named[SOURCES];
    enum level everybody[SOURCES];
    struct refusing *refusing;
};

struct levels *levels_new(void) {
    struct levels *l = mem_zalloc(sizeof(*l));
    l->refusing = mem_zalloc(sizeof(*l->refusing));
    return l;
}

static void forget(struct levels *l, int source, struct named_level *n) {
    HASH_DEL(l->named[source], n);
    free(n->shown);
    free(n);
}

void levels_free(struct levels *l) {
    struct named_level *n, *next;
    if (l == NULL)
        return;
    for (int source = 0; source < SOURCES; source++)
        HASH_ITER (hh, l->named[source], n, next)
            forget(l, source, n);
    free(l->refusing);
    free(l);
}

bool level_parse(struct bytes text, enum level *level_out) {
    if (bytes_equal_nocase(text, BYTES_LIT("name")))
        *level_out = LEVEL_NAME;
    else if (bytes_equal_nocase(text, BYTES_LIT("group")))
        *level_out = LEVEL_GROUP;
    else if (bytes_equal_nocase(text, BYTES_LIT("client_id")) ||
             bytes_equal_nocase(text, BYTES_LIT("clientid")))
        *level_out = LEVEL_CLIENT_ID;
    else
        return false;
    return true;
}

const char *level_text(enum level level) {
    if (level == LEVEL_GROUP)
        return "group";
    return level == LEVEL_CLIENT_ID ? "clientid" : "name";
}

static struct named_level *find(const struct levels *l, int source, struct bytes name) {
    struct named_level *n;
    struct buf key = {0};
    fold_append(&key, name);
    HASH_FIND(hh, l->named[source], key.ptr, key.len, n);
    buf_deinit(&key);
    return n;
}

static struct named_level *add(struct levels *l, int source, struct bytes name) {
    struct buf key = {0};
    fold_append(&key, name);
    struct named_level *n = mem_zalloc(sizeof(*n) + key.len);
    memcpy(n->name, key.ptr, key.len);
    n->len = key.len;
    n->shown = bytes_dup(name);
    HASH_ADD_KEYPTR(hh, l->named[source], n->name, n->len, n);
    buf_deinit(&key);
    return n;
}

void levels_set(struct levels *l, enum level_source source, struct bytes name, enum level level) {
    l->refusing->is_known = false;
    if (name.len == 0) {
        l->everybody[source] = level;
        return;
    }
    struct named_level *n = find(l, source, name);
    if (level == LEVEL_UNSET && n != NULL)
        forget(l, source, n);
    if (level == LEVEL_UNSET)
        return;
    if (n == NULL)
        n = add(l, source, name);
    n->level = level;
}

static enum level level_for_everybody(const struct levels *l) {
    if (l->everybody[LEVEL_FROM_CLUSTER] != LEVEL_UNSET)
        return l->everybody[LEVEL_FROM_CLUSTER];
    return l->everybody[LEVEL_FROM_APP] != LEVEL_UNSET ? l->everybody[LEVEL_FROM_APP] : LEVEL_NAME;
}

enum level levels_get(const struct levels *l, struct bytes name) {
    bool has_named = l->named[LEVEL_FROM_APP] != NULL || l->named[LEVEL_FROM_CLUSTER] != NULL;
    if (name.len > 0 && has_named) {
        struct named_level *n = find(l, LEVEL_FROM_CLUSTER, name);
        if (n == NULL)
            n = find(l, LEVEL_FROM_APP, name);
        if (n != NULL)
            return n->level;
    }
    return level_for_everybody(l);
}

void levels_each(const struct levels *l, enum level_source source, levels_each_fn *fn, void *ctx) {
    for (struct named_level *n = l->named[source]; n != NULL; n = n->hh.next)
        fn(ctx, bytes_str(n->shown), n->level);
}

static bool is_enough(enum level level, bool has_groups, bool has_clients) {
    if (level == LEVEL_GROUP)
        return has_groups || has_clients;
    return level != LEVEL_CLIENT_ID || has_clients;
}

static bool refuse(struct buf *error_out, struct bytes name, enum level level) {
    if (error_out != NULL)
        buf_printf(error_out,
                   "Signal failed to broadcast due to defined Signal broadcast level for %.*s: %s",
                   BYTES_FMT(name), level_text(level));
    return false;
}

static void find_refusing(const struct levels *l) {
    struct refusing *r = l->refusing;
    struct named_level *n, *next;
    *r = (struct refusing){.is_known = true};
    for (int source = 0; source < SOURCES; source++)
        HASH_ITER (hh, l->named[source], n, next) {
            enum level level = levels_get(l, bytes_of(n->name, n->len));
            if (r->nothing == NULL && !is_enough(level, false, false))
                r->nothing = n;
            if (r->groups == NULL && !is_enough(level, true, false))
                r->groups = n;
        }
}

/* For a send to every Name, which no level may forbid. */
static bool allow_every(const struct levels *l, bool has_groups, bool has_clients,
                        struct buf *error_out) {
    if (!is_enough(level_for_everybody(l), has_groups, has_clients))
        return refuse(error_out, BYTES_LIT("*"), level_for_everybody(l));
    if (!l->refusing->is_known)
        find_refusing(l);
    const struct named_level *n = has_clients  ? NULL
                                  : has_groups ? l->refusing->groups
                                               : l->refusing->nothing;
    return n == NULL ||
           refuse(error_out, bytes_str(n->shown), levels_get(l, bytes_of(n->name, n->len)));
}

bool levels_allow(const struct levels *l, struct bytes_list names, bool has_groups,
                  bool has_clients, struct buf *error_out) {
    if (names.count == 0)
        return allow_every(l, has_groups, has_clients, error_out);
    for (size_t i = 0; i < names.count; i++) {
        enum level level = levels_get(l, names.items[i]);
        if (!is_enough(level, has_groups, has_clients))
            return refuse(error_out, names.items[i], level);
    }
    return true;
}
