/* audit.c - see audit.h. Answers come in the order of the questions, two for each subject. */
#include "common/bus/log/audit.h"

#include <stdlib.h>

#include "common/bus/bus_send.h"

struct audit {
    struct bus *bus;
    audit_fn *fn;
    void *subjects[AUDIT_ROUND]; /* NULL: gone */
    size_t asked, answered;
    struct message_id own; /* the first answer for the next subject */
};

struct audit *audit_new(struct bus *bus, audit_fn *fn) {
    struct audit *a = mem_zalloc(sizeof(*a));
    a->bus = bus;
    a->fn = fn;
    return a;
}

void audit_free(struct audit *a) {
    free(a);
}

bool audit_has_room(const struct audit *a) {
    return a->asked < AUDIT_ROUND;
}

static struct message_id read_id(const struct redisReply *reply) {
    struct message_id id;
    return message_id_parse(reply_bytes(reply), &id) ? id : MESSAGE_ID_NONE;
}

static void on_own(void *ctx, struct redisReply *reply) {
    struct audit *a = ctx;
    a->own = read_id(reply);
}

/* NULL when the link broke. */
static void on_every(void *ctx, struct redisReply *reply) {
    struct audit *a = ctx;
    void *subject = a->subjects[a->answered++];
    if (a->answered == a->asked)
        a->asked = a->answered = 0;
    if (reply_is_error(reply, NULL))
        bus_refused(a->bus, "GET", reply);
    if (subject != NULL && reply != NULL)
        a->fn(subject, a->own, read_id(reply));
}

static void ask(struct audit *a, unsigned partition, struct bytes key, reply_fn *fn) {
    struct command c = command_begin("GET");
    command_bytes(&c, key);
    bus_send(a->bus, partition, &c, fn, a);
}

void audit_ask(struct audit *a, struct bytes name, void *subject) {
    MUST(audit_has_room(a));
    unsigned partition = partition_of(name, bus_partitions(a->bus));
    struct buf key = {0};
    a->subjects[a->asked++] = subject;
    ask(a, partition, key_of(&key, partition, "l:", name), on_own);
    ask(a, partition, key_of(&key, partition, "l*", BYTES_NONE), on_every);
    buf_deinit(&key);
}

void audit_forget(struct audit *a, const void *subject) {
    for (size_t i = a->answered; i < a->asked; i++)
        if (a->subjects[i] == subject)
            a->subjects[i] = NULL;
}
