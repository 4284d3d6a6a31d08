/* fuzz_channel_frame.c - what a client says on a shared WebSocket. A message without its channel is
 * JSON as before, and one member shorter. */
#include <stdint.h>
#include <stdlib.h>

#include "common/json/json_check.h"
#include "gateway/session/channel_frame.h"

static void count(void *ctx) {
    ++*(size_t *)ctx;
}

static bool on_member(void *ctx, struct bytes key_text, struct json_value value) {
    (void)key_text;
    (void)value;
    count(ctx);
    return true;
}

static size_t members(struct bytes text) {
    size_t number = 0;
    struct json_document *d = json_open(text, NULL);
    if (d == NULL || json_root(d).kind != JSON_KIND_OBJECT)
        abort();
    json_each_member(json_root(d), on_member, &number);
    json_close(d);
    return number;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of((const char *)data, size);
    struct channel_frame f;
    struct buf error = {0}, message = {0};
    bool is_right = channel_frame_read(text, &f, &error);
    if (is_right != (error.len == 0) || f.ref.len > CHANNEL_REF_MAX)
        abort();
    if (is_right && f.kind == CHANNEL_MESSAGE) {
        channel_frame_message(text, &f, &message);
        if (f.channel == 0 || members(buf_bytes(&message)) + 1 != members(text))
            abort();
    }
    buf_deinit(&error);
    buf_deinit(&message);
    return 0;
}
