/* http_forwarded.c - see http_forwarded.h. */
#include "common/http/http_forwarded.h"

#include <ctype.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/settings.h"
#include "common/http/http_authority.h"
#include "common/http/http_head.h"

/* The elements of all fields of one name, from the last to the first. */
struct backwards {
    const struct http_head *head;
    struct bytes name;
    size_t field; /* those before it are still to come */
    struct bytes rest;
};

static struct backwards begin(const struct http_head *head, const char *name) {
    return (struct backwards){
        .head = head, .name = bytes_str(name), .field = head->header_count, .rest = BYTES_NONE};
}

/* Whether a quote begins or ends a quoted string there, and does not stand in one. */
static bool is_quote(struct bytes text, size_t at) {
    size_t backslashes = 0;
    while (backslashes < at && text.ptr[at - 1 - backslashes] == '\\')
        backslashes++;
    return text.ptr[at] == '"' && backslashes % 2 == 0;
}

/* Where the last element begins: after the last comma that is not quoted. Seen from the right, an
 * open quote further left, which a client may have written, changes nothing. */
static size_t last_begins(struct bytes list) {
    bool is_quoted = false;
    for (size_t i = list.len; i > 0; i--) {
        is_quoted ^= is_quote(list, i - 1);
        if (list.ptr[i - 1] == ',' && !is_quoted)
            return i;
    }
    return 0;
}

/* The next element to the left that is not empty. False: there is none. */
static bool next(struct backwards *b, struct bytes *element_out) {
    while (b->rest.ptr != NULL || b->field > 0) {
        if (b->rest.ptr == NULL) {
            const struct http_header *h = &b->head->headers[--b->field];
            if (bytes_equal_nocase(h->name, b->name))
                b->rest = h->value;
            continue;
        }
        size_t at = last_begins(b->rest);
        *element_out = bytes_trim(bytes_from(b->rest, at));
        b->rest = at > 0 ? bytes_head(b->rest, at - 1) : BYTES_NONE;
        if (element_out->len > 0)
            return true;
    }
    return false;
}

/* ---- one value */

static bool is_port(struct bytes port) {
    uint64_t number;
    return port.ptr == NULL || (bytes_to_u64(port, &number) && number <= 65535);
}

/* An address as proxies write it, with or without a port: 192.0.2.7:4711, [2001:db8::1]:4711. */
static bool parse_node(struct bytes text, struct ip *out) {
    if (ip_parse(text, out))
        return true;
    struct http_authority at = http_authority_split(text);
    struct bytes address = http_authority_address(at.host);
    bool is_v6 = bytes_find(address, ':') >= 0, has_brackets = address.len < at.host.len;
    return is_v6 == has_brackets && is_port(at.port) && ip_parse(address, out);
}

static void take_scheme(struct http_forwarded *f, struct bytes scheme) {
    if (bytes_equal_nocase(scheme, BYTES_LIT("https")) ||
        bytes_equal_nocase(scheme, BYTES_LIT("wss")))
        f->is_secure = true;
    else if (bytes_equal_nocase(scheme, BYTES_LIT("http")) ||
             bytes_equal_nocase(scheme, BYTES_LIT("ws")))
        f->is_secure = false;
}

static void take_host(struct http_forwarded *f, struct bytes host) {
    if (host.len == 0 || host.len > HTTP_FORWARDED_HOST_MAX)
        return;
    for (size_t i = 0; i < host.len; i++)
        if (!isalnum((unsigned char)host.ptr[i]) && strchr(".-_:[]", host.ptr[i]) == NULL)
            return;
    f->host = host;
}

/* ---- X-Forwarded-… */

/* The element that belongs to the client, which is so many from the right; a shorter list was not
 * written by each proxy, so its first counts. */
static struct bytes element_of(const struct http_head *head, const char *name, size_t from_right) {
    struct backwards list = begin(head, name);
    struct bytes element = BYTES_NONE, found;
    for (size_t i = 0; i <= from_right && next(&list, &found); i++)
        element = found;
    return element;
}

static void read_x_forwarded(const struct http_proxies *proxies, const struct http_head *head,
                             struct http_forwarded *f) {
    struct backwards list = begin(head, "X-Forwarded-For");
    struct bytes element;
    size_t hops = 0;
    uint64_t port;
    while (hops < HTTP_FORWARDED_HOPS_MAX && ip_networks_have(&proxies->trusted, f->client) &&
           next(&list, &element) && parse_node(element, &f->client))
        hops++;
    size_t from_right = hops > 0 ? hops - 1 : 0;
    take_scheme(f, element_of(head, "X-Forwarded-Proto", from_right));
    take_host(f, element_of(head, "X-Forwarded-Host", from_right));
    if (bytes_to_u64(element_of(head, "X-Forwarded-Port", from_right), &port) && port > 0 &&
        port <= 65535)
        f->port = (unsigned)port;
}

/* ---- Forwarded */

static struct bytes unquoted(struct bytes value) {
    bool is_quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
    return is_quoted ? bytes_of(value.ptr + 1, value.len - 2) : value;
}

/* Takes the next name=value off an element, up to a semicolon that is not quoted. */
static struct bytes next_pair(struct bytes *element) {
    bool is_quoted = false;
    struct bytes whole = *element;
    for (size_t i = 0; i < whole.len; i++) {
        is_quoted ^= is_quote(whole, i);
        if (whole.ptr[i] == ';' && !is_quoted) {
            *element = bytes_from(whole, i + 1);
            return bytes_head(whole, i);
        }
    }
    *element = BYTES_NONE;
    return whole;
}

/* for=192.0.2.7;proto=https;host=chat.example. False when its first `for` is no address. */
static bool read_element(struct bytes element, struct http_forwarded *f) {
    bool has_address = false, has_for = false;
    while (element.ptr != NULL) {
        struct bytes value = next_pair(&element);
        struct bytes name = bytes_trim(bytes_split(&value, '='));
        value = unquoted(bytes_trim(value));
        if (bytes_equal_nocase(name, BYTES_LIT("for"))) {
            has_address = has_for ? has_address : parse_node(value, &f->client);
            has_for = true;
        }
        if (bytes_equal_nocase(name, BYTES_LIT("proto")))
            take_scheme(f, value);
        if (bytes_equal_nocase(name, BYTES_LIT("host")))
            take_host(f, value);
    }
    return has_address;
}

static void read_forwarded(const struct http_proxies *proxies, const struct http_head *head,
                           struct http_forwarded *f) {
    struct backwards list = begin(head, "Forwarded");
    struct bytes element;
    for (size_t hops = 0; hops < HTTP_FORWARDED_HOPS_MAX; hops++)
        if (!ip_networks_have(&proxies->trusted, f->client) || !next(&list, &element) ||
            !read_element(element, f))
            return;
}

/* ---- all */

struct http_forwarded http_forwarded_read(const struct http_proxies *proxies,
                                          const struct http_head *head, struct ip peer,
                                          bool is_tls) {
    struct http_forwarded f = {.client = peer, .is_secure = is_tls, .host = head->host};
    f.is_proxied = ip_networks_have(&proxies->trusted, peer);
    if (f.is_proxied && proxies->header == HTTP_X_FORWARDED)
        read_x_forwarded(proxies, head, &f);
    if (f.is_proxied && proxies->header == HTTP_RFC_FORWARDED)
        read_forwarded(proxies, head, &f);
    return f;
}

/* ---- settings */

static bool parse_header(const char *text, enum http_forwarded_header *out) {
    static const char *const names[] = {[HTTP_X_FORWARDED] = "x-forwarded-for",
                                        [HTTP_RFC_FORWARDED] = "forwarded",
                                        [HTTP_NOT_FORWARDED] = "none"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        *out = (enum http_forwarded_header)i;
        if (bytes_equal_nocase(bytes_str(text), bytes_str(names[i])))
            return true;
    }
    return false;
}

static int parse(struct http_proxies *p, const struct settings *s, struct buf *error) {
    if (!parse_header(s->forwarded_header, &p->header)) {
        buf_printf(error, "--forwarded-header %s: must be x-forwarded-for, forwarded or none",
                   s->forwarded_header);
        return -1;
    }
    for (size_t i = 0; i < s->trusted_proxies.count; i++) {
        const char *text = s->trusted_proxies.items[i];
        struct bytes bad;
        const char *what = *text != '\0' ? ip_networks_parse(&p->trusted, bytes_str(text), &bad)
                                         : NULL; /* as a variable may be */
        if (what == NULL)
            continue;
        buf_printf(error, "--trusted-proxies %s: %.*s %s", text, BYTES_FMT(bad), what);
        return -1;
    }
    return 0;
}

int http_proxies_init(struct http_proxies *p, const struct settings *s, char **error_out) {
    struct buf error = {0};
    *p = (struct http_proxies){0};
    if (parse(p, s, &error) == 0)
        return 0;
    *error_out = buf_take(&error);
    http_proxies_deinit(p);
    return -1;
}

void http_proxies_deinit(struct http_proxies *p) {
    ip_networks_deinit(&p->trusted);
}
