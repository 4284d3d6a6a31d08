/*
 * fuzz_http_head.c - one head parsed whole, cut and with more after it; then everything that is
 * asked of heads.
 *
 * Properties: slices lie in the input; no beginning of a right head is refused or complete; what
 * follows a head does not change it; a 101 has the lines it was given, no more.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/http/http_head.h"
#include "gateway/codec/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BYTES = 2048 };

static enum parse parse(struct bytes in, struct http_head *head) {
    int status = 0;
    const char *reason = NULL;
    enum parse result = http_head_parse(in, MAX_BYTES, head, &status, &reason);
    MUST((result == PARSE_BAD) == (reason != NULL));
    MUST(result != PARSE_BAD || status == 400 || status == 414 || status == 431 || status == 501 ||
         status == 505);
    return result;
}

static void lies_in(struct bytes inner, struct bytes outer) {
    MUST(inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len);
}

static void check_slices(const struct http_head *head, struct bytes in) {
    struct bytes all = bytes_head(in, head->length);
    MUST(head->length <= in.len && head->length <= MAX_BYTES);
    MUST(bytes_equal(bytes_from(all, all.len - 4), BYTES_LIT("\r\n\r\n")));
    lies_in(head->method, all);
    lies_in(head->target, all);
    if (!bytes_equal_str(head->path, "/"))
        lies_in(head->path, head->target);
    if (head->query.ptr != NULL)
        lies_in(head->query, head->target);
    if (head->host.ptr != NULL)
        lies_in(head->host, all);
    MUST(head->path.len > 0 && head->path.ptr[0] == '/' && http_is_token(head->method));
    MUST(head->header_count <= HTTP_HEAD_HEADERS_MAX);
    for (size_t i = 0; i < head->header_count; i++) {
        lies_in(head->headers[i].name, all);
        lies_in(head->headers[i].value, all);
        MUST(http_is_token(head->headers[i].name) && http_is_field_value(head->headers[i].value));
    }
}

/* Every beginning of a right head wants more; each lies in memory of its own, so that reading on is
 * seen. */
static void check_beginnings(struct bytes in, size_t length) {
    static struct http_head head;
    size_t step = length < 200 ? 1 : 1 + length / 50;
    for (size_t cut = 0; cut < length; cut += step) {
        char *block = mem_alloc(cut);
        memcpy(block, in.ptr, cut);
        MUST(parse(bytes_of(block, cut), &head) == PARSE_MORE);
        free(block);
    }
    MUST(parse(bytes_head(in, length), &head) == PARSE_OK && head.length == length);
}

static void check_handshake(const struct http_head *head) {
    struct bytes key;
    const char *reason;
    struct buf out = {0};
    int status = ws_handshake_check(head, &key, &reason);
    MUST((status == 0) == (key.len == 24));
    MUST(status == 0 || reason != NULL);
    ws_handshake_offers(head, "chat");
    struct ws_reply_fields fields = {
        .client_id = head->method, .name = head->path, .group = head->query};
    if (ws_handshake_reply(&out, BYTES_LIT("accept"), &fields)) {
        size_t lines = 0;
        for (size_t i = 0; i < out.len; i++)
            lines += out.ptr[i] == '\n';
        MUST(lines == (bytes_trim(fields.group).len > 0 ? 10 : 9));
    }
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_head head;
    struct bytes in = bytes_of(data, size);
    enum parse result = parse(in, &head);
    MUST(result != PARSE_MORE || size < MAX_BYTES);
    if (result == PARSE_OK) {
        check_slices(&head, in);
        check_handshake(&head);
        check_beginnings(in, head.length);
    }
    return 0;
}
