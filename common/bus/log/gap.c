/* gap.c - see gap.h. */
#include "common/bus/log/gap.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "common/bus/bus_send.h"

bool gap_is_before(struct message_id at, struct message_id prev) {
    return prev.seq != 0 && message_id_compare(prev, at) > 0;
}

/* --- suspicions --- */

bool gap_is_behind(const struct message_id at[LOG_COUNT], const struct message_id last[LOG_COUNT]) {
    for (int i = 0; i < LOG_COUNT; i++)
        if (gap_is_before(at[i], last[i]))
            return true;
    return false;
}

void gap_suspect(struct gap_suspicions *all, struct gap_suspicion *s,
                 const struct message_id last[LOG_COUNT], uint64_t beat) {
    if (s->is_open)
        return;
    memcpy(s->last, last, sizeof(s->last));
    s->beat = beat;
    s->is_open = true;
    TAILQ_INSERT_TAIL(all, s, link);
}

void gap_forget(struct gap_suspicions *all, struct gap_suspicion *s) {
    if (s->is_open)
        TAILQ_REMOVE(all, s, link);
    s->is_open = s->is_certain = false;
}

struct gap_suspicion *gap_next_certain(struct gap_suspicions *all, uint64_t beat) {
    struct gap_suspicion *s = TAILQ_FIRST(all);
    if (s == NULL || s->beat > beat)
        return NULL;
    gap_forget(all, s);
    s->is_certain = true;
    return s;
}

bool gap_settle(struct gap_suspicion *s, struct message_id at[LOG_COUNT]) {
    bool is_lost = s->is_certain && gap_is_behind(at, s->last);
    for (int i = 0; i < LOG_COUNT && is_lost; i++)
        if (message_id_compare(s->last[i], at[i]) > 0)
            at[i] = s->last[i];
    s->is_certain = false;
    return is_lost;
}

/* --- the audit: answers come in the order of the questions, two for each subject --- */

struct gap_audit {
    struct bus *bus;
    gap_audit_fn *fn;
    void *subjects[GAP_AUDIT_ROUND]; /* NULL: gone */
    uint64_t asked_ms[GAP_AUDIT_ROUND];
    size_t asked, answered;
    struct message_id own; /* the first answer for the next subject */
};

struct gap_audit *gap_audit_new(struct bus *bus, gap_audit_fn *fn) {
    struct gap_audit *a = mem_zalloc(sizeof(*a));
    a->bus = bus;
    a->fn = fn;
    return a;
}

void gap_audit_free(struct gap_audit *a) {
    free(a);
}

bool gap_audit_has_room(const struct gap_audit *a) {
    return a->asked < GAP_AUDIT_ROUND;
}

static struct message_id read_id(const struct redisReply *reply) {
    struct message_id id;
    return message_id_parse(reply_bytes(reply), &id) ? id : MESSAGE_ID_NONE;
}

static void on_own(void *ctx, struct redisReply *reply) {
    struct gap_audit *a = ctx;
    a->own = read_id(reply);
}

/* reply is NULL when the link broke. */
static void on_every(void *ctx, struct redisReply *reply) {
    struct gap_audit *a = ctx;
    size_t i = a->answered++;
    struct gap_audited said = {.last = {[LOG_OWN] = a->own}, .asked_ms = a->asked_ms[i]};
    if (a->answered == a->asked)
        a->asked = a->answered = 0;
    if (reply_is_error(reply, NULL))
        bus_refused(a->bus, "GET", reply);
    if (a->subjects[i] == NULL || reply == NULL)
        return;
    said.last[LOG_EVERY] = read_id(reply);
    a->fn(a->subjects[i], &said);
}

static void ask(struct gap_audit *a, unsigned partition, struct bytes key, reply_fn *fn) {
    struct command c = command_begin("GET");
    command_bytes(&c, key);
    bus_send(a->bus, partition, &c, fn, a);
}

void gap_audit_ask(struct gap_audit *a, struct bytes name, void *subject) {
    MUST(gap_audit_has_room(a));
    unsigned partition = partition_of(name, bus_partitions(a->bus));
    struct buf key = {0};
    a->asked_ms[a->asked] = uv_now(bus_loop(a->bus));
    a->subjects[a->asked++] = subject;
    ask(a, partition, key_of(&key, partition, KEY_LAST, name), on_own);
    ask(a, partition, key_of(&key, partition, KEY_LAST_OF_ALL, BYTES_NONE), on_every);
    buf_deinit(&key);
}

void gap_audit_forget(struct gap_audit *a, const void *subject) {
    for (size_t i = a->answered; i < a->asked; i++)
        if (a->subjects[i] == subject)
            a->subjects[i] = NULL;
}
