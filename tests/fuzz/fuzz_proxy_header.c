/*
 * fuzz_proxy_header.c - any bytes as a PROXY header, whole and in pieces.
 *
 * Properties: the same verdict, length and client however the bytes are cut; nothing past the header
 * is wanted; the header has a bound.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/net/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct verdict {
    enum parse result;
    size_t taken;
    struct ip source;
};

static struct verdict read_by(struct bytes in, size_t piece, enum proxy_versions versions) {
    struct proxy_header h = {.versions = versions};
    struct verdict v = {.result = PARSE_MORE};
    while (v.result == PARSE_MORE && v.taken < in.len) {
        size_t n = proxy_header_wants(&h);
        MUST(n > 0 && n <= PROXY_V2_MAX);
        n = n < piece ? n : piece;
        n = n < in.len - v.taken ? n : in.len - v.taken;
        v.result = proxy_header_feed(&h, bytes_of(in.ptr + v.taken, n));
        v.taken += n;
    }
    MUST(v.taken <= 16 + PROXY_V2_MAX);
    v.source = h.source;
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes in = bytes_of(data, size);
    for (unsigned versions = PROXY_V1; versions <= PROXY_ANY; versions++) {
        struct verdict whole = read_by(in, SIZE_MAX, versions);
        for (size_t piece = 1; piece < 20; piece += 6) {
            struct verdict cut = read_by(in, piece, versions);
            MUST(cut.result == whole.result);
            if (whole.result == PARSE_OK)
                MUST(cut.taken == whole.taken && ip_is_equal(cut.source, whole.source));
        }
    }
    return 0;
}
