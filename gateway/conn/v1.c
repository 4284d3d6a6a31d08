/* v1.c - see v1.h. */
#include "gateway/conn/v1.h"

#include "common/base/must.h"
#include "common/base/settings.h"

enum { SWEEP_MS = 1000 };

static unsigned at_most(int64_t ms, unsigned most_ms) {
    return ms < most_ms ? (unsigned)ms : most_ms;
}

unsigned v1_silence_ms(const struct settings *s) {
    return at_most(s->ping_ms, SILENCE_MAX_MS);
}

unsigned v1_ping_ms(const struct settings *s) {
    return at_most(s->ping_ms, SILENCE_MAX_MS + SWEEP_MS);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct bytes skip_space(struct bytes text) {
    while (text.len > 0 && is_space(*text.ptr))
        text = bytes_from(text, 1);
    return text;
}

bool v1_is_ping(struct bytes message) {
    static const struct bytes tokens[] = {BYTES_LIT("{"), BYTES_LIT("\"type\""), BYTES_LIT(":"),
                                          BYTES_LIT("\"ping\""), BYTES_LIT("}")};
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        message = skip_space(message);
        if (!bytes_starts_with(message, tokens[i]))
            return false;
        message = bytes_from(message, tokens[i].len);
    }
    return skip_space(message).len == 0;
}
