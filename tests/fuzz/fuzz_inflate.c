/*
 * fuzz_inflate.c - a compressed message of any bytes: it is inflated to the same, or refused for the
 * same reason, however small the steps are; never to more than its limit, and never for more work
 * than its length allows. What comes out is compressed again, for a window, alone and between
 * stored texts, and comes out the same.
 *
 * Input: one byte of options (bit 0: text, bits 1-3: the limit, bits 4-6: the window), one that
 * decides the steps, then the payload.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/codec/deflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 0, or the code to close with. */
static int run(const struct inflate_what *what, size_t work, struct buf *out) {
    static struct inflater inflater;
    struct ws_error error = {0};
    enum parse result = PARSE_MORE;
    size_t most =
        (what->payload.len + 8) * (INFLATE_RATIO_MAX + 64 * INFLATE_RATIO_MAX) + what->max_bytes;
    inflater_begin(&inflater, what);
    for (size_t steps = 0; result == PARSE_MORE; steps++) {
        MUST(steps <= most / work + 8);
        result = inflater_step(&inflater, work, out, &error);
        MUST(out->len <= what->max_bytes + 1);
    }
    MUST(result == PARSE_OK || error.text != NULL);
    MUST(result == PARSE_OK || error.close_code == 1007 || error.close_code == 1009);
    return result == PARSE_OK ? 0 : error.close_code;
}

static void round_trip(struct bytes text, int window_bits) {
    static struct deflater deflater;
    struct buf body = {0}, whole = {0}, out = {0};
    struct inflate_what what = {.max_bytes = text.len + 3};
    if (text.len > DEFLATE_BYTES_MAX)
        return;
    deflate_message(&deflater, window_bits, text, &body);
    what.payload = buf_bytes(&body);
    MUST(body.len <= inflate_payload_max(text.len));
    MUST(run(&what, SIZE_MAX / 4, &out) == 0 && bytes_equal(buf_bytes(&out), text));
    deflate_surround(BYTES_LIT("{"), buf_bytes(&body), BYTES_LIT(",}"), &whole);
    what.payload = buf_bytes(&whole);
    buf_clear(&out);
    MUST(run(&what, SIZE_MAX / 4, &out) == 0 && out.len == text.len + 3);
    MUST(out.ptr[0] == '{' && memcmp(out.ptr + out.len - 2, ",}", 2) == 0);
    MUST(bytes_equal(bytes_of(out.ptr + 1, text.len), text));
    buf_deinit(&body);
    buf_deinit(&whole);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t limits[] = {0, 1, 100, 1000, 70000, 100000, 300000, 1000000};
    struct buf whole = {0}, cut = {0};
    if (size < 2)
        return 0;
    struct inflate_what what = {.payload = bytes_of(data + 2, size - 2),
                                .is_text = (data[0] & 1) != 0,
                                .max_bytes = limits[data[0] >> 1 & 7]};
    int fault = run(&what, SIZE_MAX / 4, &whole);
    MUST(run(&what, 1 + (size_t)data[1] * data[1] * 8, &cut) == fault);
    if (fault == 0) {
        MUST(bytes_equal(buf_bytes(&whole), buf_bytes(&cut)));
        MUST(whole.len <= what.max_bytes);
        MUST(!what.is_text || utf8_is_valid(buf_bytes(&whole)));
        round_trip(buf_bytes(&whole), DEFLATE_WINDOW_MIN + (data[0] >> 4) % DEFLATE_WINDOWS);
    }
    buf_deinit(&whole);
    buf_deinit(&cut);
    return 0;
}
