/* set_commands.c - SADD, SMEMBERS and their kin. */
#include "tests/world/redis/internal.h"

static void sadd(struct call *c) {
    struct value *v = call_make(c, c->argv[1], VALUE_SET);
    int64_t n = 0;
    if (v == NULL)
        return;
    for (int i = 2; i < c->argc; i++)
        n += set_add(v, c->argv[i]);
    answer_int(c, n);
}

static void srem(struct call *c) {
    struct value *v;
    int64_t n = 0;
    if (!call_find_type(c, c->argv[1], VALUE_SET, &v))
        return;
    for (int i = 2; i < c->argc && v != NULL; i++)
        n += set_remove(v, c->argv[i]);
    if (v != NULL)
        call_changed(c, c->argv[1], v);
    answer_int(c, n);
}

static void scard(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_SET, &v))
        answer_int(c, v != NULL ? (int64_t)v->dict.count : 0);
}

static void sismember(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_SET, &v))
        answer_int(c, v != NULL && dict_find(&v->dict, c->argv[2]) != NULL);
}

static void smismember(struct call *c) {
    struct value *v;
    if (!call_find_type(c, c->argv[1], VALUE_SET, &v))
        return;
    answer_array(c, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++)
        answer_int(c, v != NULL && dict_find(&v->dict, c->argv[i]) != NULL);
}

static void list_one(void *ctx, struct dict_entry *e) {
    answer_bulk(ctx, dict_key(e));
}

static void smembers(struct call *c) {
    struct value *v;
    if (!call_find_type(c, c->argv[1], VALUE_SET, &v))
        return;
    answer_array(c, v != NULL ? v->dict.count : 0);
    if (v != NULL)
        value_each(v, list_one, c);
}

static void sscan(struct call *c) {
    struct value *v;
    uint64_t cursor;
    if (scan_cursor(c, c->argv[2], &cursor) && call_find_type(c, c->argv[1], VALUE_SET, &v))
        scan_value(c, v, 2);
}

const struct command_row set_rows[] = {{"sadd", -3, WRITES | NEEDS_MEMORY, sadd},
                                       {"scard", 2, 0, scard},
                                       {"sismember", 3, 0, sismember},
                                       {"smembers", 2, 0, smembers},
                                       {"smismember", -3, 0, smismember},
                                       {"srem", -3, WRITES, srem},
                                       {"sscan", -3, 0, sscan},
                                       {0}};
