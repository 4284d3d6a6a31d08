/*
 * fuzz_http_chunked.c - a chunked body fed whole and byte by byte; the first byte of the input says
 * how large a payload may be.
 *
 * Properties: both ways end alike, with the same payload and the same bytes behind it; the head is
 * not touched; a payload keeps its bound; what was accepted, written as one chunk, gives the same
 * payload.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/http/http_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD "HEAD"
enum { HEAD_LEN = sizeof(HEAD) - 1 };

struct outcome {
    enum parse result;
    int status;
    struct buf in;
    size_t at;
};

static struct outcome feed(struct bytes body, size_t step, uint64_t max_bytes) {
    struct outcome o = {.result = PARSE_MORE};
    struct http_chunked d;
    const char *reason = NULL;
    buf_append_str(&o.in, HEAD);
    http_chunked_init(&d, HEAD_LEN);
    for (size_t i = 0; i < body.len; i += step) {
        buf_append(&o.in, bytes_head(bytes_from(body, i), step));
        if (o.result == PARSE_MORE)
            o.result = http_chunked_feed(&d, &o.in, max_bytes, &o.status, &reason);
        MUST((o.result == PARSE_BAD) == (reason != NULL));
        if (o.result == PARSE_BAD)
            break;
        MUST(d.at >= HEAD_LEN && d.at - HEAD_LEN <= max_bytes && d.at <= o.in.len);
        MUST(o.result != PARSE_MORE || d.at == o.in.len);
        MUST(memcmp(o.in.ptr, HEAD, HEAD_LEN) == 0);
    }
    o.at = d.at;
    return o;
}

static void check_again(const struct outcome *o, uint64_t max_bytes) {
    struct buf body = {0};
    struct bytes payload = bytes_from(bytes_head(buf_bytes(&o->in), o->at), HEAD_LEN);
    if (payload.len > 0) {
        buf_printf(&body, "%zx\r\n", payload.len);
        buf_append(&body, payload);
        buf_append_str(&body, "\r\n");
    }
    buf_append_str(&body, "0\r\n\r\n");
    struct outcome again = feed(buf_bytes(&body), body.len, max_bytes);
    MUST(again.result == PARSE_OK && again.at == o->at && again.in.len == o->at);
    MUST(memcmp(again.in.ptr, o->in.ptr, o->at) == 0);
    buf_deinit(&again.in);
    buf_deinit(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    uint64_t max_bytes = data[0];
    struct bytes body = bytes_of(data + 1, size - 1);
    struct outcome whole = feed(body, body.len + 1, max_bytes), bytewise = feed(body, 1, max_bytes);
    MUST(whole.result == bytewise.result && whole.status == bytewise.status);
    if (whole.result != PARSE_BAD) {
        MUST(whole.at == bytewise.at && whole.in.len == bytewise.in.len);
        MUST(memcmp(whole.in.ptr, bytewise.in.ptr, whole.in.len) == 0);
    }
    if (whole.result == PARSE_OK)
        check_again(&whole, max_bytes);
    buf_deinit(&whole.in);
    buf_deinit(&bytewise.in);
    return 0;
}
