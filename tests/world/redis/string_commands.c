/* string_commands.c - GET, SET and their kin. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

static void answer_text(struct call *c, const struct value *v) {
    if (v == NULL)
        answer_nil(c);
    else
        answer_bulk(c, text_bytes(v->string));
}

/* Whatever the key held before is gone. */
static struct value *put(struct call *c, struct bytes key, struct bytes text, bool keeps_ttl) {
    struct value *before = call_find(c, key);
    int64_t expires_ms = before != NULL && keeps_ttl ? before->expires_ms : EXPIRES_NEVER;
    if (before != NULL)
        keyspace_remove(c->db, key);
    struct value *v = keyspace_add(c->db, key, VALUE_STRING);
    value_set_string(v, text_new(text));
    v->expires_ms = expires_ms;
    return v;
}

static void get(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_STRING, &v))
        answer_text(c, v);
}

static void strlen_(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_STRING, &v))
        answer_int(c, v != NULL ? (int64_t)v->string->len : 0);
}

static void getdel(struct call *c) {
    struct value *v;
    if (!call_find_type(c, c->argv[1], VALUE_STRING, &v))
        return;
    answer_text(c, v);
    keyspace_remove(c->db, c->argv[1]);
}

static void mget(struct call *c) {
    answer_array(c, (size_t)c->argc - 1);
    for (int i = 1; i < c->argc; i++) {
        struct value *v = call_find(c, c->argv[i]);
        answer_text(c, v != NULL && v->type == VALUE_STRING ? v : NULL);
    }
}

static void mset(struct call *c) {
    if (c->argc % 2 == 0) {
        answer_error(c, "ERR wrong number of arguments for 'mset' command");
        return;
    }
    for (int i = 1; i < c->argc; i += 2)
        put(c, c->argv[i], c->argv[i + 1], false);
    answer_ok(c);
}

/* ---- SET ---- */

struct set_options {
    bool is_nx, is_xx, is_get, keeps_ttl;
    int expiry; /* which argument it is; 0: none */
    bool is_seconds, is_absolute;
};

static bool read_expiry_word(struct call *c, int i, struct set_options *o) {
    static const struct {
        const char *word;
        bool is_seconds, is_absolute;
    } words[] = {
        {"EX", true, false}, {"PX", false, false}, {"EXAT", true, true}, {"PXAT", false, true}};
    for (size_t w = 0; w < ARRAY_LEN(words); w++)
        if (arg_is(c, i, words[w].word)) {
            o->is_seconds = words[w].is_seconds;
            o->is_absolute = words[w].is_absolute;
            return true;
        }
    return false;
}

static bool read_options(struct call *c, struct set_options *o) {
    for (int i = 3; i < c->argc; i++) {
        if (arg_is(c, i, "NX") && !o->is_xx)
            o->is_nx = true;
        else if (arg_is(c, i, "XX") && !o->is_nx)
            o->is_xx = true;
        else if (arg_is(c, i, "GET"))
            o->is_get = true;
        else if (arg_is(c, i, "KEEPTTL") && o->expiry == 0)
            o->keeps_ttl = true;
        else if (i + 1 < c->argc && !o->keeps_ttl && o->expiry == 0 && read_expiry_word(c, i, o))
            o->expiry = ++i;
        else
            return false;
    }
    return true;
}

/* The moment at which it expires; false, and answered, when it makes no sense. */
static bool expiry_of(struct call *c, int arg, bool is_seconds, bool is_absolute, int64_t *out) {
    int64_t n, now = is_absolute ? 0 : call_now_ms(c);
    if (!arg_int(c, arg, &n))
        return false;
    bool is_good = n > 0 && !(is_seconds && n > INT64_MAX / 1000);
    if (is_good && is_seconds)
        n *= 1000;
    if (!is_good || n > INT64_MAX - now) {
        answer_error(c, "ERR invalid expire time in '%s' command", c->row->name);
        return false;
    }
    *out = n + now;
    return true;
}

static void set(struct call *c) {
    struct set_options o = {0};
    int64_t expires_ms = EXPIRES_NEVER;
    if (!read_options(c, &o)) {
        answer_syntax_error(c);
        return;
    }
    if (o.expiry != 0 && !expiry_of(c, o.expiry, o.is_seconds, o.is_absolute, &expires_ms))
        return;
    struct value *before = call_find(c, c->argv[1]);
    if (o.is_get && !call_find_type(c, c->argv[1], VALUE_STRING, &before))
        return;
    if (o.is_get)
        answer_text(c, before);
    if ((o.is_nx && before != NULL) || (o.is_xx && before == NULL)) {
        if (!o.is_get)
            answer_nil(c);
        return;
    }
    struct value *v = put(c, c->argv[1], c->argv[2], o.keeps_ttl);
    if (o.expiry != 0)
        v->expires_ms = expires_ms;
    if (!o.is_get)
        answer_ok(c);
}

static void setnx(struct call *c) {
    bool is_there = call_find(c, c->argv[1]) != NULL;
    if (!is_there)
        put(c, c->argv[1], c->argv[2], false);
    answer_int(c, !is_there);
}

static void set_with_expiry(struct call *c, bool is_seconds) {
    int64_t expires_ms;
    if (!expiry_of(c, 2, is_seconds, false, &expires_ms))
        return;
    put(c, c->argv[1], c->argv[3], false)->expires_ms = expires_ms;
    answer_ok(c);
}

static void setex(struct call *c) {
    set_with_expiry(c, true);
}

static void psetex(struct call *c) {
    set_with_expiry(c, false);
}

/* ---- numbers ---- */

static void add(struct call *c, int64_t by) {
    struct value *v;
    int64_t n = 0, sum;
    if (!call_find_type(c, c->argv[1], VALUE_STRING, &v))
        return;
    if (v != NULL && !number_parse(text_bytes(v->string), &n)) {
        answer_bad_integer(c);
        return;
    }
    if (__builtin_add_overflow(n, by, &sum)) {
        answer_error(c, "ERR increment or decrement would overflow");
        return;
    }
    char text[24];
    int len = snprintf(text, sizeof(text), "%" PRId64, sum);
    put(c, c->argv[1], bytes_of(text, (size_t)len), true);
    answer_int(c, sum);
}

static void incr(struct call *c) {
    add(c, 1);
}

static void decr(struct call *c) {
    add(c, -1);
}

static void incrby(struct call *c) {
    int64_t by;
    if (arg_int(c, 2, &by))
        add(c, by);
}

static void decrby(struct call *c) {
    int64_t by;
    if (!arg_int(c, 2, &by))
        return;
    if (by == INT64_MIN)
        answer_error(c, "ERR decrement would overflow");
    else
        add(c, -by);
}

static void append(struct call *c) {
    struct value *v;
    struct buf whole = {0};
    if (!call_find_type(c, c->argv[1], VALUE_STRING, &v))
        return;
    if (v != NULL)
        buf_append(&whole, text_bytes(v->string));
    buf_append(&whole, c->argv[2]);
    put(c, c->argv[1], buf_bytes(&whole), true);
    answer_int(c, (int64_t)whole.len);
    buf_deinit(&whole);
}

enum { WRITES_MORE = WRITES | NEEDS_MEMORY };

const struct command_row string_rows[] = {{"append", 3, WRITES_MORE, append},
                                          {"decr", 2, WRITES_MORE, decr},
                                          {"decrby", 3, WRITES_MORE, decrby},
                                          {"get", 2, 0, get},
                                          {"getdel", 2, WRITES, getdel},
                                          {"incr", 2, WRITES_MORE, incr},
                                          {"incrby", 3, WRITES_MORE, incrby},
                                          {"mget", -2, 0, mget},
                                          {"mset", -3, WRITES_MORE, mset},
                                          {"psetex", 4, WRITES_MORE, psetex},
                                          {"set", -3, WRITES_MORE, set},
                                          {"setex", 4, WRITES_MORE, setex},
                                          {"setnx", 3, WRITES_MORE, setnx},
                                          {"strlen", 2, 0, strlen_},
                                          {0}};
