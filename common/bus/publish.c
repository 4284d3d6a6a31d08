/* publish.c - see publish.h. */
#include "common/bus/publish.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bus/bus.h"
#include "common/bus/link.h"
#include "common/bus/partition.h"

struct publishing {
    publish_done_fn *fn;
    void *ctx;
};

static void on_answer(void *ctx, struct redisReply *reply) {
    struct publishing *p = ctx;
    if (reply == NULL)
        p->fn(p->ctx, -ENOTCONN,
              BYTES_LIT("the connection to Redis broke: unknown whether it was taken"));
    else if (reply_is_error(reply, NULL))
        p->fn(p->ctx, -EIO, reply_bytes(reply));
    else
        p->fn(p->ctx, 0, reply_bytes(reply));
    free(p);
}

void publish_json(struct bus *bus, struct bytes json, publish_done_fn *fn, void *ctx) {
    struct publishing *p = mem_alloc(sizeof(*p));
    *p = (struct publishing){fn, ctx};
    struct command c = command_begin("XADD");
    command_text(&c, PUBLIC_SEND);
    command_text(&c, "*");
    command_text(&c, "m");
    command_bytes(&c, json);
    link_send(bus_commands(bus), &c, on_answer, p);
}
