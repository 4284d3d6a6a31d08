/* ip.c - see ip.h. */
#include "common/base/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

enum { V4_AT = 12, V4_BITS_AT = IP_BITS - IP_V4_BITS };

static const unsigned char v4_prefix[V4_AT] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ip_is_v4(struct ip ip) {
    return memcmp(ip.bytes, v4_prefix, V4_AT) == 0;
}

struct ip ip_of_v4(const void *four_bytes) {
    struct ip ip;
    memcpy(ip.bytes, v4_prefix, V4_AT);
    memcpy(ip.bytes + V4_AT, four_bytes, 4);
    return ip;
}

struct ip ip_of_sockaddr(const struct sockaddr *address) {
    struct ip ip = {{0}};
    if (address->sa_family == AF_INET)
        return ip_of_v4(&((const struct sockaddr_in *)address)->sin_addr);
    if (address->sa_family == AF_INET6)
        memcpy(ip.bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, sizeof(ip.bytes));
    return ip;
}

bool ip_parse(struct bytes text, struct ip *out) {
    char copy[INET6_ADDRSTRLEN];
    unsigned char four[4];
    struct ip six;
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    bool is_v4 = inet_pton(AF_INET, copy, four) == 1;
    if (!is_v4 && (inet_pton(AF_INET6, copy, six.bytes) != 1 || !ip_is_known(six)))
        return false;
    *out = is_v4 ? ip_of_v4(four) : six;
    return true;
}

void ip_show(struct ip ip, char text_out[IP_TEXT_SIZE]) {
    bool is_v4 = ip_is_v4(ip);
    text_out[0] = '\0';
    if (ip_is_known(ip))
        MUST(inet_ntop(is_v4 ? AF_INET : AF_INET6, ip.bytes + (is_v4 ? V4_AT : 0), text_out,
                       IP_TEXT_SIZE) != NULL);
}

/* ---- networks */

#define V4(a, b)                                                                                   \
    {                                                                                              \
        { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b }                                         \
    }

enum known_kind { LOOPBACK, PRIVATE, LINK_LOCAL };
static const struct {
    enum known_kind kind;
    struct ip_network network;
} known[] = {
    {LOOPBACK, {V4(127, 0), V4_BITS_AT + 8}},      {LOOPBACK, {{{[15] = 1}}, IP_BITS}},
    {PRIVATE, {V4(10, 0), V4_BITS_AT + 8}},        {PRIVATE, {V4(172, 16), V4_BITS_AT + 12}},
    {PRIVATE, {V4(192, 168), V4_BITS_AT + 16}},    {PRIVATE, {{{0xfc}}, 7}},
    {LINK_LOCAL, {V4(169, 254), V4_BITS_AT + 16}}, {LINK_LOCAL, {{{0xfe, 0x80}}, 10}}};

static bool has(const struct ip_network *network, struct ip ip) {
    return ip_is_equal(ip_network_of(ip, network->bits).base, network->base);
}

struct ip_network ip_network_of(struct ip ip, unsigned bits) {
    MUST(bits <= IP_BITS);
    for (unsigned i = 0; i < sizeof(ip.bytes); i++) {
        unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        if (kept < 8)
            ip.bytes[i] &= (unsigned char)(0xff00 >> kept);
    }
    return (struct ip_network){ip, bits};
}

bool ip_is_loopback(struct ip ip) {
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].kind == LOOPBACK && has(&known[i].network, ip))
            return true;
    return false;
}

bool ip_is_local(struct ip ip) {
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (has(&known[i].network, ip))
            return true;
    return false;
}

bool ip_networks_have(const struct ip_networks *list, struct ip ip) {
    for (size_t i = 0; i < list->count; i++)
        if (has(&list->items[i], ip))
            return true;
    return false;
}

void ip_networks_deinit(struct ip_networks *list) {
    free(list->items);
    *list = (struct ip_networks){0};
}

static const char *append(struct ip_networks *list, struct ip_network network) {
    if (list->count == IP_NETWORKS_MAX)
        return "is one network more than 256";
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof(*list->items));
    list->items[list->count++] = network;
    return NULL;
}

static const char *parse_one(struct ip_networks *list, struct bytes text) {
    struct ip ip;
    struct bytes length = text, address = bytes_split(&length, '/');
    if (!ip_parse(address, &ip))
        return "is no address or network";
    unsigned bits_at = bytes_find(address, ':') < 0 ? V4_BITS_AT : 0;
    uint64_t bits = IP_BITS - bits_at;
    if (length.ptr != NULL && (!bytes_to_u64(length, &bits) || bits > IP_BITS - bits_at))
        return "has a wrong prefix length";
    if (bits == 0)
        return "is everybody";
    struct ip_network network = ip_network_of(ip, bits_at + (unsigned)bits);
    if (!ip_is_equal(network.base, ip))
        return "has bits behind its prefix length";
    return append(list, network);
}

static const char *append_known(struct ip_networks *list, enum known_kind kind) {
    const char *error = NULL;
    for (size_t i = 0; i < ARRAY_LEN(known) && error == NULL; i++)
        if (known[i].kind == kind)
            error = append(list, known[i].network);
    return error;
}

const char *ip_networks_parse(struct ip_networks *list, struct bytes text, struct bytes *bad_out) {
    const char *error = NULL;
    while (text.ptr != NULL && error == NULL) {
        struct bytes part = bytes_trim(bytes_split(&text, ','));
        if (bytes_equal_str(part, "loopback"))
            error = append_known(list, LOOPBACK);
        else if (bytes_equal_str(part, "private"))
            error = append_known(list, PRIVATE);
        else
            error = parse_one(list, part);
        *bad_out = part;
    }
    return error;
}
