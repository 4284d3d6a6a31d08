/*
 * fuzz_ip_networks.c - any text as a list of networks and as an address.
 *
 * Properties: an address that is read has one text, which is read as the same address; a network
 * that is read has its own base, and the part that is wrong lies within the text.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/ip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(struct bytes text) {
    struct ip ip, again;
    char shown[IP_TEXT_SIZE];
    if (!ip_parse(text, &ip))
        return;
    MUST(ip_is_known(ip));
    ip_show(ip, shown);
    MUST(ip_parse(bytes_str(shown), &again) && ip_is_equal(ip, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of(data, size), bad = BYTES_NONE;
    struct ip_networks list = {0};
    check_address(text);
    const char *error = ip_networks_parse(&list, text, &bad);
    MUST(list.count <= IP_NETWORKS_MAX);
    MUST(error != NULL || list.count > 0 || size == 0);
    if (error != NULL)
        MUST(bad.len == 0 || (bad.ptr >= text.ptr && bad.ptr + bad.len <= text.ptr + size));
    for (size_t i = 0; i < list.count; i++) {
        MUST(list.items[i].bits > 0 && list.items[i].bits <= IP_BITS);
        MUST(ip_networks_have(&list, list.items[i].base));
    }
    ip_networks_deinit(&list);
    return 0;
}
