/* registry_member.c - see registry_member.h. */
#include "common/bus/cluster/registry_member.h"

#include "common/bus/partition.h"
#include "common/bus/redis/scripts.h"

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

struct command registry_member_remove(unsigned partition, struct bytes gateway,
                                      const struct registry_row *row, struct bytes cause) {
    struct buf text = {0};
    struct command c = command_script(SCRIPT_unregister, 4);
    command_bytes(&c, key_of(&text, partition, KEY_CONNECTIONS, row->name));
    command_bytes(&c, key_of(&text, partition, KEY_GATEWAY, gateway));
    command_bytes(&c, key_of(&text, partition, KEY_IN, BYTES_NONE));
    command_bytes(&c, key_of(&text, partition, KEY_CLIENT_IDS, BYTES_NONE));
    command_bytes(&c, row->client_id);
    command_bytes(&c, row->value);
    buf_clear(&text);
    registry_member_encode(&text, row);
    command_bytes(&c, buf_bytes(&text));
    command_bytes(&c, row->name);
    command_bytes(&c, cause);
    buf_deinit(&text);
    return c;
}
