/* v1.c - see v1.h. */
#include "gateway/conn/v1.h"

#include "common/base/must.h"
#include "common/base/random.h"
#include "common/base/settings.h"
#include "common/json/json_text.h"
#include "gateway/conn/conn.h"

enum { SWEEP_MS = 1000, RETRY_MIN_MS = 1000, RETRY_SPREAD_MS = 2000 };

static unsigned at_most(int64_t ms, unsigned most_ms) {
    return ms < most_ms ? (unsigned)ms : most_ms;
}

unsigned v1_ping_ms(const struct settings *s) {
    return at_most(s->ping_ms, SILENCE_MAX_MS + 2 * SWEEP_MS);
}

struct silence v1_silence_from(uint64_t now_ms) {
    return (struct silence){(uint32_t)now_ms, (uint32_t)now_ms};
}

bool v1_is_silence_over(struct silence *q, struct conn *c, const struct settings *s,
                        uint64_t now_ms) {
    uint32_t now = (uint32_t)now_ms;
    if (c->has_spoken)
        *q = v1_silence_from(now_ms);
    c->has_spoken = false;
    if (now - q->told_ms < at_most(s->ping_ms, SILENCE_MAX_MS) || c->out.count > 0)
        return false;
    q->told_ms = now;
    return true;
}

/* After 49 days it is too late by as much, and never too early. */
uint64_t v1_spoken_ms(const struct silence *q, uint64_t now_ms) {
    return now_ms - ((uint32_t)now_ms - q->spoken_ms);
}

unsigned v1_retry_ms(void) {
    return RETRY_MIN_MS + (unsigned)random_below(RETRY_SPREAD_MS);
}

void v1_position(struct buf *out, struct bytes id) {
    if (id.len > 0)
        buf_printf(out, "{\"type\":\"position\",\"id\":\"%.*s\"}", BYTES_FMT(id));
    else
        buf_append_str(out, V1_PONG);
}

void v1_closed(struct buf *out, int code, struct bytes reason, unsigned retry_ms) {
    buf_printf(out, "{\"type\":\"closed\",\"code\":%d,\"reason\":", code);
    json_append_string(out, reason);
    if (retry_ms > 0)
        buf_printf(out, ",\"retryMs\":%u", retry_ms);
    buf_append_char(out, '}');
}

bool v1_is_ping(struct bytes message) {
    static const struct bytes tokens[] = {BYTES_LIT("{"), BYTES_LIT("\"type\""), BYTES_LIT(":"),
                                          BYTES_LIT("\"ping\""), BYTES_LIT("}")};
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        message = json_skip_space(message);
        if (!bytes_starts_with(message, tokens[i]))
            return false;
        message = bytes_from(message, tokens[i].len);
    }
    return json_skip_space(message).len == 0;
}
