/* multi_commands.c - MULTI, EXEC, DISCARD. */
#include "tests/world/redis/internal.h"

void session_drop_queue(struct redis_session *s) {
    struct queued *q;
    while ((q = STAILQ_FIRST(&s->queue)) != NULL) {
        STAILQ_REMOVE_HEAD(&s->queue, link);
        for (int i = 0; i < q->argc; i++)
            text_drop(q->argv[i]);
        free(q->argv);
        free(q);
    }
    s->queued = 0;
    s->is_multi = s->is_multi_bad = false;
}

static void multi(struct call *c) {
    if (c->session->is_multi) {
        answer_error(c, "ERR MULTI calls can not be nested");
        return;
    }
    c->session->is_multi = true;
    answer_ok(c);
}

static void discard(struct call *c) {
    if (!c->session->is_multi) {
        answer_error(c, "ERR DISCARD without MULTI");
        return;
    }
    session_drop_queue(c->session);
    answer_ok(c);
}

static void run_queued(struct call *exec, const struct queued *q) {
    struct call c = *exec;
    struct bytes *argv = mem_alloc((size_t)q->argc * sizeof(argv[0]));
    for (int i = 0; i < q->argc; i++)
        argv[i] = text_bytes(q->argv[i]);
    c.argv = argv;
    c.argc = q->argc;
    c.row = q->row;
    c.is_exec = true;
    c.db = &c.model->data->databases[c.session->db];
    q->row->fn(&c);
    free(argv);
}

static void exec(struct call *c) {
    struct redis_session *s = c->session;
    const struct queued *q;
    if (!s->is_multi) {
        answer_error(c, "ERR EXEC without MULTI");
        return;
    }
    if (s->is_multi_bad) {
        session_drop_queue(s);
        answer_error(c, "EXECABORT Transaction discarded because of previous errors.");
        return;
    }
    answer_array(c, s->queued);
    STAILQ_FOREACH (q, &s->queue, link)
        run_queued(c, q);
    session_drop_queue(s);
}

enum { CONTROLS = NO_SCRIPT | IN_LOADING | IN_STALE | NO_MULTI };

const struct command_row multi_rows[] = {{"discard", 1, CONTROLS | IN_BUSY, discard},
                                         {"exec", 1, CONTROLS, exec},
                                         {"multi", 1, CONTROLS | IN_BUSY, multi},
                                         {0}};
