/* client_commands.c - what a client says about itself and others: AUTH, CLIENT, SELECT, QUIT. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

static void auth(struct call *c) {
    const char *password = config_get(c->model, "requirepass");
    if (c->argc > 3) {
        answer_syntax_error(c);
        return;
    }
    if (c->argc == 2 && *password == '\0') {
        answer_error(c, "ERR AUTH <password> called without any password configured for the "
                        "default user. Are you sure your configuration is correct?");
        return;
    }
    bool is_default = c->argc == 2 || bytes_equal_str(c->argv[1], "default");
    bool is_right = *password == '\0' || bytes_equal_str(c->argv[c->argc - 1], password);
    if (is_default && is_right) {
        c->session->is_authenticated = true;
        answer_ok(c);
    } else {
        answer_error(c, "WRONGPASS invalid username-password pair or user is disabled.");
    }
}

static void select_(struct call *c) {
    int64_t n;
    if (!arg_int(c, 1, &n))
        return;
    if (n < 0 || n >= DATABASES) {
        answer_error(c, "ERR DB index is out of range");
        return;
    }
    c->session->db = (int)n;
    answer_ok(c);
}

static void quit(struct call *c) {
    answer_ok(c);
    session_close(c->session);
}

static void reset(struct call *c) {
    struct redis_session *s = c->session;
    pubsub_leave(s);
    session_drop_queue(s);
    s->db = 0;
    s->name[0] = '\0';
    s->is_authenticated = *config_get(c->model, "requirepass") == '\0';
    answer_status(c, "RESET");
}

/* ---- CLIENT ---- */

static bool is_name(struct bytes b) {
    for (size_t i = 0; i < b.len; i++)
        if (b.ptr[i] < '!' || b.ptr[i] > '~')
            return false;
    return true;
}

static void set_name(struct call *c) {
    struct redis_session *s = c->session;
    if (!is_name(c->argv[2])) {
        answer_error(c, "ERR Client names cannot contain spaces, newlines or special characters.");
        return;
    }
    snprintf(s->name, sizeof(s->name), "%.*s", BYTES_FMT(c->argv[2]));
    answer_ok(c);
}

static bool is_of_type(const struct redis_session *s, const char *type) {
    return (redis_session_subscriptions(s) > 0) == (strcmp(type, "pubsub") == 0);
}

struct victims {
    int64_t id; /* 0: any */
    struct bytes addr;
    const char *type;
    bool skips_me;
};

static bool is_victim(const struct call *c, const struct victims *v,
                      const struct redis_session *s) {
    return (v->id == 0 || s->id == v->id) &&
           (v->addr.ptr == NULL || bytes_equal_str(v->addr, s->addr)) &&
           (v->type == NULL || is_of_type(s, v->type)) && !(v->skips_me && s == c->session);
}

static int64_t kill_all(struct call *c, const struct victims *v) {
    struct redis_session *s;
    int64_t n = 0;
    TAILQ_FOREACH (s, &c->model->sessions, link) {
        if (!is_victim(c, v, s) || s->is_closing || s->is_closed)
            continue;
        n++;
        session_close(s);
        if (s == c->session)
            continue;
        block_end(s);
        pubsub_leave(s);
        session_flush(s);
    }
    return n;
}

static bool read_filter(struct call *c, int i, struct victims *v) {
    if (arg_is(c, i, "ID")) {
        if (!number_parse(c->argv[i + 1], &v->id) || v->id < 1) {
            answer_error(c, "ERR client-id should be greater than 0");
            return false;
        }
    } else if (arg_is(c, i, "ADDR")) {
        v->addr = c->argv[i + 1];
    } else if (arg_is(c, i, "TYPE")) {
        v->type = arg_is(c, i + 1, "pubsub")   ? "pubsub"
                  : arg_is(c, i + 1, "normal") ? "normal"
                                               : "";
        if (*v->type == '\0') {
            answer_error(c, "ERR Unknown client type '%.*s'", BYTES_FMT(c->argv[i + 1]));
            return false;
        }
    } else if (arg_is(c, i, "SKIPME")) {
        v->skips_me = arg_is(c, i + 1, "yes");
        if (!v->skips_me && !arg_is(c, i + 1, "no")) {
            answer_syntax_error(c);
            return false;
        }
    } else {
        answer_syntax_error(c);
        return false;
    }
    return true;
}

static void client_kill(struct call *c) {
    struct victims v = {.skips_me = true};
    if (c->argc == 3) {
        v = (struct victims){.addr = c->argv[2]};
        if (kill_all(c, &v) == 0)
            answer_error(c, "ERR No such client");
        else
            answer_ok(c);
        return;
    }
    if (c->argc % 2 != 0) {
        answer_syntax_error(c);
        return;
    }
    for (int i = 2; i < c->argc; i += 2)
        if (!read_filter(c, i, &v))
            return;
    answer_int(c, kill_all(c, &v));
}

static void describe(const struct redis_session *s, struct buf *out) {
    buf_printf(out,
               "id=%" PRId64 " addr=%s laddr=0.0.0.0:0 fd=%" PRId64 " name=%s age=0 idle=0 "
               "flags=%s db=%d sub=%zu psub=%zu ssub=0 multi=%lld qbuf=0 qbuf-free=0 argv-mem=0 "
               "multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=NULL "
               "user=default redir=-1 resp=2\n",
               s->id, s->addr, s->id, s->name,
               s->blocked.is_blocked                ? "b"
               : redis_session_subscriptions(s) > 0 ? "P"
                                                    : "N",
               s->db, s->channel_count, s->pattern_count,
               s->is_multi ? (long long)s->queued : -1LL);
}

static void list(struct call *c, bool is_all) {
    struct redis_session *s;
    struct buf text = {0};
    TAILQ_FOREACH (s, &c->model->sessions, link)
        if (is_all || s == c->session)
            describe(s, &text);
    answer_bulk(c, buf_bytes(&text));
    buf_deinit(&text);
}

static void unblock(struct call *c) {
    int64_t id;
    struct redis_session *s;
    bool is_error = c->argc == 4 && arg_is(c, 3, "ERROR");
    if (!arg_int(c, 2, &id))
        return;
    TAILQ_FOREACH (s, &c->model->blocked, blocked.link)
        if (s->id == id)
            break;
    answer_int(c, s != NULL);
    if (s == NULL)
        return;
    buf_append_str(&s->out,
                   is_error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : "*-1\r\n");
    block_end(s);
    session_flush(s);
    s->events->on_unblocked(s->ctx);
}

static void client_id(struct call *c) {
    answer_int(c, c->session->id);
}

static void get_name(struct call *c) {
    if (*c->session->name != '\0')
        answer_bulk(c, bytes_str(c->session->name));
    else
        answer_nil(c);
}

static void client_list(struct call *c) {
    list(c, true);
}

static void client_info(struct call *c) {
    list(c, false);
}

enum { ALWAYS = NO_SCRIPT | IN_LOADING | IN_STALE };

const struct command_row client_rows[] = {
    {"auth", -2, ALWAYS | NO_AUTH | IN_BUSY, auth},
    {"client", -2, 0, NULL},
    {"client|getname", 2, ALWAYS, get_name},
    {"client|id", 2, ALWAYS, client_id},
    {"client|info", 2, ALWAYS, client_info},
    {"client|kill", -3, ALWAYS, client_kill},
    {"client|list", -2, ALWAYS, client_list},
    {"client|setname", 3, ALWAYS, set_name},
    {"client|unblock", -3, ALWAYS, unblock},
    {"quit", -1, ALWAYS | NO_AUTH | NO_MULTI | WHILE_SUBSCRIBED | IN_BUSY, quit},
    {"reset", 1, ALWAYS | NO_AUTH | NO_MULTI | WHILE_SUBSCRIBED | IN_BUSY, reset},
    {"select", 2, IN_LOADING | IN_STALE, select_},
    {0}};
