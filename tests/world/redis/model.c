/* model.c - the life of a server. See model.h. */
#include <stdio.h>

#include "tests/world/redis/internal.h"

enum { BASE_BYTES = 1024 * 1024, SWEEP_MS = 1000 };

/* ---- life ---- */

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void make_id(struct redis_model *m, char out[41]) {
    for (int i = 0; i < 40; i += 8)
        snprintf(out + i, 9, "%08x", (unsigned)(next_random(&m->seed) >> 32));
}

static void begin_life(struct redis_model *m, struct data *data) {
    m->data = data != NULL ? data : data_new(next_random(&m->seed));
    m->scripts = scripts_new();
    pubsub_init(&m->pubsub, next_random(&m->seed));
    m->next_client_id = 1;
    m->ready_count = 0;
    m->started_us = m->monotonic_us;
    make_id(m, m->run_id);
    make_id(m, m->replid);
    memset(m->replid2, '0', sizeof(m->replid2) - 1);
}

static void end_life(struct redis_model *m) {
    MUST(TAILQ_EMPTY(&m->sessions));
    scripts_free(m->scripts);
    pubsub_deinit(&m->pubsub);
}

struct redis_model *redis_model_new(uint64_t seed) {
    struct redis_model *m = mem_zalloc(sizeof(*m));
    m->seed = seed;
    TAILQ_INIT(&m->sessions);
    TAILQ_INIT(&m->blocked);
    config_init(m);
    begin_life(m, NULL);
    return m;
}

void redis_model_free(struct redis_model *m) {
    end_life(m);
    data_free(m->data);
    free(m);
}

void redis_model_restart(struct redis_model *m, struct data *data) {
    end_life(m);
    if (data != m->data)
        data_free(m->data);
    m->lives++;
    m->is_replica = false;
    begin_life(m, data);
}

/* ---- its data ---- */

struct data *redis_model_copy_data(const struct redis_model *m) {
    return data_copy(m->data);
}

void redis_model_drop_data(struct data *data) {
    data_free(data);
}

void redis_model_set_data(struct redis_model *m, struct data *data) {
    struct redis_session *s;
    data_free(m->data);
    m->data = data != NULL ? data : data_new(next_random(&m->seed));
    TAILQ_FOREACH (s, &m->blocked, blocked.link)
        s->blocked.db = &m->data->databases[s->db];
    block_ready(m, NULL, BYTES_NONE);
    block_serve(m);
}

size_t redis_model_memory(const struct redis_model *m) {
    return BASE_BYTES + m->data->bytes + scripts_bytes(m->scripts);
}

/* ---- time ---- */

static void sweep(struct redis_model *m, struct keyspace *k) {
    struct dict_entry *e, *next;
    for (e = TAILQ_FIRST(&k->keys.order); e != NULL; e = next) {
        next = TAILQ_NEXT(e, order);
        if (value_is_expired(e->value.ptr, m->wall_us / 1000))
            keyspace_remove(k, dict_key(e));
    }
}

void redis_model_set_time(struct redis_model *m, int64_t wall_us, uint64_t monotonic_us) {
    m->wall_us = wall_us;
    m->monotonic_us = monotonic_us;
    if (redis_model_due(m) <= monotonic_us)
        block_expire(m);
    int64_t since_ms = wall_us / 1000 - m->swept_ms;
    if (m->is_lazy || m->is_replica || (since_ms >= 0 && since_ms < SWEEP_MS))
        return;
    m->swept_ms = wall_us / 1000;
    for (int i = 0; i < DATABASES; i++)
        sweep(m, &m->data->databases[i]);
}

void redis_model_set_sweeping(struct redis_model *m, bool is_sweeping) {
    m->is_lazy = !is_sweeping;
}

uint64_t redis_model_due(const struct redis_model *m) {
    uint64_t due = UINT64_MAX;
    const struct redis_session *s;
    TAILQ_FOREACH (s, &m->blocked, blocked.link)
        if (s->blocked.until_us < due)
            due = s->blocked.until_us;
    return due;
}

/* ---- its part ---- */

void redis_model_demote(struct redis_model *m) {
    m->is_replica = true;
    block_fail(m, "UNBLOCKED force unblock from blocking operation, instance state changed (master "
                  "-> replica?)");
}

void redis_model_promote(struct redis_model *m) {
    m->is_replica = false;
    memcpy(m->replid2, m->replid, sizeof(m->replid2));
    make_id(m, m->replid);
}

void redis_model_refuse(struct redis_model *m, enum redis_refusal refusal) {
    m->refusal = refusal;
}

void redis_model_tap(struct redis_model *m,
                     void (*fn)(void *ctx, struct bytes channel, struct bytes payload), void *ctx) {
    m->tap = fn;
    m->tap_ctx = ctx;
}

void redis_model_ahead(struct redis_model *m,
                       void (*fn)(void *ctx, const struct bytes *argv, int argc), void *ctx) {
    m->ahead = fn;
    m->ahead_ctx = ctx;
}
