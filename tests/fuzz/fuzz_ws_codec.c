/*
 * fuzz_ws_codec.c - the decoder tells the same story however the bytes are cut, and its slices lie
 * where they may.
 *
 * Input: one byte of options (bit 0: allow_rsv1, bits 1-3: the limit), two bytes that decide the
 * cuts, then the wire.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/codec/deflate.h"
#include "gateway/codec/ws_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct options {
    bool allow_rsv1;
    size_t max_bytes;
    uint32_t cut_seed; /* 0: one piece */
};

static bool lies_in(struct bytes inner, struct bytes outer) {
    if (outer.ptr == NULL)
        return false;
    return inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len;
}

static void check_event(const struct ws_decoder *d, const struct ws_event *event,
                        struct bytes piece) {
    MUST(lies_in(event->payload, piece) || lies_in(event->payload, buf_bytes(&d->message)) ||
         lies_in(event->payload, buf_bytes(&d->control)));
    if (event->kind != WS_EVENT_MESSAGE) {
        MUST(event->payload.len <= WS_CONTROL_MAX);
        MUST(!event->has_code || ws_close_code_is_valid(event->code));
        return;
    }
    MUST(event->opcode == WS_TEXT || event->opcode == WS_BINARY);
    MUST(event->payload.len <=
         (event->is_compressed ? inflate_payload_max(d->max_message_bytes) : d->max_message_bytes));
    MUST(!event->is_compressed || d->allow_rsv1);
    MUST(event->opcode == WS_BINARY || event->is_compressed || utf8_is_valid(event->payload));
}

static enum parse feed(struct ws_decoder *d, struct bytes piece, struct buf *trace) {
    struct bytes in = piece;
    struct ws_event event;
    struct ws_error error;
    enum parse result;
    while ((result = ws_decoder_next(d, &in, &event, &error)) == PARSE_OK) {
        check_event(d, &event, piece);
        buf_printf(trace, "%d %d %d %d %zu:", (int)event.kind, (int)event.opcode,
                   event.is_compressed, event.code, event.payload.len);
        buf_append(trace, event.payload);
    }
    if (result == PARSE_BAD)
        buf_printf(trace, "!%d %s", error.close_code, error.text);
    else
        MUST(in.len == 0);
    return result;
}

static void run(struct bytes wire, struct options options, struct buf *trace) {
    struct ws_decoder d;
    enum parse result = PARSE_MORE;
    ws_decoder_init(&d, options.max_bytes);
    d.allow_rsv1 = options.allow_rsv1;
    while (wire.len > 0 && result == PARSE_MORE) {
        uint32_t seed = options.cut_seed =
            options.cut_seed * 1664525 + (options.cut_seed != 0) * 1013904223u;
        size_t len = bytes_head(wire, seed == 0 ? wire.len : 1 + (seed >> 20) % 19).len;
        char *block = mem_alloc(len);
        memcpy(block, wire.ptr, len);
        result = feed(&d, bytes_of(block, len), trace);
        wire = bytes_from(wire, len);
        free(block);
    }
    ws_decoder_deinit(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t limits[] = {0, 1, 16, 125, 126, 1000, 70000, SIZE_MAX};
    struct buf whole = {0}, cut = {0};
    if (size < 3)
        return 0;
    struct bytes wire = bytes_of(data + 3, size - 3);
    struct options options = {.allow_rsv1 = data[0] & 1, .max_bytes = limits[data[0] >> 1 & 7]};
    run(wire, options, &whole);
    options.cut_seed = 1 + data[1] + 256u * data[2];
    run(wire, options, &cut);
    MUST(bytes_equal(buf_bytes(&whole), buf_bytes(&cut)));
    buf_deinit(&whole);
    buf_deinit(&cut);
    return 0;
}
