/*
 * fuzz_http_fields.c - a head of any bytes, and what is read out of its fields: Range, Origin,
 * Host, Accept, Last-Event-ID, Idempotency-Key, and the opening handshake of a WebSocket.
 *
 * Properties: a part lies within the file; an origin is written in the one form that reads as
 * itself; a host lies within its field; a string means what it means when it is written with its
 * quotes; a handshake that is right is answered with one head, and one that is wrong says why.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/http/http_accept.h"
#include "common/http/http_authority.h"
#include "common/http/http_head.h"
#include "common/http/http_origin.h"
#include "common/http/http_range.h"
#include "common/http/http_string.h"
#include "gateway/codec/deflate.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/codec/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(struct bytes value, uint64_t size) {
    uint64_t begin, end;
    if (http_range_parse(value, size, &begin, &end) == HTTP_RANGE_PART)
        MUST(begin < end && end <= size);
}

static void check_origin(struct bytes text) {
    struct http_origin o, again;
    if (http_origin_parse(text, &o) != NULL)
        return;
    MUST(o.port <= 65535 && strlen(o.text) < sizeof(o.text));
    MUST(http_origin_parse(bytes_str(o.text), &again) == NULL);
    MUST(strcmp(o.text, again.text) == 0 && strcmp(o.host, again.host) == 0);
    MUST(o.port == again.port);
}

static void check_host(struct bytes text) {
    struct http_authority a = http_authority_split(text);
    struct bytes address = http_authority_address(a.host);
    MUST(a.host.len <= text.len && address.len <= a.host.len);
    MUST(a.port.ptr == NULL || a.host.len + 1 + a.port.len == text.len);
    (void)http_authority_is_ip(a.host);
}

static void check_deflate(const struct http_head *head) {
    struct ws_deflate agreed = ws_handshake_deflate(head);
    if (agreed.window_bits == 0) {
        MUST(agreed.answer[0] == '\0');
        return;
    }
    MUST(http_head_count(head, "Sec-WebSocket-Extensions") > 0);
    MUST(agreed.window_bits >= DEFLATE_WINDOW_MIN && agreed.window_bits <= DEFLATE_WINDOW_MAX);
    MUST(http_is_field_value(bytes_str(agreed.answer)));
    MUST(strncmp(agreed.answer, "permessage-deflate;", 19) == 0);
    MUST(strlen(agreed.answer) < sizeof(agreed.answer) - 1);
}

static void check_handshake(const struct http_head *head) {
    struct bytes key = BYTES_NONE;
    const char *reason = NULL;
    struct buf out = {0};
    struct ws_reply_fields fields = {.client_id = http_head_find(head, "Sec-WebSocket-Key"),
                                     .name = http_head_find(head, "Host"),
                                     .group = http_head_find(head, "Origin")};
    (void)ws_handshake_offers(head, "signalbox.v1");
    check_deflate(head);
    if (ws_handshake_check(head, &key, &reason) != 0) {
        MUST(reason != NULL);
        return;
    }
    MUST(ws_handshake_is_request(head) && key.len == 24);
    if (ws_handshake_reply(&out, BYTES_LIT("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), &fields)) {
        struct bytes end = bytes_of(out.ptr + out.len - 4, 4);
        MUST(bytes_equal_str(end, "\r\n\r\n"));
        MUST(memmem(out.ptr, out.len, "\r\n\r\n", 4) == end.ptr);
    } else {
        MUST(out.len == 0);
    }
    buf_deinit(&out);
}

/* What it accepts is named in one of its fields. */
static void check_accept(const struct http_head *head) {
    static const char type[] = SSE_MEDIA_TYPE;
    bool is_named = false;
    for (size_t i = 0; i < head->header_count; i++) {
        struct bytes value = head->headers[i].value;
        for (size_t at = 0; at + sizeof(type) - 1 <= value.len; at++)
            is_named |= bytes_equal_nocase(bytes_of(value.ptr + at, sizeof(type) - 1),
                                           BYTES_LIT(SSE_MEDIA_TYPE));
    }
    MUST(!http_accepts(head, type) || is_named);
}

static void check_last_event_id(const struct http_head *head) {
    struct bytes id;
    enum sse_resume resume = sse_resume(head, &id);
    size_t count = http_head_count(head, "Last-Event-ID");
    MUST((resume == SSE_RESUME_BAD) == (count > 1));
    MUST(resume == SSE_RESUME_NONE || count > 0);
    if (resume == SSE_RESUME_END)
        MUST(id.len >= sizeof(SSE_END_MARK) - 1);
}

/* Written again as RFC 8941 has it, as far as that can be. */
static void check_string(struct bytes value) {
    struct buf meant = {0}, written = {0}, again = {0};
    if (http_string_read(value, &meant)) {
        bool is_ascii = true;
        MUST(meant.len <= value.len);
        buf_append_char(&written, '"');
        for (size_t i = 0; i < meant.len; i++) {
            is_ascii &= meant.ptr[i] >= 0x20 && meant.ptr[i] <= 0x7e;
            if (meant.ptr[i] == '"' || meant.ptr[i] == '\\')
                buf_append_char(&written, '\\');
            buf_append_char(&written, meant.ptr[i]);
        }
        buf_append_char(&written, '"');
        MUST(http_string_read(buf_bytes(&written), &again) == is_ascii);
        MUST(!is_ascii || bytes_equal(buf_bytes(&again), buf_bytes(&meant)));
    }
    buf_deinit(&meant);
    buf_deinit(&written);
    buf_deinit(&again);
}

/* An event holds the lines of its data, and ends where the next one may begin. */
static void check_event(struct bytes data) {
    struct buf out = {0};
    struct sse_event e = {.id = BYTES_LIT("1-1"), .data = data};
    sse_append(&out, &e);
    MUST(sse_event_len(buf_bytes(&out)) == out.len);
    MUST(memchr(out.ptr, '\r', out.len) == NULL);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes in = bytes_of((const char *)data, size);
    struct http_head head;
    const char *reason;
    int status;
    check_range(in, 1000);
    check_range(in, 0);
    check_range(in, UINT64_MAX);
    check_origin(in);
    check_host(in);
    check_event(in);
    check_string(in);
    if (http_head_parse(in, size + 1, &head, &status, &reason) != PARSE_OK)
        return 0;
    check_range(http_head_find(&head, "Range"), 1000);
    check_origin(http_head_find(&head, "Origin"));
    check_host(head.host);
    check_accept(&head);
    check_last_event_id(&head);
    check_string(http_head_find(&head, "Idempotency-Key"));
    check_handshake(&head);
    return 0;
}
