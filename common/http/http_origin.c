/* http_origin.c - see http_origin.h. */
#include "common/http/http_origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/http/http_authority.h"

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

static void copy_lower(char *out, struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        out[i] = bytes_lower(text.ptr[i]);
    out[text.len] = '\0';
}

static unsigned default_port(const char *scheme) {
    return strcmp(scheme, "http") == 0    ? (unsigned)http_default_port(false)
           : strcmp(scheme, "https") == 0 ? (unsigned)http_default_port(true)
                                          : 0;
}

/* --- the host --- */

static const char *read_ip6(struct bytes inner, char out[HTTP_ORIGIN_HOST_MAX + 1]) {
    char text[INET6_ADDRSTRLEN], shown[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (inner.len >= sizeof(text))
        return "has no IPv6 address in its brackets";
    snprintf(text, sizeof(text), "%.*s", BYTES_FMT(inner));
    if (strlen(text) != inner.len || inet_pton(AF_INET6, text, &address) != 1)
        return "has no IPv6 address in its brackets";
    snprintf(out, HTTP_ORIGIN_HOST_MAX + 1, "[%s]",
             inet_ntop(AF_INET6, &address, shown, sizeof(shown)));
    return NULL;
}

static const char *read_name(struct bytes name, char out[HTTP_ORIGIN_HOST_MAX + 1]) {
    if (name.len == 0)
        return "has no host";
    if (name.len > HTTP_ORIGIN_HOST_MAX)
        return "has a host of more than 255 bytes";
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] >= 0x80)
            return "has a host that is not ASCII: browsers send its form xn--…";
        if (name.ptr[i] == '*')
            return "has a wildcard: it names one host";
        if (!is_letter(name.ptr[i]) && !is_digit(name.ptr[i]) && !is_one_of(name.ptr[i], "-._"))
            return "has a character that no host has";
    }
    copy_lower(out, name);
    return NULL;
}

/* A host whose last label is a number is an IPv4 address to a browser, which sends its one form:
 * 127.0.0.1 for 127.1, 0x7f000001 and "127.0.0.1.". */
static bool is_other_ip4(const char *host) {
    struct in_addr address;
    const char *end = host + strlen(host), *last;
    end -= end > host && end[-1] == '.';
    for (last = end; last > host && last[-1] != '.'; last--)
        continue;
    bool is_hex = strncmp(last, "0x", 2) == 0;
    const char *digits = is_hex ? "0123456789abcdef" : "0123456789";
    const char *behind = last + (is_hex ? 2 : 0);
    behind += strspn(behind, digits);
    return last < end && behind == end && inet_pton(AF_INET, host, &address) != 1;
}

static const char *read_port(struct bytes text, unsigned *port_out) {
    uint64_t port;
    if (!bytes_to_u64(text, &port) || port < 1 || port > 65535)
        return "has a port that is none from 1 to 65535";
    *port_out = (unsigned)port;
    return NULL;
}

/* host[:port] */
static const char *read_authority(struct bytes text, char host_out[HTTP_ORIGIN_HOST_MAX + 1],
                                  unsigned *port_io) {
    bool is_ip6 = text.len > 0 && text.ptr[0] == '[';
    ptrdiff_t end = is_ip6 ? bytes_find(text, ']') : bytes_find(text, ':');
    if (is_ip6 && end < 0)
        return "has a bracket that is not closed";
    struct bytes rest = end < 0 ? BYTES_NONE : bytes_from(text, (size_t)end + (is_ip6 ? 1 : 0));
    struct bytes host = end < 0 ? text : bytes_head(text, (size_t)end);
    const char *error =
        is_ip6 ? read_ip6(bytes_from(host, 1), host_out) : read_name(host, host_out);
    if (error != NULL || rest.len == 0)
        return error;
    return rest.ptr[0] == ':' ? read_port(bytes_from(rest, 1), port_io)
                              : "has something behind its host that is no port";
}

/* --- the whole --- */

static const char *read_scheme(struct bytes text, char out[HTTP_ORIGIN_SCHEME_MAX + 1]) {
    bool is_fine = text.len > 0 && text.len <= HTTP_ORIGIN_SCHEME_MAX && is_letter(text.ptr[0]);
    for (size_t i = 0; i < text.len && is_fine; i++)
        is_fine = is_letter(text.ptr[i]) || is_digit(text.ptr[i]) || is_one_of(text.ptr[i], "+-.");
    if (!is_fine)
        return "has no scheme";
    copy_lower(out, text);
    return strcmp(out, "ws") == 0 || strcmp(out, "wss") == 0
               ? "has the scheme of a WebSocket: a page's is http or https"
               : NULL;
}

static const char *split(struct bytes text, struct bytes *scheme_out, struct bytes *authority_out) {
    ptrdiff_t colon = bytes_find(text, ':');
    struct bytes rest = colon < 0 ? BYTES_NONE : bytes_from(text, (size_t)colon);
    if (!bytes_starts_with(rest, BYTES_LIT("://")))
        return "has no scheme";
    *scheme_out = bytes_head(text, (size_t)colon);
    *authority_out = bytes_from(rest, 3);
    if (authority_out->len > 0 && authority_out->ptr[authority_out->len - 1] == '/')
        authority_out->len--;
    if (bytes_find(*authority_out, '?') >= 0)
        return "has a query";
    if (bytes_find(*authority_out, '#') >= 0)
        return "has a fragment";
    if (bytes_find(*authority_out, '/') >= 0)
        return "has a path";
    return bytes_find(*authority_out, '@') >= 0 ? "has a user" : NULL;
}

const char *http_origin_parse(struct bytes text, struct http_origin *out) {
    struct bytes scheme, authority;
    const char *error = split(text, &scheme, &authority);
    if (error == NULL)
        error = read_scheme(scheme, out->scheme);
    if (error != NULL)
        return error;
    unsigned own = default_port(out->scheme);
    out->port = own;
    error = read_authority(authority, out->host, &out->port);
    if (error != NULL)
        return error;
    if (own != 0 && is_other_ip4(out->host))
        return "has an IPv4 address in another form than browsers send: four numbers";
    int len = snprintf(out->text, sizeof(out->text), "%s://%s", out->scheme, out->host);
    if (out->port != own)
        snprintf(out->text + len, sizeof(out->text) - (size_t)len, ":%u", out->port);
    return NULL;
}

static bool is_host(const struct http_origin *o, struct bytes host_field, unsigned *port_out) {
    char host[HTTP_ORIGIN_HOST_MAX + 1];
    *port_out = default_port(o->scheme);
    return read_authority(host_field, host, port_out) == NULL && strcmp(host, o->host) == 0;
}

bool http_origin_is_host(const struct http_origin *o, struct bytes host_field) {
    unsigned port;
    return is_host(o, host_field, &port);
}

bool http_origin_is_host_and_port(const struct http_origin *o, struct bytes host_field) {
    unsigned port;
    return is_host(o, host_field, &port) && port == o->port;
}
