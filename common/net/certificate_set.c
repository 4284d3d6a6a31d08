/* certificate_set.c - see certificate_set.h. Read certificate_set_choose. */
#include "common/net/certificate_set.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/net/certificate.h"
#include "common/net/tls.h"

struct item {
    struct certificate certificate;
    char *file;
};

/* A name that is in a certificate. */
struct entry {
    char *name;
    size_t place;
};

struct certificate_set {
    size_t count, entry_count;
    struct item *items;
    struct entry *entries; /* by name, then by place */
    char *first_name;      /* of the first certificate, or NULL */
};

/* ---- names */

static int compare_entries(const void *a, const void *b) {
    const struct entry *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : (left->place > right->place) - (left->place < right->place);
}

/* "*" only as the whole first label, and with two labels behind it. */
static bool is_usable(const char *name) {
    const char *star = strchr(name, '*');
    if (star == NULL)
        return true;
    const char *rest = name + 2;
    return star == name && name[1] == '.' && strchr(rest, '*') == NULL && *rest != '.' &&
           strchr(rest, '.') != NULL;
}

static void add_name(void *ctx, const char *name) {
    struct certificate_set *s = ctx;
    if (s->first_name == NULL && s->count == 1)
        s->first_name = mem_strdup(name);
    if (!is_usable(name))
        return;
    s->entries = mem_realloc(s->entries, (s->entry_count + 1) * sizeof(*s->entries));
    s->entries[s->entry_count++] = (struct entry){mem_strdup(name), s->count - 1};
}

/* The first entry of that name, or NULL. */
static const struct entry *find(const struct certificate_set *s, const char *name) {
    size_t low = 0, high = s->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(s->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->entry_count && strcmp(s->entries[low].name, name) == 0 ? &s->entries[low]
                                                                           : NULL;
}

/* ---- life */

/* Makes *out the one that the old set has from this file. */
static bool keep_old(const struct certificate_set *old, const char *file, struct certificate *out) {
    for (size_t i = 0; old != NULL && i < old->count; i++) {
        if (strcmp(old->items[i].file, file) != 0)
            continue;
        certificate_copy(out, &old->items[i].certificate);
        return true;
    }
    return false;
}

static void join_line(struct buf *all, char *line) {
    if (all->len > 0)
        buf_append_str(all, "; ");
    buf_append_str(all, line);
    free(line);
}

static bool fill(struct certificate_set *s, const struct tls_files *files, size_t count,
                 const struct certificate_set *old, struct buf *errors) {
    for (size_t i = 0; i < count; i++) {
        struct certificate c;
        char *error = NULL;
        bool is_read = certificate_read(&files[i], &c, &error);
        bool is_kept = !is_read && keep_old(old, files[i].certificate, &c);
        if (!is_read)
            join_line(errors, error);
        if (!is_read && !is_kept)
            return false;
        s->items[s->count++] = (struct item){c, mem_strdup(files[i].certificate)};
        certificate_each_name(&c, add_name, s);
    }
    return true;
}

struct certificate_set *certificate_set_new(const struct tls_files *files, size_t count,
                                            const struct certificate_set *old, char **error_out) {
    struct certificate_set *s = mem_zalloc(sizeof(*s));
    struct buf errors = {0};
    MUST(count > 0);
    s->items = mem_zalloc(count * sizeof(*s->items));
    bool is_ok = fill(s, files, count, old, &errors);
    *error_out = errors.len > 0 ? buf_take(&errors) : NULL;
    if (!is_ok) {
        certificate_set_free(s);
        return NULL;
    }
    if (s->entry_count > 0)
        qsort(s->entries, s->entry_count, sizeof(*s->entries), compare_entries);
    return s;
}

void certificate_set_free(struct certificate_set *s) {
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++) {
        certificate_deinit(&s->items[i].certificate);
        free(s->items[i].file);
    }
    for (size_t i = 0; i < s->entry_count; i++)
        free(s->entries[i].name);
    free(s->items);
    free(s->entries);
    free(s->first_name);
    free(s);
}

size_t certificate_set_count(const struct certificate_set *s) {
    return s->count;
}

const struct certificate *certificate_set_at(const struct certificate_set *s, size_t place) {
    return &s->items[place].certificate;
}

const struct certificate *certificate_set_find(const struct certificate_set *s,
                                               const struct x509_st *x509) {
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].certificate.x509 == x509)
            return &s->items[i].certificate;
    return NULL;
}

const char *certificate_set_file(const struct certificate_set *s, size_t place) {
    return s->items[place].file;
}

/* ---- choosing */

static void add_kind(const struct certificate *c, const struct certificate *out[CERTIFICATE_KINDS],
                     size_t *count_io) {
    for (size_t i = 0; i < *count_io; i++)
        if (EVP_PKEY_get_base_id(out[i]->key) == EVP_PKEY_get_base_id(c->key))
            return;
    if (*count_io < CERTIFICATE_KINDS)
        out[(*count_io)++] = c;
}

static void add_named(const struct certificate_set *s, const char *name,
                      const struct certificate *out[CERTIFICATE_KINDS], size_t *count_io) {
    const struct entry *e = find(s, name), *end = s->entries + s->entry_count;
    for (; e != NULL && e < end && strcmp(e->name, name) == 0; e++)
        add_kind(&s->items[e->place].certificate, out, count_io);
}

/* In lower case, without the dot of the root. False: no host of a certificate. */
static bool normalize(const char *host, char out[TLS_SERVER_NAME_MAX + 1]) {
    size_t len = strlen(host);
    len -= len > 0 && host[len - 1] == '.';
    if (len == 0 || len > TLS_SERVER_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        out[i] = bytes_lower(host[i]);
    out[len] = '\0';
    return strchr(out, '*') == NULL;
}

/* Those that are for this host. */
static size_t choose_named(const struct certificate_set *s, const char *host,
                           const struct certificate *out[CERTIFICATE_KINDS]) {
    char name[TLS_SERVER_NAME_MAX + 1];
    size_t count = 0;
    if (!normalize(host, name))
        return 0;
    add_named(s, name, out, &count);
    char *dot = strchr(name, '.');
    if (count == 0 && dot != NULL && dot > name) {
        dot[-1] = '*';
        add_named(s, dot - 1, out, &count);
    }
    return count;
}

size_t certificate_set_choose(const struct certificate_set *s, const char *host,
                              const struct certificate *out[CERTIFICATE_KINDS]) {
    size_t count = host != NULL ? choose_named(s, host, out) : 0;
    if (count > 0)
        return count;
    add_kind(&s->items[0].certificate, out, &count);
    if (s->first_name != NULL)
        add_named(s, s->first_name, out, &count);
    return count;
}

bool certificate_set_has(const struct certificate_set *s, const char *host) {
    const struct certificate *found[CERTIFICATE_KINDS];
    return choose_named(s, host, found) > 0;
}
