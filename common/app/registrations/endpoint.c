/* endpoint.c - see endpoint.h. */
#include "common/app/registrations/endpoint.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/percent.h"
#include "common/http/http_authority.h"

/* --- life --- */

/* The texts of a certificate, as options are called. */
static const struct {
    const char *name;
    size_t offset;
} tls_texts[] = {{"certificate", offsetof(struct tls_files, certificate)},
                 {"key", offsetof(struct tls_files, key)},
                 {"password", offsetof(struct tls_files, password)},
                 {"password_file", offsetof(struct tls_files, password_file)},
                 {"ocsp", offsetof(struct tls_files, ocsp)}};

/* The text is the endpoint's own, so it may be freed and replaced. */
static char **tls_text(const struct tls_files *f, size_t i) {
    return (char **)((uintptr_t)f + tls_texts[i].offset);
}

static void drop_tls(struct tls_server *tls) {
    for (size_t i = 0; i < tls->count; i++)
        for (size_t k = 0; k < ARRAY_LEN(tls_texts); k++)
            free(*tls_text(&tls->certificates[i], k));
    free(tls->certificates);
    free((char *)(uintptr_t)tls->client_ca);
    *tls = (struct tls_server){0};
}

void endpoint_deinit(struct endpoint *e) {
    free(e->name);
    free(e->address);
    free(e->hostname);
    drop_tls(&e->tls);
    *e = (struct endpoint){0};
}

static char *dup_or_null(const char *text) {
    return text != NULL ? mem_strdup(text) : NULL;
}

/* An empty certificate behind the others. */
static struct tls_files *add_certificate(struct tls_server *tls) {
    tls->certificates = mem_realloc(tls->certificates, (tls->count + 1) * sizeof(struct tls_files));
    tls->certificates[tls->count] = (struct tls_files){0};
    return &tls->certificates[tls->count++];
}

static void copy_tls(struct tls_server *out, const struct tls_server *tls) {
    *out = (struct tls_server){.client_ca = dup_or_null(tls->client_ca),
                               .takes_any_client = tls->takes_any_client};
    for (size_t i = 0; i < tls->count; i++) {
        struct tls_files *files = add_certificate(out);
        for (size_t k = 0; k < ARRAY_LEN(tls_texts); k++)
            *tls_text(files, k) = dup_or_null(*tls_text(&tls->certificates[i], k));
    }
}

void endpoint_set_tls(struct endpoint *e, const struct tls_server *tls) {
    struct tls_server old = e->tls;
    copy_tls(&e->tls, tls);
    drop_tls(&old);
}

void endpoint_copy(struct endpoint *out, const struct endpoint *e) {
    *out = *e;
    out->name = dup_or_null(e->name);
    out->address = dup_or_null(e->address);
    out->hostname = dup_or_null(e->hostname);
    copy_tls(&out->tls, &e->tls);
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

/* Where a text belongs, or NULL. A certificate behind another one begins a new one. */
static char **find_text(struct endpoint *e, struct bytes option) {
    struct tls_server *tls = &e->tls;
    if (bytes_equal_str(option, "name"))
        return &e->name;
    if (bytes_equal_str(option, "hostname"))
        return &e->hostname;
    if (bytes_equal_str(option, "client_ca"))
        return (char **)(uintptr_t)&tls->client_ca;
    for (size_t i = 0; i < ARRAY_LEN(tls_texts); i++) {
        if (!bytes_equal_str(option, tls_texts[i].name))
            continue;
        bool is_new = tls->count == 0 || (i == 0 && tls->certificates[tls->count - 1].certificate);
        return tls_text(is_new ? add_certificate(tls) : &tls->certificates[tls->count - 1], i);
    }
    return NULL;
}

static const char *const proxy_names[] = {
    [PROXY_NONE] = NULL, [PROXY_V1] = "v1", [PROXY_V2] = "v2", [PROXY_ANY] = "any"};

bool endpoint_parse_proxy(struct bytes text, enum proxy_versions *out) {
    for (unsigned i = PROXY_V1; i <= PROXY_ANY; i++) {
        *out = (enum proxy_versions)i;
        if (bytes_equal_str(text, proxy_names[i]))
            return true;
    }
    return false;
}

const char *endpoint_proxy_name(enum proxy_versions versions) {
    return proxy_names[versions];
}

static bool parse_option(struct endpoint *out, struct bytes option) {
    ptrdiff_t equals = bytes_find(option, '=');
    if (equals <= 0)
        return false;
    struct bytes key = bytes_head(option, (size_t)equals);
    struct bytes value = bytes_from(option, (size_t)equals + 1);
    if (bytes_equal_str(key, "auto_upgrade")) {
        out->auto_upgrade = bytes_equal_str(value, "true");
        return out->auto_upgrade || bytes_equal_str(value, "false");
    }
    if (bytes_equal_str(key, "client_certificate")) {
        out->tls.takes_any_client = bytes_equal_str(value, "optional");
        return out->tls.takes_any_client || bytes_equal_str(value, "required");
    }
    if (bytes_equal_str(key, "proxy_protocol"))
        return endpoint_parse_proxy(value, &out->proxy);
    char **text = find_text(out, key);
    if (text == NULL)
        return false;
    struct buf decoded = {0};
    (void)percent_decode(value, false, &decoded);
    free(*text);
    *text = buf_take(&decoded);
    return true;
}

static const char *check_certificates(const struct endpoint *e) {
    if ((e->tls.count > 0 || e->tls.client_ca != NULL) && !e->is_tls)
        return "certificates are for https and wss";
    if (e->tls.takes_any_client && e->tls.client_ca == NULL)
        return "client_certificate needs client_ca";
    if (e->tls.count > TLS_CERTIFICATES_MAX)
        return "has more than 64 certificates";
    return e->tls.count == 1 && e->tls.certificates[0].certificate == NULL
               ? "has a key or a password without a certificate"
               : NULL;
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
            return "options are certificate, key, password_file, password, ocsp, client_ca, "
                   "client_certificate, name, hostname, auto_upgrade and "
                   "proxy_protocol";
    return check_certificates(out);
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
    for (size_t i = 0; i < e->tls.count; i++)
        for (size_t k = 0; k < ARRAY_LEN(tls_texts); k++)
            append_option(out, &separator, tls_texts[k].name,
                          *tls_text(&e->tls.certificates[i], k));
    append_option(out, &separator, "client_ca", e->tls.client_ca);
    append_option(out, &separator, "client_certificate",
                  e->tls.takes_any_client ? "optional" : NULL);
    append_option(out, &separator, "auto_upgrade", e->auto_upgrade ? "true" : NULL);
    append_option(out, &separator, "proxy_protocol", endpoint_proxy_name(e->proxy));
}
