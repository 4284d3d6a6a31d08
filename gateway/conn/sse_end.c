/* sse_end.c - see sse_end.h. */
#include "gateway/conn/sse_end.h"

#include "common/json/json_text.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/conn/v1.h"

void sse_end_append(struct buf *out, const struct sse_end *e) {
    struct buf data = {0}, id = {0};
    bool may_return = e->last_id.len == 0;
    unsigned retry_ms = may_return ? v1_retry_ms() : 0;
    if (e->is_v1) {
        v1_closed(&data, e->code, e->reason, retry_ms);
    } else {
        buf_printf(&data, "{\"code\":%d,\"reason\":", e->code);
        json_append_string(&data, e->reason);
        buf_append_char(&data, '}');
    }
    if (!may_return)
        buf_printf(&id, "%.*s" SSE_END_MARK, BYTES_FMT(e->last_id));
    struct sse_event event = {
        .type = "close", .id = buf_bytes(&id), .retry_ms = retry_ms, .data = buf_bytes(&data)};
    sse_append(out, &event);
    buf_deinit(&data);
    buf_deinit(&id);
}
