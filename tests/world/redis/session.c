/* session.c - one connection: from bytes to commands. See model.h. */
#include <stdio.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

enum { LINE_MAX_BYTES = 65536, ARGS_MAX = INT32_MAX, KEPT_BYTES = 65536 };

/* ---- life ---- */

struct redis_session *redis_session_new(struct redis_model *m, const char *addr,
                                        const struct redis_events *events, void *ctx) {
    struct redis_session *s = mem_zalloc(sizeof(*s));
    *s = (struct redis_session){.model = m, .events = events, .ctx = ctx};
    s->id = m->next_client_id++;
    s->is_authenticated = *config_get(m, "requirepass") == '\0';
    snprintf(s->addr, sizeof(s->addr), "%s", addr);
    STAILQ_INIT(&s->queue);
    TAILQ_INIT(&s->channels);
    TAILQ_INIT(&s->patterns);
    TAILQ_INSERT_TAIL(&m->sessions, s, link);
    return s;
}

void redis_session_free(struct redis_session *s) {
    block_end(s);
    pubsub_leave(s);
    session_drop_queue(s);
    TAILQ_REMOVE(&s->model->sessions, s, link);
    buf_deinit(&s->in);
    buf_deinit(&s->out);
    free(s->argv);
    free(s);
}

int64_t redis_session_id(const struct redis_session *s) {
    return s->id;
}

void session_flush(struct redis_session *s) {
    if (s->out.len > 0) {
        struct buf out = s->out;
        s->out = (struct buf){0};
        s->events->on_output(s->ctx, buf_bytes(&out));
        if (s->out.ptr == NULL && out.cap <= KEPT_BYTES) {
            buf_clear(&out);
            s->out = out;
        } else {
            buf_deinit(&out);
        }
    }
    if (s->is_closing && s->model != NULL) {
        s->is_closing = false;
        s->is_closed = true;
        buf_clear(&s->in);
        s->in_at = 0;
        s->events->on_close(s->ctx);
    }
}

void session_close(struct redis_session *s) {
    s->is_closing = true;
}

void redis_session_feed(struct redis_session *s, struct bytes in) {
    if (s->in_at == s->in.len || s->in_at > KEPT_BYTES) {
        buf_consume(&s->in, s->in_at);
        s->in_at = 0;
    }
    buf_append(&s->in, in);
    if (s->in.len - s->in_at > s->model->query_most) {
        session_close(s);
        session_flush(s);
    }
}

/* ---- reading a command ---- */

enum parse { PARSE_MORE, PARSE_COMMAND, PARSE_NOTHING, PARSE_ERROR };

struct parser {
    struct redis_session *s;
    struct bytes rest;
    int argc;
    const char *error;
    char text[64];
};

static void add_arg(struct parser *p, struct bytes arg) {
    struct redis_session *s = p->s;
    if (p->argc == s->argc_room) {
        s->argc_room = s->argc_room * 2 + 16;
        s->argv = mem_realloc(s->argv, (size_t)s->argc_room * sizeof(s->argv[0]));
    }
    s->argv[p->argc++] = arg;
}

/* A line without its end; the rest begins behind it. */
static bool take_line(struct parser *p, struct bytes *line_out) {
    ptrdiff_t end = bytes_find(p->rest, '\n');
    if (end < 0)
        return false;
    *line_out = bytes_head(p->rest, (size_t)end);
    if (end > 0 && line_out->ptr[end - 1] == '\r')
        line_out->len--;
    p->rest = bytes_from(p->rest, (size_t)end + 1);
    return true;
}

static enum parse fail(struct parser *p, const char *error) {
    p->error = error;
    return PARSE_ERROR;
}

static enum parse read_inline(struct parser *p) {
    struct bytes line, word;
    if (!take_line(p, &line))
        return p->rest.len > LINE_MAX_BYTES ? fail(p, "too big inline request") : PARSE_MORE;
    while (line.len > 0)
        if ((word = bytes_split(&line, ' ')).len > 0)
            add_arg(p, word);
    return p->argc > 0 ? PARSE_COMMAND : PARSE_NOTHING;
}

static enum parse read_arg(struct parser *p) {
    struct bytes line;
    int64_t len;
    if (p->rest.len > 0 && p->rest.ptr[0] != '$') {
        snprintf(p->text, sizeof(p->text), "expected '$', got '%c'", p->rest.ptr[0]);
        return fail(p, p->text);
    }
    if (!take_line(p, &line))
        return p->rest.len > LINE_MAX_BYTES ? fail(p, "too big bulk count string") : PARSE_MORE;
    if (!number_parse(bytes_from(line, 1), &len) || len < 0 ||
        (size_t)len > p->s->model->argument_most)
        return fail(p, "invalid bulk length");
    if (!p->s->is_authenticated && len > 16384)
        return fail(p, "unauthenticated bulk length");
    if (p->rest.len < (size_t)len + 2)
        return PARSE_MORE;
    add_arg(p, bytes_head(p->rest, (size_t)len));
    p->rest = bytes_from(p->rest, (size_t)len + 2);
    return PARSE_COMMAND;
}

static enum parse read_multibulk(struct parser *p) {
    struct bytes line;
    int64_t count;
    if (!take_line(p, &line))
        return p->rest.len > LINE_MAX_BYTES ? fail(p, "too big mbulk count string") : PARSE_MORE;
    if (!number_parse(bytes_from(line, 1), &count) || count > ARGS_MAX)
        return fail(p, "invalid multibulk length");
    if (count > 10 && !p->s->is_authenticated)
        return fail(p, "unauthenticated multibulk length");
    for (int64_t i = 0; i < count; i++) {
        enum parse one = read_arg(p);
        if (one != PARSE_COMMAND)
            return one;
    }
    return count > 0 ? PARSE_COMMAND : PARSE_NOTHING;
}

static enum parse read_command(struct parser *p) {
    if (p->rest.len == 0)
        return PARSE_MORE;
    return p->rest.ptr[0] == '*' ? read_multibulk(p) : read_inline(p);
}

static struct parser parser_of(struct redis_session *s) {
    return (struct parser){.s = s, .rest = bytes_from(buf_bytes(&s->in), s->in_at)};
}

bool redis_session_has_command(const struct redis_session *s) {
    struct parser p = parser_of((struct redis_session *)s);
    return !s->blocked.is_blocked && read_command(&p) != PARSE_MORE;
}

/* ---- carrying it out ---- */

bool redis_session_step(struct redis_session *s) {
    struct parser p = parser_of(s);
    enum parse found = s->blocked.is_blocked ? PARSE_MORE : read_command(&p);
    if (found == PARSE_MORE)
        return false;
    s->in_at = s->in.len - p.rest.len;
    if (found == PARSE_COMMAND && s->model->ahead != NULL)
        s->model->ahead(s->model->ahead_ctx, s->argv, p.argc);
    struct call c = {.model = s->model,
                     .session = s,
                     .argv = s->argv,
                     .argc = p.argc,
                     .db = &s->model->data->databases[s->db],
                     .out = &s->out};
    if (found == PARSE_ERROR) {
        answer_error(&c, "ERR Protocol error: %s", p.error);
        session_close(s);
    } else if (found == PARSE_COMMAND) {
        command_run(&c);
    }
    block_serve(s->model);
    session_flush(s);
    return true;
}

void redis_model_ask(struct redis_model *m, const struct bytes *argv, int argc, struct buf *out) {
    struct call c = {
        .model = m, .argv = argv, .argc = argc, .db = &m->data->databases[0], .out = out};
    if (command_fits(&c))
        c.row->fn(&c);
    block_serve(m);
}
