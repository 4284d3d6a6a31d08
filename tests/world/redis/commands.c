/* commands.c - the table of all commands, and whether one may run now. */
#include <ctype.h>
#include <stdio.h>

#include "tests/world/redis/internal.h"

/* ---- the table ---- */

static const struct command_row *const tables[] = {
    client_rows, config_rows, hash_rows, key_rows,    multi_rows,  pubsub_rows,
    script_rows, server_rows, set_rows,  sorted_rows, stream_rows, string_rows};
enum { SLOTS = 256, NAME_MAX_BYTES = 24 };

/* Open addressing; filled at the first look-up. */
static const struct command_row *slots[SLOTS];

static unsigned slot_of(const char *name, size_t len) {
    unsigned h = 5381;
    for (size_t i = 0; i < len; i++)
        h = h * 33 ^ (unsigned char)name[i];
    return h % SLOTS;
}

static void fill(void) {
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct command_row *r = tables[t]; r->name != NULL; r++) {
            unsigned at = slot_of(r->name, strlen(r->name));
            while (slots[at] != NULL)
                at = (at + 1) % SLOTS;
            slots[at] = r;
        }
}

static const struct command_row *find(struct bytes name) {
    static bool is_filled;
    char lower[NAME_MAX_BYTES];
    if (!is_filled)
        fill();
    is_filled = true;
    if (name.len >= sizeof(lower))
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = bytes_lower(name.ptr[i]);
    for (unsigned at = slot_of(lower, name.len); slots[at] != NULL; at = (at + 1) % SLOTS)
        if (bytes_equal_str(bytes_of(lower, name.len), slots[at]->name))
            return slots[at];
    return NULL;
}

const struct command_row *command_find(const struct bytes *argv, int argc,
                                       const struct command_row **container_out) {
    const struct command_row *row = find(argv[0]);
    char name[2 * NAME_MAX_BYTES];
    *container_out = row;
    if (row == NULL || row->fn != NULL || argc < 2)
        return row;
    if (argv[1].len >= NAME_MAX_BYTES)
        return NULL;
    int len = snprintf(name, sizeof(name), "%s|%.*s", row->name, BYTES_FMT(argv[1]));
    return find(bytes_of(name, (size_t)len));
}

/* ---- may it run? ---- */

static void answer_unknown(struct call *c) {
    char args[256] = "";
    size_t len = 0;
    for (int i = 1; i < c->argc && len < 128; i++)
        len += (size_t)snprintf(args + len, sizeof(args) - len, "'%.*s' ",
                                BYTES_FMT(bytes_head(c->argv[i], 128 - len)));
    answer_error(c, "ERR unknown command '%.*s', with args beginning with: %s",
                 BYTES_FMT(bytes_head(c->argv[0], 128)), args);
}

static void answer_unknown_subcommand(struct call *c, const struct command_row *container) {
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof(name), "%s", container->name);
    for (char *at = name; *at != '\0'; at++)
        *at = (char)toupper((unsigned char)*at);
    answer_error(c, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                 BYTES_FMT(bytes_head(c->argv[1], 128)), name);
}

bool command_fits(struct call *c) {
    const struct command_row *container;
    c->row = command_find(c->argv, c->argc, &container);
    if (container == NULL) {
        answer_unknown(c);
        return false;
    }
    if (c->row == NULL) {
        answer_unknown_subcommand(c, container);
        return false;
    }
    int arity = c->row->arity;
    if (arity > 0 ? c->argc == arity : c->argc >= -arity)
        return true;
    answer_error(c, "ERR wrong number of arguments for '%s' command", c->row->name);
    return false;
}

#define MISCONF_TEXT                                                                               \
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "  \
    "disk. Commands that may modify the data set are disabled, because this instance is "          \
    "configured to report errors during writes if RDB snapshotting fails "                         \
    "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB " \
    "error."

/* What keeps a server from writing; NULL: nothing. */
static const char *write_refusal(const struct redis_model *m) {
    if (m->refusal == REDIS_MISCONF)
        return MISCONF_TEXT;
    if (m->refusal == REDIS_MISCONF_AOF)
        return "MISCONF Errors writing to the AOF file: No space left on device";
    if (m->refusal == REDIS_NOREPLICAS || (m->lacks_replicas && !m->is_replica))
        return "NOREPLICAS Not enough good replicas to write.";
    return m->is_replica ? "READONLY You can't write against a read only replica." : NULL;
}

static bool is_full(const struct redis_model *m) {
    return m->maxmemory > 0 && redis_model_memory(m) > m->maxmemory;
}

/* The reason for which the command is refused whatever it says, in Redis' order; NULL: none. */
static const char *refusal(const struct call *c, unsigned flags) {
    const struct redis_model *m = c->model;
    bool is_ping = c->row->name[0] == 'p' && strcmp(c->row->name, "ping") == 0;
    bool is_disk = m->refusal == REDIS_MISCONF || m->refusal == REDIS_MISCONF_AOF;
    if ((flags & NEEDS_MEMORY) && is_full(m))
        return "OOM command not allowed when used memory > 'maxmemory'.";
    if (((flags & WRITES) || (is_ping && is_disk && !c->is_script)) && write_refusal(m) != NULL)
        return write_refusal(m);
    if (c->is_script)
        return NULL;
    if (m->refusal == REDIS_MASTERDOWN && !(flags & IN_STALE))
        return "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    if (m->refusal == REDIS_LOADING && !(flags & IN_LOADING))
        return "LOADING Redis is loading the dataset in memory";
    if (m->refusal == REDIS_BUSY && !(flags & IN_BUSY))
        return "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN "
               "NOSAVE.";
    return NULL;
}

bool command_is_refused(struct call *c, unsigned flags) {
    const char *why = refusal(c, flags);
    if (why != NULL)
        answer_error(c, "%s", why);
    return why != NULL;
}

/* A client that is subscribed may only go on with that. */
static bool is_out_of_place(struct call *c) {
    if (redis_session_subscriptions(c->session) == 0 || (c->row->flags & WHILE_SUBSCRIBED))
        return false;
    answer_error(c,
                 "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                 "RESET are allowed in this context",
                 c->row->name);
    return true;
}

static bool is_exec(const struct call *c) {
    return c->row != NULL && strcmp(c->row->name, "exec") == 0;
}

/* EXEC writes when what is queued writes. */
static unsigned flags_of(struct call *c) {
    unsigned flags = c->row->flags;
    const struct queued *q;
    if (flags & IS_SCRIPT)
        return script_flags(c, flags);
    if (c->session->is_multi && !(flags & NO_MULTI))
        flags |= NEEDS_MEMORY;
    if (is_exec(c))
        STAILQ_FOREACH (q, &c->session->queue, link)
            flags |= q->row->flags & (WRITES | NEEDS_MEMORY);
    return flags;
}

static bool is_refused(struct call *c) {
    size_t before = c->out->len;
    if (!command_fits(c))
        return true;
    if (!c->session->is_authenticated && !(c->row->flags & NO_AUTH))
        answer_error(c, "NOAUTH Authentication required.");
    else if (!command_is_refused(c, flags_of(c)))
        is_out_of_place(c);
    return c->out->len > before;
}

static void queue(struct call *c) {
    struct queued *q = mem_zalloc(sizeof(*q));
    *q = (struct queued){.row = c->row, .argc = c->argc};
    q->argv = mem_alloc((size_t)c->argc * sizeof(struct text *));
    for (int i = 0; i < c->argc; i++)
        q->argv[i] = text_new(c->argv[i]);
    STAILQ_INSERT_TAIL(&c->session->queue, q, link);
    c->session->queued++;
    answer_status(c, "QUEUED");
}

/* An EXEC that is refused ends the transaction and says so. */
static void abort_transaction(struct call *c, size_t from) {
    struct bytes why = bytes_from(buf_bytes(c->out), from + 1);
    if (bytes_starts_with(why, BYTES_LIT("ERR ")))
        why = bytes_from(why, 4);
    struct text *copy = text_new(bytes_head(why, why.len - 2));
    c->out->len = from;
    answer_error(c, "EXECABORT Transaction discarded because of: %.*s",
                 BYTES_FMT(text_bytes(copy)));
    text_drop(copy);
    session_drop_queue(c->session);
}

void command_run(struct call *c) {
    struct redis_session *s = c->session;
    size_t before = c->out->len;
    if (is_refused(c)) {
        s->is_multi_bad |= s->is_multi;
        if (is_exec(c))
            abort_transaction(c, before);
        return;
    }
    if (s->is_multi && !(c->row->flags & NO_MULTI))
        queue(c);
    else
        c->row->fn(c);
}
