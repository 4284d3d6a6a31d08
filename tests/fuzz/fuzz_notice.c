/*
 * fuzz_notice.c - what comes over the control channel, in any bytes.
 *
 * Property: a notice that is read, and written again, reads and is written as the same. (The lines
 * of a report each begin with a line feed; what stands there instead would run into the word
 * before.)
 */
#include <stddef.h>
#include <stdint.h>

#include "common/bus/notice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct notice first, second;
    struct buf once = {0}, twice = {0};
    if (!notice_decode(bytes_of((const char *)data, size), &first))
        return 0;
    if (first.kind == NOTICE_report && first.report.lines.len > 0 &&
        first.report.lines.ptr[0] != '\n')
        return 0;
    notice_encode(&once, &first);
    MUST(notice_decode(buf_bytes(&once), &second) && second.kind == first.kind);
    notice_encode(&twice, &second);
    MUST(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    buf_deinit(&once);
    buf_deinit(&twice);
    return 0;
}
