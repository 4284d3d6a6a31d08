/* server_commands.c - PING, INFO, ROLE, TIME and others about the server itself. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/world/redis/internal.h"

static void ping(struct call *c) {
    bool is_subscribed = c->session != NULL && redis_session_subscriptions(c->session) > 0;
    if (c->argc > 2) {
        answer_error(c, "ERR wrong number of arguments for 'ping' command");
    } else if (is_subscribed) {
        answer_array(c, 2);
        answer_bulk(c, BYTES_LIT("pong"));
        answer_bulk(c, c->argc == 2 ? c->argv[1] : BYTES_LIT(""));
    } else if (c->argc == 2) {
        answer_bulk(c, c->argv[1]);
    } else {
        answer_status(c, "PONG");
    }
}

static void echo(struct call *c) {
    answer_bulk(c, c->argv[1]);
}

static void answer_number_text(struct call *c, int64_t n) {
    char text[24];
    int len = snprintf(text, sizeof(text), "%" PRId64, n);
    answer_bulk(c, bytes_of(text, (size_t)len));
}

static void time_(struct call *c) {
    answer_array(c, 2);
    answer_number_text(c, c->model->wall_us / 1000000);
    answer_number_text(c, c->model->wall_us % 1000000);
}

static void role(struct call *c) {
    if (c->model->is_replica) {
        answer_array(c, 5);
        answer_bulk(c, BYTES_LIT("slave"));
        answer_bulk(c, BYTES_LIT("10.0.9.254"));
        answer_int(c, 6379);
        answer_bulk(c, BYTES_LIT("connected"));
        answer_int(c, 0);
    } else {
        answer_array(c, 3);
        answer_bulk(c, BYTES_LIT("master"));
        answer_int(c, 0);
        answer_array(c, 0);
    }
}

/* ---- INFO ---- */

static void info_server(const struct redis_model *m, struct buf *out) {
    uint64_t up_s = (m->monotonic_us - m->started_us) / 1000000;
    buf_printf(out,
               "# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_mode:"
               "standalone\r\narch_bits:64\r\nprocess_id:%" PRIu64 "\r\nrun_id:%s\r\ntcp_port:6379"
               "\r\nserver_time_usec:%" PRId64 "\r\nuptime_in_seconds:%" PRIu64
               "\r\nuptime_in_days:%" PRIu64 "\r\n",
               m->lives + 1, m->run_id, m->wall_us, up_s, up_s / 86400);
}

static void info_clients(const struct redis_model *m, struct buf *out) {
    const struct redis_session *s;
    size_t all = 0, blocked = 0;
    TAILQ_FOREACH (s, &m->sessions, link) {
        all++;
        blocked += s->blocked.is_blocked;
    }
    buf_printf(out,
               "# Clients\r\nconnected_clients:%zu\r\nmaxclients:%s\r\nblocked_clients:%zu\r\n",
               all, config_get(m, "maxclients"), blocked);
}

static void info_memory(const struct redis_model *m, struct buf *out) {
    buf_printf(out,
               "# Memory\r\nused_memory:%zu\r\nmaxmemory:%zu\r\nmaxmemory_policy:%s\r\n"
               "mem_fragmentation_ratio:1.00\r\n",
               redis_model_memory(m), m->maxmemory, config_get(m, "maxmemory-policy"));
}

static void info_persistence(const struct redis_model *m, struct buf *out) {
    buf_printf(out,
               "# Persistence\r\nloading:%d\r\nrdb_last_bgsave_status:%s\r\naof_enabled:%d\r\n"
               "aof_last_write_status:%s\r\n",
               m->refusal == REDIS_LOADING, m->refusal == REDIS_MISCONF ? "err" : "ok",
               strcmp(config_get(m, "appendonly"), "yes") == 0,
               m->refusal == REDIS_MISCONF_AOF ? "err" : "ok");
}

static void info_replication(const struct redis_model *m, struct buf *out) {
    buf_printf(out, "# Replication\r\nrole:%s\r\n", m->is_replica ? "slave" : "master");
    if (m->is_replica)
        buf_append_str(out, "master_host:10.0.9.254\r\nmaster_port:6379\r\n"
                            "master_link_status:up\r\nslave_read_only:1\r\n");
    buf_printf(out,
               "connected_slaves:0\r\nmaster_failover_state:no-failover\r\nmaster_replid:%s\r\n"
               "master_replid2:%s\r\nmaster_repl_offset:0\r\nsecond_repl_offset:-1\r\n",
               m->replid, m->replid2);
}

static void info_keyspace(const struct redis_model *m, struct buf *out) {
    buf_append_str(out, "# Keyspace\r\n");
    for (int i = 0; i < DATABASES; i++)
        if (m->data->databases[i].keys.count > 0)
            buf_printf(out, "db%d:keys=%zu,expires=0,avg_ttl=0\r\n", i,
                       m->data->databases[i].keys.count);
}

static const struct {
    const char *name;
    void (*write)(const struct redis_model *m, struct buf *out);
} sections[] = {{"server", info_server},           {"clients", info_clients},
                {"memory", info_memory},           {"persistence", info_persistence},
                {"replication", info_replication}, {"keyspace", info_keyspace}};

static bool is_asked_for(const struct call *c, const char *section) {
    for (int i = 1; i < c->argc; i++)
        if (arg_is(c, i, section) || arg_is(c, i, "all") || arg_is(c, i, "everything") ||
            arg_is(c, i, "default"))
            return true;
    return c->argc == 1;
}

static void info(struct call *c) {
    struct buf text = {0};
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (!is_asked_for(c, sections[i].name))
            continue;
        if (text.len > 0)
            buf_append_str(&text, "\r\n");
        sections[i].write(c->model, &text);
    }
    answer_bulk(c, buf_bytes(&text));
    buf_deinit(&text);
}

/* ---- others ---- */

static void memory_usage(struct call *c) {
    for (int i = 3; i < c->argc; i += 2) {
        int64_t n;
        if (i + 1 == c->argc || !arg_is(c, i, "SAMPLES")) {
            answer_syntax_error(c);
            return;
        }
        if (!arg_int(c, i + 1, &n))
            return;
        if (n < 0) {
            answer_syntax_error(c);
            return;
        }
    }
    /* Redis does not ask here whether it has expired. */
    const struct value *v = keyspace_find(c->db, c->argv[2]);
    if (v == NULL)
        answer_nil(c);
    else
        answer_int(c, (int64_t)v->bytes);
}

/* Only between being a master and being the replica of somebody. */
static void replicaof(struct call *c) {
    if (!arg_is(c, 1, "NO"))
        redis_model_demote(c->model);
    else if (c->model->is_replica)
        redis_model_promote(c->model);
    answer_ok(c);
}

static void flushdb(struct call *c) {
    keyspace_clear(c->db);
    answer_ok(c);
}

static void flushall(struct call *c) {
    for (int i = 0; i < DATABASES; i++)
        keyspace_clear(&c->model->data->databases[i]);
    answer_ok(c);
}

enum { ALWAYS = IN_LOADING | IN_STALE };

const struct command_row server_rows[] = {{"echo", 2, ALWAYS, echo},
                                          {"flushall", -1, WRITES, flushall},
                                          {"flushdb", -1, WRITES, flushdb},
                                          {"info", -1, ALWAYS, info},
                                          {"memory", -2, 0, NULL},
                                          {"memory|usage", -3, 0, memory_usage},
                                          {"ping", -1, WHILE_SUBSCRIBED, ping},
                                          {"replicaof", 3, ALWAYS | NO_SCRIPT, replicaof},
                                          {"role", 1, ALWAYS | NO_SCRIPT, role},
                                          {"time", 1, ALWAYS, time_},
                                          {0}};
