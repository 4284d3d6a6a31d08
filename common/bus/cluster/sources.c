/* sources.c - see sources.h. */
#include "common/bus/cluster/sources.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/table.h"
#include "common/bus/bus_send.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/cluster/liveness.h"

enum {
    ID_LEN = 16,
    SOURCE_TEXT = 24,
    HOUR_MS = 3600 * 1000,
    BROKER_HOURS = 24,
    STRANGER_HOURS = 2, /* without a look, though there is one a minute */
    WATCHED_MAX = 100000
};

/* A source without a sign of life. */
struct absent {
    UT_hash_handle hh;
    uint64_t since_ms, looked_ms;
    char key[SOURCE_TEXT + 12]; /* "<partition> <source>" */
};

struct sources {
    struct bus *bus;
    const struct lease *lease;
    const struct liveness *gateways; /* during a sweep and its answers */
    struct absent *all;
};

struct look {
    struct sources *sources;
    unsigned partition;
    char source[SOURCE_TEXT];
};

static struct look *look_new(struct sources *s, unsigned partition, struct bytes source) {
    struct look *k = mem_zalloc(sizeof(*k));
    *k = (struct look){.sources = s, .partition = partition};
    snprintf(k->source, sizeof(k->source), "%.*s", BYTES_FMT(source));
    return k;
}

static struct command src_command(const char *name, unsigned partition) {
    struct buf key = {0};
    struct command c = command_begin(name);
    command_bytes(&c, key_of(&key, partition, KEY_SOURCES, BYTES_NONE));
    buf_deinit(&key);
    return c;
}

/* --- removing --- */

static void forget(struct sources *s, unsigned partition, const char *source) {
    struct absent *a;
    char key[sizeof(a->key)];
    snprintf(key, sizeof(key), "%u %s", partition, source);
    HASH_FIND_STR(s->all, key, a);
    if (a == NULL)
        return;
    HASH_DEL(s->all, a);
    free(a);
}

static void on_dead_answer(void *ctx, struct redisReply *reply) {
    struct look *k = ctx;
    struct sources *s = k->sources;
    if (reply_number(reply, 1) == 0 && lease_is_held(s->lease, k->partition)) {
        struct command c = src_command("HDEL", k->partition);
        command_text(&c, k->source);
        bus_send(s->bus, k->partition, &c, NULL, NULL);
        forget(s, k->partition, k->source);
    }
    free(k);
}

static void remove_unless_dead(struct sources *s, unsigned partition, struct bytes source,
                               struct bytes id) {
    struct buf key = {0};
    struct command c = command_begin("EXISTS");
    buf_printf(&key, "%s%.*s", fleet_key(KEY_DEAD), BYTES_FMT(id));
    command_bytes(&c, buf_bytes(&key));
    buf_deinit(&key);
    bus_send(s->bus, BUS_FLEET, &c, on_dead_answer, look_new(s, partition, source));
}

/* --- watching --- */

/* For how long it has been absent; 0 when it is seen absent for the first time. */
static uint64_t absent_ms(struct sources *s, unsigned partition, struct bytes source,
                          bool is_here) {
    struct absent *a;
    char key[sizeof(a->key)];
    snprintf(key, sizeof(key), "%u %.*s", partition, BYTES_FMT(source));
    HASH_FIND_STR(s->all, key, a);
    if (is_here && a != NULL) {
        HASH_DEL(s->all, a);
        free(a);
    }
    if (a != NULL && !is_here)
        a->looked_ms = clock_ms();
    if (is_here || a != NULL || HASH_COUNT(s->all) >= WATCHED_MAX)
        return is_here || a == NULL ? 0 : clock_ms() - a->since_ms;
    a = mem_zalloc(sizeof(*a));
    a->since_ms = a->looked_ms = clock_ms();
    snprintf(a->key, sizeof(a->key), "%s", key);
    HASH_ADD_STR(s->all, key, a);
    return 0;
}

static bool is_id(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (!isxdigit((unsigned char)text.ptr[i]))
            return false;
    return text.len == ID_LEN;
}

/* "<gid>" is a gateway's or a tool's, "b<bid>" a broker's; "p<k>", "x" and "c:<schedule>" stay. */
static void look_at(struct sources *s, unsigned partition, struct bytes source) {
    bool is_broker = source.len == ID_LEN + 1 && source.ptr[0] == 'b';
    struct bytes id = bytes_from(source, is_broker);
    uint64_t limit_ms = (is_broker ? BROKER_HOURS : 1) * (uint64_t)HOUR_MS;
    if (!is_id(id))
        return;
    bool is_here = is_broker ? lease_lists_broker(s->lease, id) : liveness_lists(s->gateways, id);
    if (absent_ms(s, partition, source, is_here) > limit_ms)
        remove_unless_dead(s, partition, source, id);
}

static void on_sources(void *ctx, struct redisReply *reply) {
    struct look *k = ctx;
    for (size_t i = 0; i < reply_count(reply); i++)
        look_at(k->sources, k->partition, reply_bytes(reply_at(reply, i)));
    free(k);
}

/* Of partitions that are another broker's now, or removed by one. */
static void forget_strangers(struct sources *s) {
    struct absent *a, *following;
    HASH_ITER (hh, s->all, a, following) {
        if (clock_ms() - a->looked_ms <= STRANGER_HOURS * (uint64_t)HOUR_MS)
            continue;
        HASH_DEL(s->all, a);
        free(a);
    }
}

void sources_sweep(struct sources *s, const struct liveness *gateways) {
    s->gateways = gateways;
    forget_strangers(s);
    for (unsigned p = 0; p < bus_partitions(s->bus); p++) {
        if (!lease_is_held(s->lease, p))
            continue;
        struct command c = src_command("HKEYS", p);
        bus_send(s->bus, p, &c, on_sources, look_new(s, p, BYTES_LIT("")));
    }
}

struct sources *sources_new(struct bus *bus, const struct lease *lease) {
    struct sources *s = mem_zalloc(sizeof(*s));
    s->bus = bus;
    s->lease = lease;
    return s;
}

void sources_free(struct sources *s) {
    struct absent *a, *next;
    HASH_ITER (hh, s->all, a, next) {
        HASH_DEL(s->all, a);
        free(a);
    }
    free(s);
}
