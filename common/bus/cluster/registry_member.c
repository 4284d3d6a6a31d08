/* registry_member.c - see registry_member.h. */
#include "common/bus/cluster/registry_member.h"

#include <stdio.h>

#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/partition.h"
#include "common/bus/redis/reply.h"
#include "common/bus/redis/scripts.h"

enum { PAGE = 500 };

void registry_member_encode(struct buf *out, const struct registry_row *row) {
    buf_append(out, row->name);
    buf_append_char(out, '\0');
    buf_append(out, row->client_id);
    buf_append_char(out, '\0');
    buf_append(out, row->value);
}

bool registry_member_decode(struct bytes member, struct registry_row *row_out) {
    row_out->name = bytes_split(&member, '\0');
    row_out->client_id = bytes_split(&member, '\0');
    row_out->value = member;
    return member.len > 0;
}

struct command registry_members_scan(unsigned partition, struct bytes gateway, const char *cursor) {
    struct buf key = {0};
    struct command c = command_begin("SSCAN");
    command_bytes(&c, key_of(&key, partition, KEY_GATEWAY, gateway));
    command_text(&c, cursor);
    command_text(&c, "COUNT");
    command_number(&c, PAGE);
    buf_deinit(&key);
    return c;
}

bool registry_members_page(const struct redisReply *reply, char cursor_out[REGISTRY_CURSOR_SIZE],
                           registry_row_fn *fn, void *ctx) {
    struct bytes cursor = reply_bytes(reply_at(reply, 0));
    const struct redisReply *members = reply_at(reply, 1);
    struct registry_row row;
    snprintf(cursor_out, REGISTRY_CURSOR_SIZE, "%.*s", BYTES_FMT(cursor));
    for (size_t i = 0; i < reply_count(members); i++)
        if (registry_member_decode(reply_bytes(reply_at(members, i)), &row))
            fn(ctx, &row);
    return cursor.len > 0;
}

struct command registry_member_remove(const struct bus *bus, unsigned partition,
                                      struct bytes gateway, const struct registry_row *row,
                                      struct bytes cause) {
    struct buf text = {0};
    struct command c = command_script(SCRIPT_unregister, 6);
    command_bytes(&c, key_of(&text, partition, KEY_CONNECTIONS, row->name));
    command_bytes(&c, key_of(&text, partition, KEY_GATEWAY, gateway));
    command_bytes(&c, key_of(&text, partition, KEY_IN, BYTES_NONE));
    command_bytes(&c, key_of(&text, partition, KEY_CLIENT_IDS, BYTES_NONE));
    command_bytes(&c, key_of(&text, partition, KEY_LAST, row->name));
    command_bytes(&c, key_of(&text, partition, KEY_SINCE, row->name));
    command_bytes(&c, row->client_id);
    command_bytes(&c, row->value);
    buf_clear(&text);
    registry_member_encode(&text, row);
    command_bytes(&c, buf_bytes(&text));
    command_bytes(&c, row->name);
    command_bytes(&c, cause);
    command_number(&c, bus_settings(bus)->history_seconds + REGISTRY_MEMBER_MARGIN_S);
    buf_deinit(&text);
    return c;
}
