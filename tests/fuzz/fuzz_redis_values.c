/*
 * fuzz_redis_values.c - values and messages that are small texts in Redis, in any bytes: a member
 * of the registry, a heartbeat, an event of a trace, a receipt, a report.
 *
 * Properties: what is read lies within the input, and what is written again reads as the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/bus/cluster/liveness.h"
#include "common/bus/cluster/registry_member.h"
#include "common/bus/cluster/report.h"
#include "common/bus/log/envelope.h"
#include "common/bus/log/publish.h"
#include "common/bus/log/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_member(struct bytes in) {
    struct registry_row row, again;
    struct conn_value value;
    struct buf out = {0};
    if (!registry_member_decode(in, &row))
        return;
    MUST(row.name.len + row.client_id.len + row.value.len + 2 == in.len);
    registry_member_encode(&out, &row);
    MUST(registry_member_decode(buf_bytes(&out), &again));
    MUST(bytes_equal(again.name, row.name) && bytes_equal(again.client_id, row.client_id));
    MUST(bytes_equal(again.value, row.value) && bytes_equal(buf_bytes(&out), in));
    if (conn_value_parse(row.value, &value))
        MUST(value.gateway.len + value.group.len < row.value.len);
    buf_deinit(&out);
}

static void check_one(void *ctx, const struct liveness_one *one) {
    (void)ctx;
    MUST(strlen(one->id) < LIVENESS_ID_MAX && strlen(one->counter) < HEARTBEAT_VALUE_MAX);
}

/* Two looks; lines are ids and their counters by turns. */
static void try_heartbeats(struct bytes in) {
    struct liveness *all = liveness_new();
    for (unsigned look = 1; look < 3; look++) {
        liveness_begin(all, look * 1000, 1);
        for (struct bytes rest = in; rest.len > 0;) {
            struct bytes id = bytes_split(&rest, '\n'), counter = bytes_split(&rest, '\n');
            liveness_see(all, id, counter);
            if (liveness_lists(all, id))
                MUST(id.len < LIVENESS_ID_MAX);
        }
        liveness_end(all, NULL, NULL);
    }
    liveness_each(all, check_one, NULL);
    liveness_free(all);
}

static void try_texts(struct bytes in) {
    struct trace_event event;
    struct receipt receipt;
    struct report_line line;
    struct message_id id;
    struct bytes gateway, rest = in;
    if (trace_event_decode(in, &event))
        MUST(event.hop.len <= in.len && event.process.len <= in.len);
    if (receipt_parse(in, &gateway, &receipt))
        MUST(gateway.len < in.len);
    (void)receipt_parse_id(in, &id);
    for (size_t before = in.len + 1; report_next(&rest, &line); before = rest.len)
        MUST(rest.len < before && line.kind.len + line.text.len <= in.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes in = bytes_of((const char *)data, size);
    try_member(in);
    try_heartbeats(in);
    try_texts(in);
    return 0;
}
