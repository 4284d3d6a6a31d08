/* rejects.c - see rejects.h. */
#include "common/bus/log/rejects.h"

#include "common/bus/bus_send.h"

static void on_added(void *ctx, struct redisReply *reply) {
    if (reply_is_error(reply, NULL))
        bus_refused(ctx, "XADD of a dead letter or a refused message", reply);
}

static void add(struct bus *bus, unsigned partition, struct bytes key, const struct bytes *fields,
                size_t count) {
    size_t longest = 0;
    struct command c = command_begin("XADD");
    command_bytes(&c, key);
    command_text(&c, "MAXLEN");
    command_number(&c, REJECTS_MAX);
    command_text(&c, "*");
    for (size_t i = 0; i < count; i++) {
        command_bytes(&c, bytes_head(fields[i], REJECTS_VALUE_MAX));
        if (fields[i].len > longest)
            longest = fields[i].len;
    }
    if (longest > REJECTS_VALUE_MAX) {
        command_text(&c, "bytes");
        command_number(&c, (int64_t)longest);
    }
    bus_send(bus, partition, &c, on_added, bus);
}

void rejects_add_dead_letter(struct bus *bus, unsigned partition, const struct bytes *fields,
                             size_t count) {
    struct buf key = {0};
    add(bus, partition, key_of(&key, partition, KEY_DEAD_LETTERS, BYTES_NONE), fields, count);
    buf_deinit(&key);
}

void rejects_add_refused(struct bus *bus, const struct bytes *fields, size_t count) {
    add(bus, BUS_FLEET, bytes_str(fleet_key(KEY_PUBLIC_REFUSED)), fields, count);
}
