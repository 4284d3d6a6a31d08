/* sorted_commands.c - ZADD, ZRANGEBYLEX and their kin. */
#include <math.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

/* ---- ZADD ---- */

struct add_options {
    bool is_nx, is_xx, is_gt, is_lt, counts_changes, is_incr;
};

/* Returns the argument with the first score. */
static int read_options(struct call *c, struct add_options *o) {
    int i = 2;
    for (; i < c->argc; i++) {
        if (arg_is(c, i, "NX"))
            o->is_nx = true;
        else if (arg_is(c, i, "XX"))
            o->is_xx = true;
        else if (arg_is(c, i, "GT"))
            o->is_gt = true;
        else if (arg_is(c, i, "LT"))
            o->is_lt = true;
        else if (arg_is(c, i, "CH"))
            o->counts_changes = true;
        else if (arg_is(c, i, "INCR"))
            o->is_incr = true;
        else
            break;
    }
    return i;
}

static bool options_fit(struct call *c, const struct add_options *o, int first) {
    int rest = c->argc - first;
    if (rest == 0 || rest % 2 != 0)
        answer_syntax_error(c);
    else if (o->is_nx && o->is_xx)
        answer_error(c, "ERR XX and NX options at the same time are not compatible");
    else if ((o->is_gt && o->is_nx) || (o->is_lt && o->is_nx) || (o->is_gt && o->is_lt))
        answer_error(c, "ERR GT, LT, and/or NX options at the same time are not compatible");
    else if (o->is_incr && rest > 2)
        answer_error(c, "ERR INCR option supports a single increment-element pair");
    else
        return true;
    return false;
}

struct added {
    int64_t added, changed;
    bool is_done;
    double score;
};

/* False: the sum is no number. */
static bool add_one(struct value *v, const struct add_options *o, struct bytes member, double score,
                    struct added *a) {
    const struct dict_entry *e = dict_find(&v->sorted.members, member);
    a->is_done = false;
    if (e == NULL ? o->is_xx : o->is_nx)
        return true;
    if (e != NULL && o->is_incr)
        score += e->value.number;
    if (isnan(score))
        return false;
    if (e != NULL &&
        ((o->is_gt && score <= e->value.number) || (o->is_lt && score >= e->value.number)))
        return true;
    a->is_done = true;
    a->score = score;
    if (e != NULL && e->value.number == score)
        return true;
    if (sorted_set(v, member, score))
        a->added++;
    else
        a->changed++;
    return true;
}

static void zadd(struct call *c) {
    struct add_options o = {0};
    struct added a = {0};
    struct value *v;
    double score;
    int first = read_options(c, &o);
    if (!options_fit(c, &o, first))
        return;
    for (int i = first; i < c->argc; i += 2)
        if (!number_parse_float(c->argv[i], &score)) {
            answer_error(c, "ERR value is not a valid float");
            return;
        }
    if (!call_find_type(c, c->argv[1], VALUE_SORTED, &v))
        return;
    if (v == NULL && !o.is_xx)
        v = keyspace_add(c->db, c->argv[1], VALUE_SORTED);
    for (int i = first; i < c->argc && v != NULL; i += 2) {
        number_parse_float(c->argv[i], &score);
        if (!add_one(v, &o, c->argv[i + 1], score, &a)) {
            answer_error(c, "ERR resulting score is not a number (NaN)");
            return;
        }
    }
    if (v != NULL)
        call_changed(c, c->argv[1], v);
    if (!o.is_incr)
        answer_int(c, a.added + (o.counts_changes ? a.changed : 0));
    else if (a.is_done)
        answer_float(c, a.score);
    else
        answer_nil(c);
}

static void zrem(struct call *c) {
    struct value *v;
    int64_t n = 0;
    if (!call_find_type(c, c->argv[1], VALUE_SORTED, &v))
        return;
    for (int i = 2; i < c->argc && v != NULL; i++)
        n += sorted_remove(v, c->argv[i]);
    if (v != NULL)
        call_changed(c, c->argv[1], v);
    answer_int(c, n);
}

static size_t count_of(const struct value *v) {
    return v != NULL ? v->sorted.members.count : 0;
}

static void zcard(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_SORTED, &v))
        answer_int(c, (int64_t)count_of(v));
}

static void zscore(struct call *c) {
    struct value *v;
    if (!call_find_type(c, c->argv[1], VALUE_SORTED, &v))
        return;
    const struct dict_entry *e = v != NULL ? dict_find(&v->sorted.members, c->argv[2]) : NULL;
    if (e == NULL)
        answer_nil(c);
    else
        answer_float(c, e->value.number);
}

/* ---- by place ---- */

static void zrange(struct call *c) {
    struct value *v;
    int64_t from, to;
    bool has_scores = false;
    for (int i = 4; i < c->argc; i++) {
        if (!arg_is(c, i, "WITHSCORES")) {
            answer_syntax_error(c);
            return;
        }
        has_scores = true;
    }
    if (!arg_int(c, 2, &from) || !arg_int(c, 3, &to) ||
        !call_find_type(c, c->argv[1], VALUE_SORTED, &v))
        return;
    int64_t count = (int64_t)count_of(v);
    from = from < 0 ? from + count : from;
    from = from < 0 ? 0 : from;
    to = to < 0 ? to + count : to;
    to = to >= count ? count - 1 : to;
    size_t n = from <= to ? (size_t)(to - from + 1) : 0;
    answer_array(c, has_scores ? 2 * n : n);
    for (size_t i = 0; i < n; i++) {
        const struct dict_entry *e = v->sorted.items[(size_t)from + i];
        answer_bulk(c, dict_key(e));
        if (has_scores)
            answer_float(c, e->value.number);
    }
}

/* ---- by member, all scores being equal ---- */

struct lex_bound {
    int infinite; /* -1: before all, 1: after all */
    bool is_exclusive;
    struct bytes member;
};

static bool read_bound(struct bytes text, struct lex_bound *out) {
    *out = (struct lex_bound){.member = bytes_from(text, 1)};
    char kind = text.len > 0 ? text.ptr[0] : '\0';
    if (text.len == 1 && (kind == '-' || kind == '+'))
        out->infinite = kind == '-' ? -1 : 1;
    out->is_exclusive = kind == '(';
    return out->infinite != 0 || kind == '(' || kind == '[';
}

/* <0: the member is before the bound … */
static int compare_to(const struct dict_entry *e, const struct lex_bound *b) {
    return b->infinite != 0 ? -b->infinite : bytes_compare(dict_key(e), b->member);
}

static bool is_from(const struct dict_entry *e, const struct lex_bound *from) {
    int order = compare_to(e, from);
    return from->is_exclusive ? order > 0 : order >= 0;
}

static bool is_until(const struct dict_entry *e, const struct lex_bound *to) {
    int order = compare_to(e, to);
    return to->is_exclusive ? order < 0 : order <= 0;
}

struct lex_page {
    struct lex_bound from, to;
    int64_t offset, most;
    bool counts;
};

/* Where the scores differ, and so nothing is promised, it answers as Redis happens to: from the first
 * member that is not before the range to the first one that is behind it. */
static void answer_lex(struct call *c, const struct lex_page *p) {
    struct value *v;
    struct buf items = {0};
    struct call into = *c;
    int64_t skip = p->offset, n = 0;
    into.out = &items;
    if (!call_find_type(c, c->argv[1], VALUE_SORTED, &v))
        return;
    size_t i = 0, count = count_of(v);
    if (count > 0 &&
        !(is_from(v->sorted.items[count - 1], &p->from) && is_until(v->sorted.items[0], &p->to)))
        count = 0;
    while (i < count && !is_from(v->sorted.items[i], &p->from))
        i++;
    for (; i < count && skip >= 0 && (p->most < 0 || n < p->most); i++) {
        const struct dict_entry *e = v->sorted.items[i];
        if (!is_until(e, &p->to))
            break;
        if (skip > 0) {
            skip--;
            continue;
        }
        answer_bulk(&into, dict_key(e));
        n++;
    }
    if (p->counts)
        answer_int(c, n);
    else
        answer_array(c, (size_t)n);
    if (!p->counts)
        buf_append(c->out, buf_bytes(&items));
    buf_deinit(&items);
}

static bool read_bounds(struct call *c, struct lex_page *p) {
    if (read_bound(c->argv[2], &p->from) && read_bound(c->argv[3], &p->to))
        return true;
    answer_error(c, "ERR min or max not valid string range item");
    return false;
}

static void zrangebylex(struct call *c) {
    struct lex_page p = {.most = -1};
    for (int i = 4; i < c->argc; i += 3) {
        if (i + 2 >= c->argc || !arg_is(c, i, "LIMIT")) {
            answer_syntax_error(c);
            return;
        }
        if (!arg_int(c, i + 1, &p.offset) || !arg_int(c, i + 2, &p.most))
            return;
    }
    if (read_bounds(c, &p))
        answer_lex(c, &p);
}

static void zlexcount(struct call *c) {
    struct lex_page p = {.most = -1, .counts = true};
    if (read_bounds(c, &p))
        answer_lex(c, &p);
}

const struct command_row sorted_rows[] = {{"zadd", -4, WRITES | NEEDS_MEMORY, zadd},
                                          {"zcard", 2, 0, zcard},
                                          {"zlexcount", 4, 0, zlexcount},
                                          {"zrange", -4, 0, zrange},
                                          {"zrangebylex", -4, 0, zrangebylex},
                                          {"zrem", -3, WRITES, zrem},
                                          {"zscore", 3, 0, zscore},
                                          {0}};
