/* auto_upgrade.c - see auto_upgrade.h. */
#include "gateway/auto_upgrade.h"

#include "gateway/endpoints.h"
#include "gateway/request.h"
#include "gateway/upgrade.h"

bool auto_upgrade_wants(const struct request *r) {
    return r->endpoint->auto_upgrade && r->endpoint->is_ws &&
           http_head_count(&r->head, "Sec-WebSocket-Key") > 0;
}

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void unescape(struct bytes path, struct buf *out) {
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c != '%') {
            buf_append_char(out, c);
            continue;
        }
        int high = i + 2 < path.len ? hex(path.ptr[i + 1]) : -1;
        int low = i + 2 < path.len ? hex(path.ptr[i + 2]) : -1;
        if (high < 0 || low < 0) {
            buf_append_str(out, "%25");
        } else if (is_unreserved(high << 4 | low)) {
            buf_append_char(out, (char)(high << 4 | low));
            i += 2;
        } else {
            buf_append_char(out, c);
        }
    }
}

/* RFC 3986, 5.2.4; ".." at the root stays there. */
static void resolve_dots(struct bytes path, struct buf *out) {
    struct bytes rest = bytes_from(path, 1);
    bool is_folder = false;
    while (rest.ptr != NULL) {
        struct bytes segment = bytes_split(&rest, '/');
        bool is_up = bytes_equal_str(segment, "..");
        is_folder = is_up || bytes_equal_str(segment, ".");
        if (is_up) {
            ptrdiff_t slash = bytes_find_last(buf_bytes(out), '/');
            out->len = slash < 0 ? 0 : (size_t)slash;
        } else if (!is_folder) {
            buf_append_char(out, '/');
            buf_append(out, segment);
        }
    }
    if (is_folder || out->len == 0)
        buf_append_char(out, '/');
}

void auto_upgrade_name(struct bytes path, struct buf *out) {
    struct buf plain = {0};
    unescape(path, &plain);
    resolve_dots(buf_bytes(&plain), out);
    buf_deinit(&plain);
}

void auto_upgrade(struct request *r) {
    struct buf name = {0}, error = {0};
    auto_upgrade_name(r->head.path, &name);
    struct upgrade_options options = {
        .name = buf_bytes(&name), .scope = SCOPE_GLOBAL, .is_automatic = true};
    if (upgrade(r, &options, &error) == UPGRADE_INVALID)
        request_refuse(r, 400, error.ptr == NULL ? "the path is not valid" : "the path is no Name");
    buf_deinit(&name);
    buf_deinit(&error);
}
