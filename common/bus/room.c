/* room.c - see room.h. */
#include "common/bus/room.h"

#include <stdlib.h>

#include "common/bus/bus.h"
#include "common/bus/capacity.h"
#include "common/bus/link.h"
#include "common/bus/partition.h"
#include "common/bus/scripts.h"

struct question {
    struct bus *bus;
    size_t bytes;
};

static void on_answer(void *ctx, struct redisReply *reply) {
    struct question *q = ctx;
    if (reply != NULL)
        link_note_room(bus_commands(q->bus), reply_is_error(reply, NULL) ? 0 : q->bytes);
    free(q);
}

void room_ask(struct bus *bus, unsigned partition, size_t bytes, const struct redisReply *error) {
    if (bytes < CAPACITY_LARGE || !reply_is_error(error, "OOM ") || !bus_can_send(bus))
        return;
    struct buf key = {0};
    struct question *q = mem_alloc(sizeof(*q));
    *q = (struct question){bus, bytes};
    struct command c = command_script(SCRIPT_in, 2);
    command_bytes(&c, key_of(&key, partition, "in", BYTES_NONE));
    command_bytes(&c, key_of(&key, partition, "src", BYTES_NONE));
    command_text(&c, "");
    command_number(&c, 0);
    link_send(bus_commands(bus), &c, on_answer, q);
    buf_deinit(&key);
}
