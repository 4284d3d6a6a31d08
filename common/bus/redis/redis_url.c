/*
 * redis_url.c - see redis_url.h. The text is cut from the left: scheme, then for unix the path and
 * its query, for the others login, hosts, and what follows the slash.
 */
#include "common/bus/redis/redis_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/percent.h"

enum { ERROR_SIZE = 200, REDIS_PORT = 6379, SENTINEL_PORT = 26379, DB_MAX = 65535 };

static int bad(char *error_out, const char *why) {
    snprintf(error_out, ERROR_SIZE, "the Redis URL is wrong: %s", why);
    return -EINVAL;
}

/* Percent-decodes with a NUL after it. False: too long, a broken escape, or a control character. */
static bool decode(struct bytes in, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        if (c == '%') {
            int value = percent_escape_value(bytes_from(in, i));
            if (value < 0)
                return false;
            c = (unsigned char)value;
            i += 2;
        }
        if (c < ' ' || c == 0x7f || n + 1 >= size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

static bool strip(struct bytes *text, const char *prefix) {
    if (!bytes_starts_with(*text, bytes_str(prefix)))
        return false;
    *text = bytes_from(*text, strlen(prefix));
    return true;
}

static int parse_db(struct redis_url *url, struct bytes text, char *error_out) {
    uint64_t db = 0;
    if (!bytes_to_u64(text, &db) || db > DB_MAX)
        return bad(error_out, "the database is no number");
    url->db = (int)db;
    return 0;
}

/* [user[:password]@]; a password may hold anything but '@' and '/', escaped or not. */
static int parse_login(struct redis_url *url, struct bytes *rest, char *error_out) {
    ptrdiff_t at = bytes_find_last(*rest, '@');
    if (at < 0)
        return 0;
    struct bytes password = bytes_head(*rest, (size_t)at);
    struct bytes user = bytes_split(&password, ':');
    *rest = bytes_from(*rest, (size_t)at + 1);
    if (!decode(user, url->user, sizeof(url->user)))
        return bad(error_out, "the user is too long or badly escaped");
    if (!decode(password, url->password, sizeof(url->password)))
        return bad(error_out, "the password is too long or badly escaped");
    return 0;
}

static bool is_host(const char *name) {
    return name[0] != '\0' && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789-._:%") == strlen(name);
}

/* host, host:port, [::1], [::1]:port */
static int parse_host(struct redis_url *url, struct bytes text, int port, char *error_out) {
    if (url->host_count == REDIS_URL_HOSTS_MAX)
        return bad(error_out, "too many hosts");
    struct redis_host *host = &url->hosts[url->host_count++];
    uint64_t given;
    host->port = port;
    struct bytes name = text, rest = BYTES_NONE;
    if (text.len > 0 && text.ptr[0] == '[') {
        ptrdiff_t end = bytes_find(text, ']');
        if (end < 0)
            return bad(error_out, "a bracket is not closed");
        name = bytes_from(bytes_head(text, (size_t)end), 1);
        rest = bytes_from(text, (size_t)end + 1);
    } else if (bytes_find(text, ':') >= 0) {
        name = bytes_head(text, (size_t)bytes_find(text, ':'));
        rest = bytes_from(text, name.len);
    }
    if (!decode(name, host->host, sizeof(host->host)) || !is_host(host->host))
        return bad(error_out, "a host is missing, too long or no host name");
    if (rest.len == 0)
        return 0;
    if (rest.ptr[0] != ':')
        return bad(error_out, "only a port may follow a host");
    if (!bytes_to_u64(bytes_from(rest, 1), &given) || given < 1 || given > 65535)
        return bad(error_out, "a port is a number from 1 to 65535");
    host->port = (int)given;
    return 0;
}

/* What is before and behind the first slash after the login. */
static struct bytes cut_authority(struct bytes *rest) {
    struct bytes authority = *rest;
    ptrdiff_t slash = bytes_find(authority, '/');
    *rest = slash < 0 ? BYTES_NONE : bytes_from(authority, (size_t)slash + 1);
    return slash < 0 ? authority : bytes_head(authority, (size_t)slash);
}

static int parse_redis(struct redis_url *url, struct bytes rest, char *error_out) {
    struct bytes authority = cut_authority(&rest);
    int r = parse_login(url, &authority, error_out);
    if (r == 0)
        r = parse_host(url, authority, REDIS_PORT, error_out);
    if (r == 0 && rest.len > 0)
        r = parse_db(url, rest, error_out);
    return r;
}

static int parse_sentinel_option(struct redis_url *url, struct bytes option, char *error_out) {
    struct bytes value = option;
    struct bytes key = bytes_split(&value, '=');
    bool is_user = bytes_equal_str(key, "sentinel_user");
    if (!is_user && !bytes_equal_str(key, "sentinel_password"))
        return bad(error_out,
                   "the options of redis+sentinel:// are sentinel_user and sentinel_password");
    url->has_sentinel_login = true;
    if (is_user ? decode(value, url->sentinel_user, sizeof(url->sentinel_user))
                : decode(value, url->sentinel_password, sizeof(url->sentinel_password)))
        return 0;
    return bad(error_out, "the login of the sentinels is too long or badly escaped");
}

static int parse_sentinel(struct redis_url *url, struct bytes rest, char *error_out) {
    struct bytes options = rest;
    rest = bytes_split(&options, '?');
    while (options.len > 0)
        if (parse_sentinel_option(url, bytes_split(&options, '&'), error_out) < 0)
            return -EINVAL;
    struct bytes authority = cut_authority(&rest);
    int r = parse_login(url, &authority, error_out);
    if (r == 0 && authority.len == 0)
        r = bad(error_out, "a host is missing, too long or no host name");
    while (r == 0 && authority.ptr != NULL)
        r = parse_host(url, bytes_split(&authority, ','), SENTINEL_PORT, error_out);
    if (r < 0)
        return r;
    struct bytes name = bytes_split(&rest, '/');
    if (name.len == 0 || !decode(name, url->master, sizeof(url->master)))
        return bad(error_out, "the name of the sentinels' master is missing or too long");
    return rest.len > 0 ? parse_db(url, rest, error_out) : 0;
}

static int parse_option(struct redis_url *url, struct bytes option, char *error_out) {
    struct bytes value = option;
    struct bytes key = bytes_split(&value, '=');
    if (bytes_equal_str(key, "db"))
        return parse_db(url, value, error_out);
    if (bytes_equal_str(key, "user"))
        return decode(value, url->user, sizeof(url->user)) ? 0 : bad(error_out, "the user");
    if (bytes_equal_str(key, "password"))
        return decode(value, url->password, sizeof(url->password)) ? 0
                                                                   : bad(error_out, "the password");
    return bad(error_out, "the options of unix:// are db, user and password");
}

static int parse_unix(struct redis_url *url, struct bytes rest, char *error_out) {
    struct bytes path = bytes_split(&rest, '?');
    if (path.len < 2 || path.ptr[0] != '/' || !decode(path, url->path, sizeof(url->path)))
        return bad(error_out, "unix:// needs an absolute path of at most 107 bytes");
    int r = 0;
    while (r == 0 && rest.len > 0)
        r = parse_option(url, bytes_split(&rest, '&'), error_out);
    return r;
}

int redis_url_parse(struct redis_url *url_out, const char *text, char error_out[200]) {
    struct bytes rest = bytes_str(text);
    memset(url_out, 0, sizeof(*url_out));
    error_out[0] = '\0';
    if (strip(&rest, "unix://"))
        return parse_unix(url_out, rest, error_out);
    url_out->is_tls = strip(&rest, "rediss+sentinel://");
    if (url_out->is_tls || strip(&rest, "redis+sentinel://"))
        return parse_sentinel(url_out, rest, error_out);
    url_out->is_tls = strip(&rest, "rediss://");
    if (url_out->is_tls || strip(&rest, "redis://"))
        return parse_redis(url_out, rest, error_out);
    return bad(error_out, "it begins with redis://, rediss://, unix://, redis+sentinel:// or "
                          "rediss+sentinel://");
}

void redis_url_show(const struct redis_url *url, char text_out[600]) {
    struct buf out = {0};
    if (url->path[0] != '\0') {
        buf_printf(&out, "unix://%s", url->path);
        if (url->db != 0)
            buf_printf(&out, "?db=%d", url->db);
    } else {
        buf_printf(&out, "redis%s%s://", url->is_tls ? "s" : "",
                   url->master[0] != '\0' ? "+sentinel" : "");
        if (url->user[0] != '\0')
            buf_printf(&out, "%s@", url->user);
        for (unsigned i = 0; i < url->host_count; i++) {
            const struct redis_host *h = &url->hosts[i];
            bool is_ip6 = strchr(h->host, ':') != NULL;
            buf_printf(&out, is_ip6 ? "%s[%s]:%d" : "%s%s:%d", i > 0 ? "," : "", h->host, h->port);
        }
        if (url->master[0] != '\0')
            buf_printf(&out, "/%s", url->master);
        if (url->db != 0)
            buf_printf(&out, "/%d", url->db);
    }
    buf_append_char(&out, '\0');
    snprintf(text_out, 600, "%s", out.ptr);
    buf_deinit(&out);
}

/* --- fingerprints --- */

static bool is_loopback(const char *host) {
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

static int compare_hosts(const void *a, const void *b) {
    const struct redis_host *left = a, *right = b;
    int order = strcasecmp(left->host, right->host);
    return order != 0 ? order : left->port - right->port;
}

static void append_hosts(struct buf *out, const struct redis_url *url) {
    struct redis_host sorted[REDIS_URL_HOSTS_MAX];
    memcpy(sorted, url->hosts, sizeof(sorted));
    qsort(sorted, url->host_count, sizeof(sorted[0]), compare_hosts);
    for (unsigned i = 0; i < url->host_count; i++) {
        buf_append_str(out, is_loopback(sorted[i].host) ? "localhost" : sorted[i].host);
        buf_printf(out, ":%d ", sorted[i].port);
    }
    for (size_t i = 0; i < out->len; i++)
        out->ptr[i] = bytes_lower(out->ptr[i]);
    buf_append_str(out, url->master);
}

/* Its folder without symbolic links: /run and /var/run are one. The socket itself is away while
 * Redis is. */
static void append_socket(struct buf *out, const char *path) {
    const char *name = strrchr(path, '/') + 1;
    char *folder = bytes_dup(bytes_of(path, (size_t)(name - path)));
    char *real = realpath(folder, NULL);
    buf_append_str(out, real != NULL ? real : folder);
    buf_append_char(out, '/');
    buf_append_str(out, name);
    free(real);
    free(folder);
}

void redis_url_fingerprint(const struct redis_url *url, const char *prefix,
                           char text_out[FLEET_FINGERPRINT_SIZE]) {
    struct buf text = {0};
    if (url->path[0] != '\0')
        append_socket(&text, url->path);
    else
        append_hosts(&text, url);
    buf_printf(&text, "\n%d\n%s", url->db, prefix);
    digest_sha1_base64(buf_bytes(&text), text_out);
    for (char *c = text_out; *c != '\0'; c++)
        *c = *c == '/' ? '_' : *c;
    buf_deinit(&text);
}
