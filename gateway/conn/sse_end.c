/* sse_end.c - see sse_end.h. */
#include "gateway/conn/sse_end.h"

#include "common/base/random.h"
#include "common/json/json_text.h"
#include "gateway/codec/sse_codec.h"

enum { RETRY_MIN_MS = 1000, RETRY_SPREAD_MS = 2000 };

unsigned sse_retry_ms(void) {
    return RETRY_MIN_MS + (unsigned)random_below(RETRY_SPREAD_MS);
}

void sse_end_append(struct buf *out, const struct sse_end *e) {
    struct buf data = {0}, id = {0};
    bool may_return = e->last_id.len == 0;
    unsigned retry_ms = may_return ? sse_retry_ms() : 0;
    buf_printf(&data, "{%s\"code\":%d,\"reason\":", e->is_v1 ? "\"type\":\"closed\"," : "",
               e->code);
    json_append_string(&data, e->reason);
    if (e->is_v1 && may_return)
        buf_printf(&data, ",\"retryMs\":%u", retry_ms);
    buf_append_char(&data, '}');
    if (!may_return)
        buf_printf(&id, "%.*s" SSE_END_MARK, BYTES_FMT(e->last_id));
    struct sse_event event = {
        .type = "close", .id = buf_bytes(&id), .retry_ms = retry_ms, .data = buf_bytes(&data)};
    sse_append(out, &event);
    buf_deinit(&data);
    buf_deinit(&id);
}
