/*
 * fuzz_http_path.c - the canonical form of any bytes.
 *
 * Properties: the form is its own form, no longer than its bound, UTF-8 without control bytes or
 * backslashes; no segment is empty, "." or ".."; its only escapes are %2F and %25; as a URL it is
 * printable and means the same path; as a file it has the same segments.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/utf8.h"
#include "common/http/http_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(struct bytes text, char c) {
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == c;
    return n;
}

static void check_bytes(struct bytes form) {
    MUST(form.len > 0 && form.len <= HTTP_PATH_MAX && form.ptr[0] == '/' && utf8_is_valid(form));
    for (size_t i = 0; i < form.len; i++) {
        MUST((unsigned char)form.ptr[i] >= ' ' && form.ptr[i] != 0x7F && form.ptr[i] != '\\');
        struct bytes escape = bytes_head(bytes_from(form, i), 3);
        MUST(form.ptr[i] != '%' || bytes_equal_str(escape, "%2F") ||
             bytes_equal_str(escape, "%25"));
    }
}

static void check_segments(struct bytes form) {
    struct bytes rest = bytes_from(form, 1);
    while (rest.ptr != NULL) {
        struct bytes segment = bytes_split(&rest, '/');
        MUST(!bytes_equal_str(segment, "..") && !bytes_equal_str(segment, "."));
        MUST(segment.len > 0 || rest.ptr == NULL);
    }
}

static void check_same(struct bytes path, struct bytes form) {
    struct buf again = {0};
    MUST(http_path_canonical(path, &again) == NULL && bytes_equal(buf_bytes(&again), form));
    buf_deinit(&again);
}

static void check_url(struct bytes form) {
    struct buf url = {0};
    http_path_to_url(form, &url);
    for (size_t i = 0; i < url.len; i++)
        MUST(url.ptr[i] > ' ' && url.ptr[i] <= '~' && url.ptr[i] != '?' && url.ptr[i] != '#');
    check_same(buf_bytes(&url), form);
    buf_deinit(&url);
}

static void check_file(struct bytes form) {
    struct buf file = {0};
    if (http_path_to_file(form, &file)) {
        MUST(count(buf_bytes(&file), '/') == count(form, '/'));
        MUST(memchr(file.ptr, '\0', file.len) == NULL);
        check_segments(buf_bytes(&file));
    } else {
        MUST(file.len == 0);
    }
    buf_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf form = {0};
    if (http_path_canonical(bytes_of(data, size), &form) == NULL) {
        check_bytes(buf_bytes(&form));
        check_segments(buf_bytes(&form));
        check_same(buf_bytes(&form), buf_bytes(&form));
        check_url(buf_bytes(&form));
        check_file(buf_bytes(&form));
    } else {
        MUST(form.len == 0);
    }
    buf_deinit(&form);
    return 0;
}
