/* rejects.c - see rejects.h. */
#include "common/bus/log/rejects.h"

#include "common/bus/bus_send.h"

static void on_added(void *ctx, struct redisReply *reply) {
    if (reply_is_error(reply, NULL))
        bus_refused(ctx, "XADD of a dead letter or a refused message", reply);
}

void rejects_add(struct bus *bus, struct bytes key, const struct bytes *fields, size_t count) {
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
    bus_send(bus, BUS_FLEET, &c, on_added, bus);
}
