/*
 * redis_access.h - the way into Redis as the settings describe it: the URL, and the secrets and
 * certificates in files.
 *
 * The files may be replaced while we run. Passwords are read again for every login; certificates
 * when a file is another one than before, or after a reload. A connection that stands goes on with
 * what it was made with.
 */
#ifndef SIGNALBOX_BUS_REDIS_REDIS_ACCESS_H
#define SIGNALBOX_BUS_REDIS_REDIS_ACCESS_H

#include <stdint.h>

#include "common/bus/redis/redis_url.h"

struct settings;
struct tls_context;

enum { REDIS_ACCESS_ERROR = 800 };

/* 0, or -EINVAL with one line that names the setting: a URL that is wrong, a password file that
 * cannot be read, a certificate without its key or without TLS. The URL is url_text; s has the
 * rest. */
MUST_CHECK int redis_access_read(struct redis_url *out, const char *url_text,
                                 const struct settings *s, char error_out[REDIS_ACCESS_ERROR]);

struct redis_login {
    const char *user; /* "": the default user; borrowed from the URL */
    char password[SECRET_FILE_MAX + 1];
};
/* What a server, or a sentinel, is to be told. A file that cannot be read any more leaves the
 * password as it was at the start. False: no login is needed. */
bool redis_access_login(const struct redis_url *url, bool is_sentinel, struct redis_login *out);

/* Which files a TLS context was made of. */
struct redis_access_stamp {
    uint64_t reloads;
    struct {
        uint64_t device, inode, size, changed_ns;
    } files[3];
};
void redis_access_stamp(const struct redis_url *url, struct redis_access_stamp *out);
/* NULL with one line in *error_out (free()). */
MUST_CHECK struct tls_context *redis_access_tls(const struct redis_url *url, char **error_out);

/* Looks at all files anew. NULL when they can be used, else one line about the first that cannot;
 * what was read before stays in use then (free()). */
MUST_CHECK char *redis_access_reload(struct redis_url *url);

#endif
