/* http_path.c - see http_path.h. Read append_segment: a path is made canonical segment by segment,
 * so that what an escape stands for can never begin or end a segment. */
#include "common/http/http_path.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/percent.h"
#include "common/base/utf8.h"
#include "common/http/http_head.h"

static const char *append_byte(struct buf *out, unsigned char c) {
    if (c < ' ' || c == 0x7F)
        return "the path holds a control character";
    if (c == '\\')
        return "the path holds a backslash"; /* a separator to some proxies and file systems */
    if (c == '/')
        buf_append_str(out, "%2F");
    else if (c == '%')
        buf_append_str(out, "%25");
    else
        buf_append_char(out, (char)c);
    return NULL;
}

static const char *append_decoded(struct buf *out, struct bytes segment) {
    const char *error = NULL;
    for (size_t i = 0; i < segment.len && error == NULL; i++) {
        int c = (unsigned char)segment.ptr[i];
        if (c == '%') {
            c = percent_escape_value(bytes_from(segment, i));
            if (c < 0)
                return "the path holds a '%' that begins no escape";
            i += 2;
        }
        error = append_byte(out, (unsigned char)c);
    }
    return error;
}

/* The path so far begins at `start`. *is_folder_out: a path that ends here has a trailing slash. */
static const char *append_segment(struct buf *out, size_t start, struct bytes segment,
                                  bool *is_folder_out) {
    size_t at = out->len;
    buf_append_char(out, '/');
    const char *error = append_decoded(out, segment);
    struct bytes text = bytes_from(buf_bytes(out), at + 1);
    bool is_up = bytes_equal_str(text, "..");
    *is_folder_out = is_up || text.len == 0 || bytes_equal_str(text, ".");
    if (error != NULL)
        return error;
    if (!utf8_is_valid(text))
        return "the path is not UTF-8";
    if (*is_folder_out)
        out->len = at;
    if (is_up && at == start)
        return "the path climbs above the root";
    if (is_up)
        out->len = start + (size_t)bytes_find_last(bytes_from(buf_bytes(out), start), '/');
    return NULL;
}

const char *http_path_canonical(struct bytes path, struct buf *out) {
    size_t start = out->len;
    struct bytes rest = bytes_from(path, 1);
    bool is_folder = false;
    const char *error =
        bytes_starts_with(path, BYTES_LIT("/")) ? NULL : "the path does not start with '/'";
    while (error == NULL && rest.ptr != NULL)
        error = append_segment(out, start, bytes_split(&rest, '/'), &is_folder);
    if (is_folder)
        buf_append_char(out, '/');
    if (error == NULL && out->len - start > HTTP_PATH_MAX)
        error = "the path is longer than 1024 bytes";
    if (error != NULL)
        out->len = start;
    return error;
}

bool http_path_to_file(struct bytes canonical, struct buf *out) {
    for (size_t i = 0; i + 2 < canonical.len; i++)
        if (memcmp(canonical.ptr + i, "%2F", 3) == 0)
            return false;
    (void)percent_decode(canonical, false, out);
    return true;
}

/* What may stand in a path of a URL as it is (RFC 3986, 3.3); '%' begins an escape already. */
static bool is_url_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~!$&'()*+,;=:@/%", c) != NULL);
}

void http_path_to_url(struct bytes canonical, struct buf *out) {
    for (size_t i = 0; i < canonical.len; i++)
        if (is_url_char(canonical.ptr[i]))
            buf_append_char(out, canonical.ptr[i]);
        else
            buf_printf(out, "%%%02X", (unsigned char)canonical.ptr[i]);
}
