/* message_line.c - see message_line.h. */
#include "tools/message_line.h"

#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/send/delivery.h"
#include "tools/table.h"

enum { SHOWN_BYTES = 100 };

static void append_to(struct buf *out, const char *what, struct bytes_list list) {
    for (size_t i = 0; i < list.count; i++) {
        buf_append_str(out, i == 0 ? what : ",");
        table_append_shown(out, list.items[i]);
    }
}

void message_line_append(struct buf *out, struct bytes name, const struct message *m) {
    char time[32], id[MESSAGE_ID_TEXT];
    struct bytes reason;
    clock_format_utc(m->ts_ms, time);
    buf_printf(out, "%s  %s  ", time, message_id_format(m->id, id));
    table_append_shown(out, name);
    append_to(out, " group=", m->to_groups);
    append_to(out, " client=", m->to_clients);
    table_append_member(out, "connection", m->to_conn);
    buf_append_str(out, "  ");
    if (m->kind == MESSAGE_CLOSE) {
        buf_printf(out, "close %d ", delivery_read_close(m, &reason));
        table_append_shown(out, reason);
    } else if (m->flags & FLAG_BINARY) {
        buf_printf(out, "binary, %zu bytes", m->data.len);
    } else {
        struct bytes shown = utf8_head(m->data, SHOWN_BYTES);
        table_append_shown(out, shown);
        if (shown.len < m->data.len)
            buf_printf(out, "… (%zu bytes)", m->data.len);
    }
}
