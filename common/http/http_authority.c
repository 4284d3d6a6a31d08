/* http_authority.c - see http_authority.h. */
#include "common/http/http_authority.h"

#include "common/base/ip.h"

struct http_authority http_authority_split(struct bytes text) {
    ptrdiff_t colon = bytes_find_last(text, ':');
    if (colon <= bytes_find_last(text, ']'))
        return (struct http_authority){.host = text};
    return (struct http_authority){.host = bytes_head(text, (size_t)colon),
                                   .port = bytes_from(text, (size_t)colon + 1)};
}

struct bytes http_authority_address(struct bytes host) {
    bool is_ip6 = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    return is_ip6 ? bytes_of(host.ptr + 1, host.len - 2) : host;
}

bool http_authority_is_ip(struct bytes host) {
    struct bytes inner = http_authority_address(host);
    struct ip ip;
    bool has_brackets = inner.len < host.len, is_ip6 = bytes_find(inner, ':') >= 0;
    return has_brackets == is_ip6 && ip_parse(inner, &ip);
}
