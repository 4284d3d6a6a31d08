/*
 * fuzz_http_forwarded.c - header fields of any bytes, from a proxy and from somebody else.
 *
 * Properties: whoever is no listed proxy is the client, whatever he writes; what stands before the
 * element of the proxy changes nothing; the host lies within the head.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/http/http_forwarded.h"
#include "common/http/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ip ip_of(const char *text) {
    struct ip ip;
    MUST(ip_parse(bytes_str(text), &ip));
    return ip;
}

/* fields: lines, each with its end. */
static void check(struct http_proxies *proxies, struct bytes fields, struct bytes appended) {
    struct ip proxy = ip_of("10.0.0.1"), stranger = ip_of("192.0.2.1"), client = ip_of("192.0.2.7");
    struct buf text = {0};
    struct http_head head;
    int status;
    const char *reason;
    buf_append_str(&text, "GET / HTTP/1.1\r\nHost: here\r\n");
    buf_append(&text, fields);
    buf_append(&text, appended);
    buf_append_str(&text, "\r\n");
    if (http_head_parse(buf_bytes(&text), text.len + 1, &head, &status, &reason) == PARSE_OK) {
        struct http_forwarded f = http_forwarded_read(proxies, &head, stranger, false);
        MUST(!f.is_proxied && !f.is_secure && ip_is_equal(f.client, stranger));
        MUST(bytes_equal(f.host, head.host));
        f = http_forwarded_read(proxies, &head, proxy, false);
        MUST(f.is_proxied && ip_is_known(f.client) && f.port <= 65535);
        MUST(bytes_equal(f.host, head.host) ||
             (f.host.ptr >= text.ptr && f.host.ptr + f.host.len <= text.ptr + text.len));
        if (appended.len > 0 && head.length == text.len)
            MUST(ip_is_equal(f.client, client));
    }
    buf_deinit(&text);
}

/* One field of those bytes, to which the proxy adds its element. */
static void check_appended(struct http_proxies *proxies, const char *name, struct bytes value,
                           const char *element) {
    struct buf line = {0};
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '\r' || value.ptr[i] == '\n')
            return;
    buf_printf(&line, "%s: %.*s", name, BYTES_FMT(value));
    struct bytes appended = bytes_str(element);
    check(proxies, buf_bytes(&line), appended);
    buf_deinit(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes in = bytes_of(data, size), bad;
    struct http_proxies proxies = {0};
    MUST(ip_networks_parse(&proxies.trusted, BYTES_LIT("10.0.0.0/8"), &bad) == NULL);
    check(&proxies, in, BYTES_NONE);
    check_appended(&proxies, "X-Forwarded-For", in, ", 192.0.2.7\r\n");
    proxies.header = HTTP_RFC_FORWARDED;
    check(&proxies, in, BYTES_NONE);
    check_appended(&proxies, "Forwarded", in, ",for=192.0.2.7;host=\"a,b;for=6.6.6.6\"\r\n");
    ip_networks_deinit(&proxies.trusted);
    return 0;
}
