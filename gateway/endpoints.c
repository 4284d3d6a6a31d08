/* endpoints.c - see endpoints.h. */
#include "gateway/endpoints.h"

#include <stdlib.h>
#include <string.h>

#include "common/app/registrations.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/net/tls.h"
#include "common/http/http_head.h"

static int fail(char **error_out, const char *format, const char *what, const char *why) {
    struct buf text = {0};
    buf_printf(&text, format, what, why);
    *error_out = buf_take(&text);
    return -1;
}

static char *dup_or_null(const char *text) {
    return text == NULL || *text == '\0' ? NULL : mem_strdup(text);
}

static int parse_scheme(struct endpoint_run *out, struct bytes scheme) {
    struct bytes rest = scheme;
    bool has_plain = false;
    while (rest.ptr != NULL) {
        struct bytes part = bytes_split(&rest, '+');
        bool is_https = bytes_equal_str(part, "https"), is_wss = bytes_equal_str(part, "wss");
        bool is_http = bytes_equal_str(part, "http"), is_ws = bytes_equal_str(part, "ws");
        if (!is_https && !is_wss && !is_http && !is_ws)
            return -1;
        out->is_http |= is_http || is_https;
        out->is_ws |= is_ws || is_wss;
        out->is_tls |= is_https || is_wss;
        has_plain |= is_http || is_ws;
    }
    return out->is_tls && has_plain ? -1 : 0;
}

static int default_port(const struct endpoint_run *e) {
    return e->is_tls ? 443 : 80;
}

static int parse_authority(struct endpoint_run *out, struct bytes authority) {
    ptrdiff_t colon = bytes_find_last(authority, ':');
    ptrdiff_t bracket = bytes_find_last(authority, ']');
    struct bytes host = authority;
    uint64_t port = (uint64_t)default_port(out);
    if (colon > bracket) {
        host = bytes_head(authority, (size_t)colon);
        if (!bytes_to_u64(bytes_from(authority, (size_t)colon + 1), &port) || port > 65535)
            return -1;
    }
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = bytes_of(host.ptr + 1, host.len - 2);
    if (host.len == 0)
        return -1;
    out->address = bytes_dup(host);
    out->port = (int)port;
    return 0;
}

static char *decoded(struct bytes text) {
    struct buf b = {0};
    (void)http_percent_decode(text, false, &b);
    return buf_take(&b);
}

static int parse_option(struct endpoint_run *out, struct bytes option) {
    ptrdiff_t equals = bytes_find(option, '=');
    if (equals <= 0)
        return -1;
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
        return out->auto_upgrade || bytes_equal_str(value, "false") ? 0 : -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (bytes_equal_str(key, texts[i].name)) {
            free(*texts[i].field);
            *texts[i].field = decoded(value);
            return 0;
        }
    }
    return -1;
}

static void endpoint_deinit(struct endpoint_run *e) {
    free(e->name);
    free(e->address);
    free(e->hostname);
    free(e->certificate);
    free(e->key);
    free(e->password);
    tls_context_unref(e->tls);
    memset(e, 0, sizeof(*e));
}

int endpoint_parse(struct endpoint_run *out, const char *url, char **error_out) {
    memset(out, 0, sizeof(*out));
    const char *slashes = strstr(url, "://");
    if (slashes == NULL || parse_scheme(out, bytes_of(url, (size_t)(slashes - url))) < 0)
        return fail(error_out,
                    "--listen %s: the scheme must be http, ws, http+ws, https, wss or https+wss%s",
                    url, "");
    struct bytes options = bytes_str(slashes + 3);
    struct bytes authority = bytes_split(&options, '?');
    if (authority.len > 0 && authority.ptr[authority.len - 1] == '/')
        authority.len--;
    if (parse_authority(out, authority) < 0) {
        endpoint_deinit(out);
        return fail(error_out, "--listen %s: needs ADDRESS:PORT after the scheme%s", url, "");
    }
    while (options.ptr != NULL) {
        if (parse_option(out, bytes_split(&options, '&')) < 0) {
            endpoint_deinit(out);
            return fail(error_out,
                        "--listen %s: options are certificate, key, password, name, hostname and "
                        "auto_upgrade%s",
                        url, "");
        }
    }
    return 0;
}

static void copy_endpoint(struct endpoint_run *out, const struct endpoint *e) {
    *out = (struct endpoint_run){
        .name = dup_or_null(e->name),
        .address = mem_strdup(e->address == NULL || *e->address == '\0' ? "*" : e->address),
        .is_http = e->is_http,
        .is_ws = e->is_ws,
        .is_tls = e->is_tls,
        .auto_upgrade = e->auto_upgrade,
        .hostname = dup_or_null(e->hostname),
        .certificate = dup_or_null(e->certificate),
        .key = dup_or_null(e->key),
        .password = dup_or_null(e->password),
    };
    out->port = e->port != 0 ? e->port : default_port(out);
}

static int load_tls(struct endpoint_run *e, char **error_out) {
    if (!e->is_tls && e->certificate != NULL)
        return fail(error_out, "endpoint %s: a certificate needs https or wss%s", e->address, "");
    if (!e->is_tls)
        return 0;
    if (e->certificate == NULL)
        return fail(error_out, "endpoint %s: https and wss need a certificate%s", e->address, "");
    e->tls = tls_context_server(e->certificate, e->key, e->password, error_out);
    return e->tls == NULL ? -1 : 0;
}

static int fill(struct endpoints *e, const struct settings *settings,
                const struct registrations *registrations, char **error_out) {
    size_t count =
        settings->listen.count > 0 ? settings->listen.count : registrations->endpoints.count;
    e->items = mem_zalloc((count + 1) * sizeof(*e->items));
    for (size_t i = 0; i < count; i++) {
        struct endpoint_run *item = &e->items[i];
        if (settings->listen.count == 0)
            copy_endpoint(item, &registrations->endpoints.items[i]);
        else if (endpoint_parse(item, settings->listen.items[i], error_out) < 0)
            return -1;
        e->count++;
        if (load_tls(item, error_out) < 0)
            return -1;
    }
    if (count == 0)
        return fail(error_out, "nothing to listen on: the app has no signalbox.endpoint%s%s", "",
                    " and --listen is not given");
    return 0;
}

int endpoints_init(struct endpoints *e, const struct settings *settings,
                   const struct registrations *registrations, char **error_out) {
    *e = (struct endpoints){0};
    if (fill(e, settings, registrations, error_out) == 0)
        return 0;
    endpoints_deinit(e);
    return -1;
}

void endpoints_deinit(struct endpoints *e) {
    for (size_t i = 0; i < e->count; i++)
        endpoint_deinit(&e->items[i]);
    free(e->items);
    *e = (struct endpoints){0};
}

char *endpoints_reload_tls(struct endpoints *e) {
    char *first = NULL;
    for (size_t i = 0; i < e->count; i++) {
        struct endpoint_run *item = &e->items[i];
        char *error = NULL;
        if (!item->is_tls)
            continue;
        struct tls_context *fresh =
            tls_context_server(item->certificate, item->key, item->password, &error);
        if (fresh != NULL) {
            tls_context_unref(item->tls);
            item->tls = fresh;
            continue;
        }
        log_error("endpoints", "kept_certificate reason=%s", LOG_TEXT(bytes_str(error)));
        if (first == NULL)
            first = error;
        else
            free(error);
    }
    return first;
}
