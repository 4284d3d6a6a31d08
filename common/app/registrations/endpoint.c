/* endpoint.c - see endpoint.h. */
#include "common/app/registrations/endpoint.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/percent.h"
#include "common/http/http_authority.h"

void endpoint_deinit(struct endpoint *e) {
    free(e->name);
    free(e->address);
    free(e->hostname);
    free(e->certificate);
    free(e->key);
    free(e->password);
    *e = (struct endpoint){0};
}

/* --- reading --- */

static bool parse_scheme(struct endpoint *out, struct bytes scheme) {
    struct bytes rest = scheme;
    bool has_plain = false;
    while (rest.ptr != NULL) {
        struct bytes part = bytes_split(&rest, '+');
        bool is_https = bytes_equal_str(part, "https"), is_wss = bytes_equal_str(part, "wss");
        bool is_http = bytes_equal_str(part, "http"), is_ws = bytes_equal_str(part, "ws");
        if (!is_https && !is_wss && !is_http && !is_ws)
            return false;
        out->is_http |= is_http || is_https;
        out->is_ws |= is_ws || is_wss;
        out->is_tls |= is_https || is_wss;
        has_plain |= is_http || is_ws;
    }
    return !out->is_tls || !has_plain;
}

static bool parse_authority(struct endpoint *out, struct bytes authority) {
    struct http_authority at = http_authority_split(authority);
    struct bytes host = http_authority_address(at.host);
    uint64_t port = (uint64_t)http_default_port(out->is_tls);
    if (at.port.ptr != NULL && (!bytes_to_u64(at.port, &port) || port > 65535))
        return false;
    if (host.len == 0)
        return false;
    out->address = bytes_dup(host);
    out->port = (int)port;
    return true;
}

static bool parse_option(struct endpoint *out, struct bytes option) {
    ptrdiff_t equals = bytes_find(option, '=');
    if (equals <= 0)
        return false;
    struct bytes key = bytes_head(option, (size_t)equals);
    struct bytes value = bytes_from(option, (size_t)equals + 1);
    struct {
        const char *name;
        char **field;
    } texts[] = {{"certificate", &out->certificate},
                 {"key", &out->key},
                 {"password", &out->password},
                 {"name", &out->name},
                 {"hostname", &out->hostname}};
    if (bytes_equal_str(key, "auto_upgrade")) {
        out->auto_upgrade = bytes_equal_str(value, "true");
        return out->auto_upgrade || bytes_equal_str(value, "false");
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (bytes_equal_str(key, texts[i].name)) {
            struct buf decoded = {0};
            (void)percent_decode(value, false, &decoded);
            free(*texts[i].field);
            *texts[i].field = buf_take(&decoded);
            return true;
        }
    }
    return false;
}

static const char *parse(struct endpoint *out, const char *url) {
    const char *slashes = strstr(url, "://");
    if (slashes == NULL || !parse_scheme(out, bytes_of(url, (size_t)(slashes - url))))
        return "the scheme must be http, ws, http+ws, https, wss or https+wss";
    struct bytes options = bytes_str(slashes + 3);
    struct bytes authority = bytes_split(&options, '?');
    if (bytes_ends_with(authority, BYTES_LIT("/")))
        authority.len--;
    if (!parse_authority(out, authority))
        return "needs ADDRESS:PORT after the scheme";
    while (options.ptr != NULL)
        if (!parse_option(out, bytes_split(&options, '&')))
            return "options are certificate, key, password, name, hostname and auto_upgrade";
    return NULL;
}

const char *endpoint_parse(struct endpoint *out, const char *url) {
    *out = (struct endpoint){0};
    const char *error = parse(out, url);
    if (error != NULL)
        endpoint_deinit(out);
    return error;
}

/* --- writing --- */

const char *endpoint_scheme(bool is_http, bool is_ws, bool is_tls) {
    static const char *const schemes[2][4] = {{"", "http", "ws", "http+ws"},
                                              {"", "https", "wss", "https+wss"}};
    return schemes[is_tls][(is_http ? 1 : 0) | (is_ws ? 2 : 0)];
}

static void append_option(struct buf *out, char *separator, const char *name, const char *value) {
    if (value == NULL)
        return;
    buf_printf(out, "%c%s=", *separator, name);
    for (; *value != '\0'; value++) {
        if (isalnum((unsigned char)*value) || strchr("/._-", *value) != NULL)
            buf_append_char(out, *value);
        else
            buf_printf(out, "%%%02X", (unsigned char)*value);
    }
    *separator = '&';
}

void endpoint_append_url(struct buf *out, const struct endpoint *e, int up_by) {
    const char *address = e->address == NULL || *e->address == '\0' ? "*" : e->address;
    bool is_ip6 = strchr(address, ':') != NULL;
    int port = e->port != 0 ? e->port : http_default_port(e->is_tls);
    char separator = '?';
    buf_printf(out, is_ip6 ? "%s://[%s]:%d" : "%s://%s:%d",
               endpoint_scheme(e->is_http, e->is_ws, e->is_tls), address, port + up_by);
    append_option(out, &separator, "name", e->name);
    append_option(out, &separator, "hostname", e->hostname);
    append_option(out, &separator, "certificate", e->certificate);
    append_option(out, &separator, "key", e->key);
    append_option(out, &separator, "password", e->password);
    append_option(out, &separator, "auto_upgrade", e->auto_upgrade ? "true" : NULL);
}
