/* stream_commands.c - XADD, XRANGE and their kin. XREAD is in stream_read.c. */
#include "tests/world/redis/stream_commands.h"

#include "tests/world/redis/numbers.h"

bool arg_id(struct call *c, struct bytes text, uint64_t seq_missing, struct entry_id *out) {
    if (entry_id_parse(text, seq_missing, out))
        return true;
    answer_error(c, "ERR Invalid stream ID specified as stream command argument");
    return false;
}

void answer_entry(struct call *c, const struct entry *e) {
    answer_array(c, 2);
    answer_id(c, e->id);
    answer_array(c, e->count);
    for (unsigned i = 0; i < e->count; i++)
        answer_bulk(c, e->parts[i]);
}

void answer_entries(struct call *c, const struct entries *s, size_t from, int64_t most) {
    size_t n = s->count - from;
    if (most > 0 && (uint64_t)most < n)
        n = (size_t)most;
    answer_array(c, n);
    for (size_t i = 0; i < n; i++)
        answer_entry(c, entries_at(s, from + i));
}

/* ---- trimming ---- */

enum trim_kind { TRIM_NONE, TRIM_MAXLEN, TRIM_MINID };

struct trim {
    enum trim_kind kind;
    bool is_approximate, has_limit;
    int64_t most, limit;
    struct entry_id least;
};

/* MAXLEN or MINID at argument *i; afterwards *i is at its threshold. */
static bool read_trim(struct call *c, int *i, struct trim *t) {
    enum trim_kind kind = arg_is(c, *i, "MAXLEN") ? TRIM_MAXLEN : TRIM_MINID;
    if (t->kind != TRIM_NONE && t->kind != kind) {
        answer_error(c, "ERR syntax error, MAXLEN and MINID options at the same time are not "
                        "compatible");
        return false;
    }
    t->kind = kind;
    t->is_approximate = false;
    if (*i + 2 < c->argc && (arg_is(c, *i + 1, "~") || arg_is(c, *i + 1, "=")))
        t->is_approximate = arg_is(c, ++*i, "~");
    ++*i;
    if (kind == TRIM_MINID)
        return arg_id(c, c->argv[*i], 0, &t->least);
    if (!arg_int(c, *i, &t->most))
        return false;
    if (t->most < 0)
        answer_error(c, "ERR The MAXLEN argument must be >= 0.");
    return t->most >= 0;
}

static bool read_limit(struct call *c, int *i, struct trim *t) {
    t->has_limit = true;
    ++*i;
    if (!arg_int(c, *i, &t->limit))
        return false;
    if (t->limit < 0)
        answer_error(c, "ERR The LIMIT argument must be >= 0.");
    return t->limit >= 0;
}

static bool trim_fits(struct call *c, const struct trim *t) {
    if (!t->has_limit || t->is_approximate)
        return true;
    answer_error(c, "ERR syntax error, LIMIT cannot be used without the special ~ option");
    return false;
}

static int64_t trim(struct value *v, const struct trim *t) {
    struct entries *s = &v->stream;
    size_t n = t->kind == TRIM_MAXLEN ? entries_over_length(s, (uint64_t)t->most, t->is_approximate)
               : t->kind == TRIM_MINID ? entries_below_id(s, t->least, t->is_approximate)
                                       : 0;
    value_charge(v, -(long)entries_drop_front(s, n));
    return (int64_t)n;
}

static void xtrim(struct call *c) {
    struct trim t = {0};
    struct value *v;
    for (int i = 2; i < c->argc; i++) {
        bool has_more = i + 1 < c->argc, is_good = true;
        if (has_more && (arg_is(c, i, "MAXLEN") || arg_is(c, i, "MINID")))
            is_good = read_trim(c, &i, &t);
        else if (has_more && arg_is(c, i, "LIMIT"))
            is_good = read_limit(c, &i, &t);
        else {
            answer_syntax_error(c);
            return;
        }
        if (!is_good)
            return;
    }
    if (t.kind == TRIM_NONE) {
        answer_error(c, "ERR syntax error, XTRIM must be called with either MAXLEN or MINID");
        return;
    }
    if (!trim_fits(c, &t) || !call_find_type(c, c->argv[1], VALUE_STREAM, &v))
        return;
    answer_int(c, v != NULL ? trim(v, &t) : 0);
}

/* ---- XADD ---- */

struct addition {
    struct trim trim;
    bool is_auto, is_auto_seq, makes_none;
    struct entry_id id;
    int fields; /* the first field */
};

static bool read_new_id(struct call *c, struct bytes text, struct addition *a) {
    a->is_auto = bytes_equal_str(text, "*");
    if (a->is_auto)
        return true;
    a->is_auto_seq = bytes_ends_with(text, BYTES_LIT("-*"));
    if (a->is_auto_seq)
        text.len -= 2;
    return arg_id(c, text, 0, &a->id);
}

static bool read_addition(struct call *c, struct addition *a) {
    int i = 2;
    for (; i < c->argc; i++) {
        bool has_more = i + 1 < c->argc, is_good = true;
        if (has_more && (arg_is(c, i, "MAXLEN") || arg_is(c, i, "MINID")))
            is_good = read_trim(c, &i, &a->trim);
        else if (has_more && arg_is(c, i, "LIMIT"))
            is_good = read_limit(c, &i, &a->trim);
        else if (arg_is(c, i, "NOMKSTREAM"))
            a->makes_none = true;
        else if (!read_new_id(c, c->argv[i], a))
            return false;
        else
            break;
        if (!is_good)
            return false;
    }
    a->fields = i + 1;
    if (!trim_fits(c, &a->trim))
        return false;
    if (c->argc - a->fields < 2 || (c->argc - a->fields) % 2 != 0)
        answer_error(c, "ERR wrong number of arguments for 'xadd' command");
    else if (!a->is_auto && !a->is_auto_seq && a->id.ms == 0 && a->id.seq == 0)
        answer_error(c, "ERR The ID specified in XADD must be greater than 0-0");
    else
        return true;
    return false;
}

/* The id of the next entry. NULL, or Redis' error, whose text for a full millisecond is that of
 * entries that are too large. */
static const char *next_id(struct call *c, const struct entries *s, const struct addition *a,
                           struct entry_id *out) {
    static const char late[] = "ERR The ID specified in XADD is equal or smaller than the target "
                               "stream top item";
    uint64_t now = (uint64_t)call_now_ms(c);
    *out = s->last;
    if (a->is_auto) {
        if (now <= s->last.ms)
            return entry_id_step(out, 1) ? NULL : late;
        *out = (struct entry_id){now, 0};
        return NULL;
    }
    if (a->is_auto_seq && a->id.ms == s->last.ms) {
        bool is_full = s->last.seq == UINT64_MAX || !entry_id_step(out, 1);
        return is_full ? "ERR Elements are too large to be stored" : NULL;
    }
    *out = a->id;
    return entry_id_compare(a->id, s->last) > 0 ? NULL : late;
}

static void xadd(struct call *c) {
    struct addition a = {0};
    struct value *v;
    struct entry_id id;
    if (!read_addition(c, &a) || !call_find_type(c, c->argv[1], VALUE_STREAM, &v))
        return;
    if (v == NULL && a.makes_none) {
        answer_nil(c);
        return;
    }
    if (v == NULL)
        v = keyspace_add(c->db, c->argv[1], VALUE_STREAM);
    if (entry_id_compare(v->stream.last, ENTRY_ID_MAX) == 0) {
        answer_error(c, "ERR The stream has exhausted the last possible ID, unable to add more "
                        "items");
        return;
    }
    const char *error = next_id(c, &v->stream, &a, &id);
    if (error != NULL) {
        answer_error(c, error);
        return;
    }
    value_charge(v, (long)entries_append(&v->stream, id, c->argv + a.fields,
                                         (unsigned)(c->argc - a.fields)));
    answer_id(c, id);
    trim(v, &a.trim);
    block_ready(c->model, c->db, c->argv[1]);
}

/* ---- others ---- */

static void xlen(struct call *c) {
    struct value *v;
    if (call_find_type(c, c->argv[1], VALUE_STREAM, &v))
        answer_int(c, v != NULL ? (int64_t)v->stream.count : 0);
}

static void xdel(struct call *c) {
    struct value *v;
    struct entry_id id;
    int64_t n = 0;
    if (!call_find_type(c, c->argv[1], VALUE_STREAM, &v))
        return;
    for (int i = 2; i < c->argc && v != NULL; i++)
        if (!arg_id(c, c->argv[i], 0, &id))
            return;
    for (int i = 2; i < c->argc && v != NULL; i++) {
        entry_id_parse(c->argv[i], 0, &id);
        size_t at = entries_find(&v->stream, id);
        if (at == v->stream.count || entry_id_compare(entries_at(&v->stream, at)->id, id) != 0)
            continue;
        value_charge(v, -(long)entries_delete(&v->stream, at));
        n++;
    }
    answer_int(c, n);
}

/* "-", "+", an id, or "(" and an id. */
static bool read_end(struct call *c, struct bytes text, bool is_start, struct entry_id *out) {
    bool is_exclusive = text.len > 1 && text.ptr[0] == '(';
    *out = bytes_equal_str(text, "-") ? (struct entry_id){0, 0} : ENTRY_ID_MAX;
    if (bytes_equal_str(text, "-") || bytes_equal_str(text, "+"))
        return true;
    if (!arg_id(c, bytes_from(text, is_exclusive), is_start ? 0 : UINT64_MAX, out))
        return false;
    if (!is_exclusive || entry_id_step(out, is_start ? 1 : -1))
        return true;
    answer_error(c, "ERR invalid %s ID for the interval", is_start ? "start" : "end");
    return false;
}

static void range(struct call *c, bool is_reverse) {
    struct entry_id from, to;
    int64_t most = -1;
    struct value *v;
    if (!read_end(c, c->argv[is_reverse ? 3 : 2], true, &from) ||
        !read_end(c, c->argv[is_reverse ? 2 : 3], false, &to))
        return;
    for (int i = 4; i < c->argc; i += 2) {
        if (i + 1 == c->argc || !arg_is(c, i, "COUNT")) {
            answer_syntax_error(c);
            return;
        }
        if (!arg_int(c, i + 1, &most))
            return;
        most = most < 0 ? 0 : most;
    }
    if (!call_find_type(c, c->argv[1], VALUE_STREAM, &v))
        return;
    if (v != NULL && most == 0) {
        answer_nil_array(c);
        return;
    }
    size_t first = v != NULL ? entries_find(&v->stream, from) : 0;
    size_t end = v != NULL && entry_id_step(&to, 1) ? entries_find(&v->stream, to)
                 : v != NULL                        ? v->stream.count
                                                    : 0;
    size_t n = end > first ? end - first : 0;
    if (most > 0 && (uint64_t)most < n)
        n = (size_t)most;
    answer_array(c, n);
    for (size_t i = 0; i < n; i++)
        answer_entry(c, entries_at(&v->stream, is_reverse ? end - 1 - i : first + i));
}

static void xrange(struct call *c) {
    range(c, false);
}

static void xrevrange(struct call *c) {
    range(c, true);
}

/* ---- XINFO ---- */

static void answer_end(struct call *c, const struct entries *s, const char *name, size_t at) {
    answer_bulk(c, bytes_str(name));
    if (s->count == 0)
        answer_nil(c);
    else
        answer_entry(c, entries_at(s, at));
}

static void answer_named_int(struct call *c, const char *name, int64_t n) {
    answer_bulk(c, bytes_str(name));
    answer_int(c, n);
}

static void answer_named_id(struct call *c, const char *name, struct entry_id id) {
    answer_bulk(c, bytes_str(name));
    answer_id(c, id);
}

static void xinfo(struct call *c) {
    struct value *v;
    if (c->argc != 3) {
        answer_syntax_error(c);
        return;
    }
    if (!call_find_type(c, c->argv[2], VALUE_STREAM, &v))
        return;
    if (v == NULL) {
        answer_error(c, "ERR no such key");
        return;
    }
    const struct entries *s = &v->stream;
    struct entry_id first = s->count > 0 ? entries_at(s, 0)->id : (struct entry_id){0, 0};
    int64_t nodes =
        s->count == 0
            ? 0
            : (int64_t)(s->slots[s->first + s->count - 1].node - s->slots[s->first].node + 1);
    answer_array(c, 20);
    answer_named_int(c, "length", (int64_t)s->count);
    answer_named_int(c, "radix-tree-keys", nodes);
    answer_named_int(c, "radix-tree-nodes", nodes + 1);
    answer_named_id(c, "last-generated-id", s->last);
    answer_named_id(c, "max-deleted-entry-id", s->max_deleted);
    answer_named_int(c, "entries-added", (int64_t)s->added);
    answer_named_id(c, "recorded-first-entry-id", first);
    answer_named_int(c, "groups", 0);
    answer_end(c, s, "first-entry", 0);
    answer_end(c, s, "last-entry", s->count - 1);
}

const struct command_row stream_rows[] = {{"xadd", -5, WRITES | NEEDS_MEMORY, xadd},
                                          {"xdel", -3, WRITES, xdel},
                                          {"xinfo", -2, 0, NULL},
                                          {"xinfo|stream", -3, 0, xinfo},
                                          {"xlen", 2, 0, xlen},
                                          {"xrange", -4, 0, xrange},
                                          {"xread", -4, 0, stream_read},
                                          {"xrevrange", -4, 0, xrevrange},
                                          {"xtrim", -4, WRITES, xtrim},
                                          {0}};
