/* memo.c - see memo.h. */
#include "common/bus/memo.h"

#include "common/bus/bus.h"
#include "common/bus/link.h"

void memo_add(struct bus *bus, struct bytes key, const struct bytes *fields, size_t count) {
    struct command c = command_begin("XADD");
    command_bytes(&c, key);
    command_text(&c, "MAXLEN");
    command_text(&c, "~");
    command_number(&c, MEMO_MAX);
    command_text(&c, "*");
    for (size_t i = 0; i < count; i++)
        command_bytes(&c, fields[i]);
    link_send(bus_commands(bus), &c, NULL, NULL);
}
