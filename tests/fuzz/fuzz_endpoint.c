/*
 * fuzz_endpoint.c - URLs of endpoints, as --listen and apps give them, and admin addresses.
 *
 * Properties: an endpoint that is accepted has a port and a protocol; its URL, written again, is
 * accepted and is written the same; no admin address is read beyond its room.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/admin/admin_address.h"
#include "common/app/registrations/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_endpoint(const char *text) {
    struct endpoint first, second;
    struct buf url = {0}, again = {0};
    if (endpoint_parse(&first, text) != NULL)
        return;
    MUST(first.port >= 0 && first.port <= 65535 && (first.is_http || first.is_ws));
    endpoint_append_url(&url, &first, 0);
    buf_append_char(&url, '\0');
    MUST(endpoint_parse(&second, url.ptr) == NULL);
    endpoint_append_url(&again, &second, 0);
    MUST(bytes_equal_str(buf_bytes(&again), url.ptr));
    endpoint_deinit(&first);
    endpoint_deinit(&second);
    buf_deinit(&url);
    buf_deinit(&again);
}

/* No resolver is asked for names. */
static void check_admin(const char *text) {
    struct admin_address address;
    bool is_path = strncmp(text, "unix:", 5) == 0;
    if (!is_path && text[strspn(text, "0123456789.:[]+*")] != '\0')
        return;
    if (admin_address_read(text, &address) == 0)
        MUST((address.path != NULL) == is_path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = bytes_dup(bytes_of((const char *)data, size));
    check_endpoint(text);
    check_admin(text);
    free(text);
    return 0;
}
