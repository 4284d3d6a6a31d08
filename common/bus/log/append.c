/* append.c - see append.h. */
#include "common/bus/log/append.h"

#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/troubles.h"

enum { ONCE_MS = 3600 * 1000 }; /* how long a publisher's idempotency key is remembered */

struct command append_begin(enum script script, const struct append *a) {
    struct buf key = {0};
    struct command c = command_script(script, 2 + (a->once.len > 0));
    command_bytes(&c, key_of(&key, a->partition, KEY_IN, BYTES_NONE));
    command_bytes(&c, key_of(&key, a->partition, KEY_SOURCES, BYTES_NONE));
    if (a->once.len > 0)
        command_bytes(&c, a->once);
    command_bytes(&c, a->source);
    command_number(&c, a->limit);
    buf_deinit(&key);
    return c;
}

struct command append_once(const struct append *a, const char *seq, struct bytes entry) {
    MUST(a->once.len > 0);
    struct command c = append_begin(SCRIPT_append_once, a);
    command_number(&c, ONCE_MS);
    command_text(&c, seq);
    command_bytes(&c, entry);
    return c;
}

struct bytes append_once_key(struct buf *out, unsigned partition, struct bytes name,
                             struct bytes key) {
    key_of(out, partition, KEY_ONCE, name);
    buf_append_char(out, '\0'); /* no Name has one, so no two pairs are one key */
    buf_append(out, key);
    return buf_bytes(out);
}

bool append_fits(const struct bus *bus, size_t bytes) {
    if (bytes <= bus_largest(bus))
        return true;
    metrics_add(METRIC_refused_too_large, 1);
    return false;
}

void append_refused(struct bus *bus, const char *command, const struct redisReply *reply,
                    struct trouble *trouble) {
    metrics_add(METRIC_ingest_busy, 1);
    bus_refused(bus, command, reply);
    trouble_raise(trouble, reply_bytes(reply));
}
