/*
 * stream_read.c - XREAD, and the clients that wait in it.
 *
 * A command that adds to a stream only says so; whoever waits is served when the whole command (a
 * script, an EXEC) has ended, in the order in which they began to wait.
 */
#include "tests/world/redis/numbers.h"
#include "tests/world/redis/stream_commands.h"

struct reading {
    int64_t most, block_ms; /* block_ms -1: does not wait */
    int first_key;
    unsigned keys;
    struct entry_id after[BLOCK_KEYS_MAX];
};

/* ---- arguments ---- */

static bool read_timeout(struct call *c, int i, int64_t *out) {
    if (!number_parse(c->argv[i], out))
        answer_error(c, "ERR timeout is not an integer or out of range");
    else if (*out < 0)
        answer_error(c, "ERR timeout is negative");
    else
        return true;
    return false;
}

/* Up to and including STREAMS. */
static bool read_options(struct call *c, struct reading *r) {
    int i = 1;
    for (; i < c->argc && !arg_is(c, i, "STREAMS"); i += 2) {
        bool is_block = arg_is(c, i, "BLOCK");
        if (i + 1 >= c->argc || (!is_block && !arg_is(c, i, "COUNT"))) {
            answer_syntax_error(c);
            return false;
        }
        if (is_block && c->is_script) {
            answer_error(c, "ERR xread command is not allowed with BLOCK option from scripts");
            return false;
        }
        if (is_block ? !read_timeout(c, i + 1, &r->block_ms) : !arg_int(c, i + 1, &r->most))
            return false;
    }
    int rest = c->argc - i - 1;
    r->first_key = i + 1;
    r->most = r->most < 0 ? 0 : r->most;
    if (rest < 1) {
        answer_syntax_error(c);
        return false;
    }
    if (rest % 2 != 0) {
        answer_error(c, "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' "
                        "must be specified.");
        return false;
    }
    r->keys = (unsigned)rest / 2;
    MUST(r->keys <= BLOCK_KEYS_MAX);
    return true;
}

static bool read_ids(struct call *c, struct reading *r) {
    for (unsigned i = 0; i < r->keys; i++) {
        struct value *v;
        struct bytes id = c->argv[r->first_key + (int)(r->keys + i)];
        if (!call_find_type(c, c->argv[r->first_key + (int)i], VALUE_STREAM, &v))
            return false;
        if (bytes_equal_str(id, "$"))
            r->after[i] = v != NULL ? v->stream.last : (struct entry_id){0, 0};
        else if (bytes_equal_str(id, ">")) {
            answer_error(c, "ERR The > ID can be specified only when calling XREADGROUP using the "
                            "GROUP <group> <consumer> option.");
            return false;
        } else if (!arg_id(c, id, 0, &r->after[i]))
            return false;
    }
    return true;
}

/* ---- reading ---- */

static bool has_later(const struct value *v, struct entry_id after) {
    return v != NULL && v->stream.count > 0 &&
           entry_id_compare(entries_at(&v->stream, v->stream.count - 1)->id, after) > 0;
}

static void answer_stream(struct call *c, struct bytes key, const struct value *v,
                          struct entry_id after, int64_t most) {
    size_t from = v->stream.count;
    if (entry_id_step(&after, 1))
        from = entries_find(&v->stream, after);
    answer_array(c, 2);
    answer_bulk(c, key);
    answer_entries(c, &v->stream, from, most);
}

void stream_read(struct call *c) {
    struct reading r = {.block_ms = -1};
    size_t found = 0;
    if (!read_options(c, &r) || !read_ids(c, &r))
        return;
    for (unsigned i = 0; i < r.keys; i++)
        found += has_later(call_find(c, c->argv[r.first_key + (int)i]), r.after[i]);
    if (found > 0)
        answer_array(c, found);
    for (unsigned i = 0; i < r.keys && found > 0; i++) {
        struct bytes key = c->argv[r.first_key + (int)i];
        const struct value *v = call_find(c, key);
        if (has_later(v, r.after[i]))
            answer_stream(c, key, v, r.after[i], r.most);
    }
    if (found > 0)
        return;
    bool may_wait = c->session != NULL && !c->is_script && !c->is_exec;
    if (r.block_ms < 0 || !may_wait) {
        answer_nil_array(c);
        return;
    }
    uint64_t until_us =
        r.block_ms == 0 ? UINT64_MAX : c->model->monotonic_us + (uint64_t)r.block_ms * 1000;
    block_begin(c, until_us, r.most, r.first_key, r.keys, r.after);
}

/* ---- waiting ---- */

void block_begin(struct call *c, uint64_t until_us, int64_t most, int first_key, unsigned keys,
                 const struct entry_id *after) {
    struct blocked *b = &c->session->blocked;
    *b = (struct blocked){
        .is_blocked = true, .until_us = until_us, .most = most, .keys = keys, .db = c->db};
    for (unsigned i = 0; i < keys; i++) {
        b->key[i] = text_new(c->argv[first_key + (int)i]);
        b->after[i] = after[i];
    }
    TAILQ_INSERT_TAIL(&c->model->blocked, c->session, blocked.link);
}

void block_end(struct redis_session *s) {
    struct blocked *b = &s->blocked;
    if (!b->is_blocked)
        return;
    TAILQ_REMOVE(&s->model->blocked, s, blocked.link);
    for (unsigned i = 0; i < b->keys; i++)
        text_drop(b->key[i]);
    b->is_blocked = false;
}

void block_ready(struct redis_model *m, const struct keyspace *db, struct bytes key) {
    struct redis_session *s;
    unsigned number = m->ready_count + 1;
    TAILQ_FOREACH (s, &m->blocked, blocked.link) {
        struct blocked *b = &s->blocked;
        for (unsigned i = 0; i < b->keys; i++)
            if (b->ready[i] == 0 &&
                (key.ptr == NULL || (b->db == db && bytes_equal(text_bytes(b->key[i]), key))))
                b->ready[i] = m->ready_count = number;
    }
}

static void unblock(struct redis_session *s) {
    block_end(s);
    session_flush(s);
    s->events->on_unblocked(s->ctx);
}

/* From the stream that grew as the how-manieth. Redis looks at the last id ever given here, so that
 * an entry that was deleted at once wakes a client too. */
static void serve(struct redis_session *s, unsigned number) {
    struct blocked *b = &s->blocked;
    struct call c = {.model = s->model, .session = s, .db = b->db, .out = &s->out};
    for (unsigned i = 0; i < b->keys; i++) {
        if (b->ready[i] != number)
            continue;
        b->ready[i] = 0;
        const struct value *v = call_find(&c, text_bytes(b->key[i]));
        if (v == NULL || v->type != VALUE_STREAM ||
            entry_id_compare(v->stream.last, b->after[i]) <= 0)
            continue;
        answer_array(&c, 1);
        answer_stream(&c, text_bytes(b->key[i]), v, b->after[i], b->most);
        unblock(s);
        return;
    }
}

void block_serve(struct redis_model *m) {
    struct redis_session *s, *next;
    unsigned count = m->ready_count;
    m->ready_count = 0;
    for (unsigned number = 1; number <= count; number++) {
        for (s = TAILQ_FIRST(&m->blocked); s != NULL; s = next) {
            next = TAILQ_NEXT(s, blocked.link);
            serve(s, number);
        }
    }
}

void block_expire(struct redis_model *m) {
    struct redis_session *s, *next;
    for (s = TAILQ_FIRST(&m->blocked); s != NULL; s = next) {
        next = TAILQ_NEXT(s, blocked.link);
        if (s->blocked.until_us > m->monotonic_us)
            continue;
        buf_append(&s->out, BYTES_LIT("*-1\r\n"));
        unblock(s);
    }
}

void block_fail(struct redis_model *m, const char *error) {
    struct redis_session *s;
    while ((s = TAILQ_FIRST(&m->blocked)) != NULL) {
        buf_printf(&s->out, "-%s\r\n", error);
        block_end(s);
        session_close(s);
        session_flush(s);
    }
}
