/* key_commands.c - what concerns keys of any type: DEL, EXISTS, expiry, SCAN. */
#include <stdio.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

static void del(struct call *c) {
    int64_t n = 0;
    for (int i = 1; i < c->argc; i++)
        if (call_find(c, c->argv[i]) != NULL) {
            keyspace_remove(c->db, c->argv[i]);
            n++;
        }
    answer_int(c, n);
}

static void exists(struct call *c) {
    int64_t n = 0;
    for (int i = 1; i < c->argc; i++)
        n += call_find(c, c->argv[i]) != NULL;
    answer_int(c, n);
}

static void type(struct call *c) {
    answer_status(c, value_type_name(call_find(c, c->argv[1])));
}

/* ---- expiry ---- */

enum { IF_NONE = 1, IF_ANY = 2, IF_LATER = 4, IF_EARLIER = 8 };

static bool read_conditions(struct call *c, int *out) {
    *out = 0;
    for (int i = 3; i < c->argc; i++) {
        int one = arg_is(c, i, "NX")   ? IF_NONE
                  : arg_is(c, i, "XX") ? IF_ANY
                  : arg_is(c, i, "GT") ? IF_LATER
                  : arg_is(c, i, "LT") ? IF_EARLIER
                                       : 0;
        if (one == 0) {
            answer_error(c, "ERR Unsupported option %.*s", BYTES_FMT(c->argv[i]));
            return false;
        }
        *out |= one;
    }
    if ((*out & IF_NONE) && *out != IF_NONE) {
        answer_error(c, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*out & IF_LATER) && (*out & IF_EARLIER)) {
        answer_error(c, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static bool holds(int conditions, int64_t before, int64_t expires_ms) {
    bool has_none = before == EXPIRES_NEVER;
    if ((conditions & IF_NONE) && !has_none)
        return false;
    if ((conditions & IF_ANY) && has_none)
        return false;
    if ((conditions & IF_LATER) && (has_none || expires_ms <= before))
        return false;
    return !(conditions & IF_EARLIER) || has_none || expires_ms < before;
}

static void set_expiry(struct call *c, int64_t unit, bool is_absolute) {
    int conditions;
    int64_t n, base = is_absolute ? 0 : call_now_ms(c);
    if (!read_conditions(c, &conditions) || !arg_int(c, 2, &n))
        return;
    if (n > INT64_MAX / unit || n < INT64_MIN / unit || n * unit > INT64_MAX - base) {
        answer_error(c, "ERR invalid expire time in '%s' command", c->row->name);
        return;
    }
    int64_t expires_ms = n * unit + base;
    struct value *v = call_find(c, c->argv[1]);
    if (v == NULL || !holds(conditions, v->expires_ms, expires_ms)) {
        answer_int(c, 0);
        return;
    }
    if (expires_ms <= call_now_ms(c))
        keyspace_remove(c->db, c->argv[1]);
    else
        v->expires_ms = expires_ms;
    answer_int(c, 1);
}

static void expire(struct call *c) {
    set_expiry(c, 1000, false);
}

static void pexpire(struct call *c) {
    set_expiry(c, 1, false);
}

static void expireat(struct call *c) {
    set_expiry(c, 1000, true);
}

static void pexpireat(struct call *c) {
    set_expiry(c, 1, true);
}

static void persist(struct call *c) {
    struct value *v = call_find(c, c->argv[1]);
    bool had_expiry = v != NULL && v->expires_ms != EXPIRES_NEVER;
    if (had_expiry)
        v->expires_ms = EXPIRES_NEVER;
    answer_int(c, had_expiry);
}

/* -2: no such key; -1: it does not expire. */
static void answer_expiry(struct call *c, bool is_absolute, bool is_seconds) {
    const struct value *v = call_find(c, c->argv[1]);
    if (v == NULL || v->expires_ms == EXPIRES_NEVER) {
        answer_int(c, v == NULL ? -2 : -1);
        return;
    }
    int64_t n = v->expires_ms - (is_absolute ? 0 : call_now_ms(c));
    n = n < 0 ? 0 : n;
    answer_int(c, is_seconds ? (n + 500) / 1000 : n);
}

static void ttl(struct call *c) {
    answer_expiry(c, false, true);
}

static void pttl(struct call *c) {
    answer_expiry(c, false, false);
}

static void expiretime(struct call *c) {
    answer_expiry(c, true, true);
}

static void pexpiretime(struct call *c) {
    answer_expiry(c, true, false);
}

/* ---- SCAN ---- */

/* As strtoul reads it. */
bool scan_cursor(struct call *c, struct bytes text, uint64_t *out) {
    bool is_negative = text.len > 1 && (text.ptr[0] == '-');
    *out = 0;
    if (text.len > 0 && !bytes_to_u64(bytes_from(text, is_negative), out)) {
        answer_error(c, "ERR invalid cursor");
        return false;
    }
    *out = is_negative ? 0 - *out : *out;
    return true;
}

bool scan_options(struct call *c, int from, struct scan_options *out) {
    *out = (struct scan_options){.count = 10};
    for (int i = from; i < c->argc; i += 2) {
        if (i + 1 == c->argc) {
            answer_syntax_error(c);
            return false;
        }
        if (arg_is(c, i, "COUNT")) {
            if (!arg_int(c, i + 1, &out->count))
                return false;
        } else if (arg_is(c, i, "MATCH")) {
            out->pattern = c->argv[i + 1];
        } else if (arg_is(c, i, "TYPE") && from == 2) {
            out->type = c->argv[i + 1];
        } else {
            out->count = 0;
        }
        if (out->count < 1) {
            answer_syntax_error(c);
            return false;
        }
    }
    return true;
}

struct page {
    struct call *call;
    const struct scan_options *options;
    struct buf items;
    size_t count;
    int64_t visited;
    bool has_values;
    struct buf expired; /* pointers to entries */
};

static bool is_wanted(const struct page *p, struct bytes key) {
    return p->options->pattern.ptr == NULL || glob_matches(p->options->pattern, key);
}

static void add_to_page(struct page *p, struct bytes item) {
    struct call into = *p->call;
    into.out = &p->items;
    answer_bulk(&into, item);
    p->count++;
}

static void see_member(void *ctx, struct dict_entry *e) {
    struct page *p = ctx;
    p->visited++;
    if (!is_wanted(p, dict_key(e)))
        return;
    add_to_page(p, dict_key(e));
    if (p->has_values)
        add_to_page(p, text_bytes(e->value.ptr));
}

static void see_key(void *ctx, struct dict_entry *e) {
    struct page *p = ctx;
    const struct value *v = e->value.ptr;
    p->visited++;
    bool is_right_type = p->options->type.ptr == NULL ||
                         bytes_equal_nocase(p->options->type, bytes_str(value_type_name(v)));
    if (!is_right_type || !is_wanted(p, dict_key(e)))
        return;
    if (value_is_expired(v, call_now_ms(p->call)))
        buf_append(&p->expired, bytes_of(&e, sizeof(e)));
    else
        add_to_page(p, dict_key(e));
}

/* SCAN removes what it comes across. */
static void remove_expired(struct page *p) {
    struct dict_entry *e;
    for (size_t at = 0; at < p->expired.len; at += sizeof(e)) {
        memcpy(&e, p->expired.ptr + at, sizeof(e));
        if (!p->call->model->is_replica)
            keyspace_remove(p->call->db, dict_key(e));
    }
}

static void answer_page(struct call *c, uint64_t cursor, struct page *p) {
    char text[24];
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)cursor);
    answer_array(c, 2);
    answer_bulk(c, bytes_of(text, (size_t)len));
    answer_array(c, p->count);
    buf_append(c->out, buf_bytes(&p->items));
    buf_deinit(&p->items);
    buf_deinit(&p->expired);
}

/* Redis visits at most ten times as many buckets as entries are asked for. */
static uint64_t scan_dict(const struct dict *d, uint64_t cursor, dict_fn *fn, struct page *p) {
    int64_t tries = p->options->count > INT64_MAX / 10 ? INT64_MAX : p->options->count * 10;
    do
        cursor = dict_scan(d, cursor, fn, p);
    while (cursor != 0 && tries-- > 0 && p->visited < p->options->count);
    return cursor;
}

void scan_value(struct call *c, const struct value *v, int at) {
    struct scan_options options;
    struct page page = {.call = c, .options = &options};
    uint64_t cursor;
    if (v == NULL) {
        answer_page(c, 0, &page);
        return;
    }
    if (!scan_cursor(c, c->argv[at], &cursor) || !scan_options(c, at + 1, &options))
        return;
    page.has_values = v->type == VALUE_HASH;
    if (v->is_small)
        value_each(v, see_member, &page);
    else
        cursor = scan_dict(&v->dict, cursor, see_member, &page);
    answer_page(c, v->is_small ? 0 : cursor, &page);
}

static void scan(struct call *c) {
    struct scan_options options;
    struct page page = {.call = c, .options = &options};
    uint64_t cursor;
    if (!scan_cursor(c, c->argv[1], &cursor) || !scan_options(c, 2, &options))
        return;
    cursor = scan_dict(&c->db->keys, cursor, see_key, &page);
    remove_expired(&page);
    answer_page(c, cursor, &page);
}

static void keys(struct call *c) {
    struct scan_options options = {.count = INT64_MAX, .pattern = c->argv[1]};
    struct page page = {.call = c, .options = &options};
    dict_each_bucket(&c->db->keys, see_key, &page);
    answer_array(c, page.count);
    buf_append(c->out, buf_bytes(&page.items));
    buf_deinit(&page.items);
    buf_deinit(&page.expired);
}

static void dbsize(struct call *c) {
    answer_int(c, (int64_t)c->db->keys.count);
}

const struct command_row key_rows[] = {{"dbsize", 1, 0, dbsize},
                                       {"del", -2, WRITES, del},
                                       {"exists", -2, 0, exists},
                                       {"expire", -3, WRITES, expire},
                                       {"expireat", -3, WRITES, expireat},
                                       {"expiretime", 2, 0, expiretime},
                                       {"keys", 2, 0, keys},
                                       {"persist", 2, WRITES, persist},
                                       {"pexpire", -3, WRITES, pexpire},
                                       {"pexpireat", -3, WRITES, pexpireat},
                                       {"pexpiretime", 2, 0, pexpiretime},
                                       {"pttl", 2, 0, pttl},
                                       {"scan", -2, 0, scan},
                                       {"ttl", 2, 0, ttl},
                                       {"type", 2, 0, type},
                                       {"unlink", -2, WRITES, del},
                                       {0}};
