/* Entries, messages, sessions and connection values as they may stand in Redis: whatever the bytes,
 * decoding ends, and what was decoded can be written and read again. */
#include <stddef.h>
#include <stdint.h>

#include "common/bus/log/envelope.h"

/* Whatever is read can be written, and is the same then. */
static void try_details(struct bytes in) {
    struct conn_details d, again;
    struct buf out = {0};
    if (!conn_details_decode(in, &d))
        return;
    MUST(d.groups.count <= CONN_GROUPS_MAX && d.value.len > 0);
    conn_details_encode(&out, &d);
    conn_details_read(d.value, buf_bytes(&out), &again);
    MUST(again.zone != NULL && again.groups.count == d.groups.count);
    MUST(bytes_equal(again.data, d.data));
    for (size_t i = 0; i < d.groups.count; i++)
        MUST(bytes_equal(again.groups.items[i], d.groups.items[i]));
    conn_details_free(&again);
    conn_details_free(&d);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_entry(struct bytes in) {
    struct entry e, again;
    struct buf out = {0};
    if (entry_decode(in, &e) != PARSE_OK)
        return;
    entry_encode(&out, &e);
    MUST(entry_decode(buf_bytes(&out), &again) == PARSE_OK);
    MUST(again.kind == e.kind && again.code == e.code && again.ts_ms == e.ts_ms);
    MUST(again.names.count == e.names.count && bytes_equal(again.body, e.body));
    entry_free(&again);
    entry_free(&e);
    buf_deinit(&out);
}

static void try_message(struct bytes in) {
    struct message m, again;
    struct buf out = {0};
    if (message_decode(in, &m) != PARSE_OK)
        return;
    message_encode(&out, &m);
    if (m.kind == MESSAGE_GROUPS) { /* its data is appended where it is committed */
        buf_append_char(&out, (char)0xc0);
        m.data = BYTES_NONE;
    }
    MUST(message_decode(buf_bytes(&out), &again) == PARSE_OK);
    MUST(message_id_compare(again.id, m.id) == 0 && bytes_equal(again.data, m.data));
    message_free(&again);
    message_free(&m);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes in = bytes_of(data, size);
    struct session s;
    struct conn_value v;
    struct message_id id;
    try_entry(in);
    try_message(in);
    try_details(in);
    if (session_decode(in, &s) == PARSE_OK)
        session_free(&s);
    if (conn_value_parse(in, &v))
        MUST(v.gateway.len <= size && v.group.len <= size);
    (void)message_id_parse(in, &id);
    return 0;
}
