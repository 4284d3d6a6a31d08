/* deferred.c - see deferred.h. */
#include "common/bus/log/deferred.h"

#include "common/bus/bus_send.h"

static void add_key(struct command *c, const struct deferred_place *p, enum partition_key what) {
    struct buf key = {0};
    command_bytes(c, key_of(&key, p->partition, what, BYTES_NONE));
    buf_deinit(&key);
}

static void add_id(struct command *c, struct message_id id) {
    char text[MESSAGE_ID_TEXT];
    command_text(c, message_id_format(id, text));
}

static struct command begin(const struct deferred_place *p, enum script script) {
    struct command c = command_script(script, 3);
    add_key(&c, p, KEY_OWN);
    add_key(&c, p, KEY_IN);
    add_key(&c, p, KEY_DEFERRED);
    command_text(&c, bus_id(p->bus));
    command_number(&c, (int64_t)p->term);
    return c;
}

static void call(const struct deferred_place *p, struct command *c, reply_fn *fn, void *ctx) {
    bus_send(p->bus, p->partition, c, fn, ctx);
}

void deferred_store(const struct deferred_place *p, const struct deferred_item *items, size_t count,
                    reply_fn *fn, void *ctx) {
    struct command c = begin(p, SCRIPT_defer);
    for (size_t i = 0; i < count; i++) {
        add_id(&c, items[i].id);
        add_id(&c, items[i].order);
        command_number(&c, items[i].handled);
        command_bytes(&c, items[i].lane);
    }
    call(p, &c, fn, ctx);
}

void deferred_bring_back(const struct deferred_place *p, const struct message_id *ids, size_t count,
                         reply_fn *fn, void *ctx) {
    struct command c = begin(p, SCRIPT_requeue);
    for (size_t i = 0; i < count; i++)
        add_id(&c, ids[i]);
    call(p, &c, fn, ctx);
}

void deferred_list(const struct deferred_place *p, reply_fn *fn, void *ctx) {
    struct command c = begin(p, SCRIPT_list_deferred);
    call(p, &c, fn, ctx);
}

void deferred_forget(const struct deferred_place *p, const struct message_id *ids, size_t count) {
    struct command c = command_begin("HDEL");
    add_key(&c, p, KEY_DEFERRED);
    for (size_t i = 0; i < count; i++)
        add_id(&c, ids[i]);
    call(p, &c, NULL, NULL);
}

bool deferred_read(const struct redisReply *row, struct deferred_item *item_out) {
    *item_out = (struct deferred_item){.lane = reply_bytes(reply_at(row, 2)),
                                       .size = (size_t)reply_number(reply_at(row, 3), 0),
                                       .is_ahead = reply_number(reply_at(row, 4), 0) == 1};
    return item_out->lane.len > 0 &&
           message_id_parse(reply_bytes(reply_at(row, 0)), &item_out->id) &&
           message_id_parse(reply_bytes(reply_at(row, 1)), &item_out->order);
}
