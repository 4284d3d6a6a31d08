/* hash_commands.c - HSET, HGET and their kin. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

static void answer_field(struct call *c, const struct value *v, struct bytes field) {
    const struct text *text = v != NULL ? hash_get(v, field) : NULL;
    if (text == NULL)
        answer_nil(c);
    else
        answer_bulk(c, text_bytes(text));
}

static void hget(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_HASH, &v))
        answer_field(c, v, c->argv[2]);
}

static void hmget(struct call *c) {
    struct value *v;
    if (!call_find_type(c, c->argv[1], VALUE_HASH, &v))
        return;
    answer_array(c, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++)
        answer_field(c, v, c->argv[i]);
}

static void hset(struct call *c) {
    if (c->argc % 2 != 0) {
        answer_error(c, "ERR wrong number of arguments for '%s' command", c->row->name);
        return;
    }
    struct value *v = call_make(c, c->argv[1], VALUE_HASH);
    if (v == NULL)
        return;
    int64_t added = 0;
    for (int i = 2; i < c->argc; i += 2)
        added += hash_set(v, c->argv[i], c->argv[i + 1]);
    if (c->row->name[1] == 'm')
        answer_ok(c);
    else
        answer_int(c, added);
}

static void hsetnx(struct call *c) {
    struct value *v = call_make(c, c->argv[1], VALUE_HASH);
    if (v == NULL)
        return;
    bool is_there = hash_get(v, c->argv[2]) != NULL;
    if (!is_there)
        hash_set(v, c->argv[2], c->argv[3]);
    answer_int(c, !is_there);
}

static void hdel(struct call *c) {
    struct value *v;
    int64_t n = 0;
    if (!call_find_type(c, c->argv[1], VALUE_HASH, &v))
        return;
    for (int i = 2; i < c->argc && v != NULL; i++)
        n += hash_delete(v, c->argv[i]);
    if (v != NULL)
        call_changed(c, c->argv[1], v);
    answer_int(c, n);
}

static void hlen(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_HASH, &v))
        answer_int(c, v != NULL ? (int64_t)v->dict.count : 0);
}

static void hexists(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_HASH, &v))
        answer_int(c, v != NULL && hash_get(v, c->argv[2]) != NULL);
}

static void hstrlen(struct call *c) {
    struct value *v;
    if (!call_find_type(c, c->argv[1], VALUE_HASH, &v))
        return;
    const struct text *text = v != NULL ? hash_get(v, c->argv[2]) : NULL;
    answer_int(c, text != NULL ? (int64_t)text->len : 0);
}

static void hincrby(struct call *c) {
    int64_t by, n = 0, sum;
    if (!arg_int(c, 3, &by))
        return;
    struct value *v = call_make(c, c->argv[1], VALUE_HASH);
    if (v == NULL)
        return;
    const struct text *before = hash_get(v, c->argv[2]);
    char text[24];
    if (before != NULL && !number_parse(text_bytes(before), &n)) {
        answer_error(c, "ERR hash value is not an integer");
    } else if (__builtin_add_overflow(n, by, &sum)) {
        answer_error(c, "ERR increment or decrement would overflow");
    } else {
        int len = snprintf(text, sizeof(text), "%" PRId64, sum);
        hash_set(v, c->argv[2], bytes_of(text, (size_t)len));
        answer_int(c, sum);
    }
}

/* ---- lists ---- */

enum { FIELDS = 1, TEXTS = 2 };

struct listing {
    struct call *call;
    int what;
};

static void list_one(void *ctx, struct dict_entry *e) {
    const struct listing *l = ctx;
    if (l->what & FIELDS)
        answer_bulk(l->call, dict_key(e));
    if (l->what & TEXTS)
        answer_bulk(l->call, text_bytes(e->value.ptr));
}

static void list(struct call *c, int what) {
    struct value *v;
    struct listing l = {c, what};
    if (!call_find_type(c, c->argv[1], VALUE_HASH, &v))
        return;
    size_t count = v != NULL ? v->dict.count : 0;
    answer_array(c, what == (FIELDS | TEXTS) ? 2 * count : count);
    if (v != NULL)
        value_each(v, list_one, &l);
}

static void hgetall(struct call *c) {
    list(c, FIELDS | TEXTS);
}

static void hkeys(struct call *c) {
    list(c, FIELDS);
}

static void hvals(struct call *c) {
    list(c, TEXTS);
}

static void hscan(struct call *c) {
    struct value *v;
    uint64_t cursor;
    if (scan_cursor(c, c->argv[2], &cursor) && call_find_type(c, c->argv[1], VALUE_HASH, &v))
        scan_value(c, v, 2);
}

enum { WRITES_MORE = WRITES | NEEDS_MEMORY };

const struct command_row hash_rows[] = {{"hdel", -3, WRITES, hdel},
                                        {"hexists", 3, 0, hexists},
                                        {"hget", 3, 0, hget},
                                        {"hgetall", 2, 0, hgetall},
                                        {"hincrby", 4, WRITES_MORE, hincrby},
                                        {"hkeys", 2, 0, hkeys},
                                        {"hlen", 2, 0, hlen},
                                        {"hmget", -3, 0, hmget},
                                        {"hmset", -4, WRITES_MORE, hset},
                                        {"hscan", -3, 0, hscan},
                                        {"hset", -4, WRITES_MORE, hset},
                                        {"hsetnx", 4, WRITES_MORE, hsetnx},
                                        {"hstrlen", 3, 0, hstrlen},
                                        {"hvals", 2, 0, hvals},
                                        {0}};
