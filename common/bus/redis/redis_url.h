/*
 * redis_url.h - where Redis is and how to log in.
 *
 *   redis://[user[:password]@]host[:port][/db]        rediss:// the same over TLS
 *   unix:///path/to.sock[?db=N][&password=…]
 *   redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/master-name[/db]
 *                    [?sentinel_user=…&sentinel_password=…]      rediss+sentinel:// over TLS
 *
 * Parts are percent-decoded; [::1] is an IPv6 host.
 */
#ifndef SIGNALBOX_BUS_REDIS_REDIS_URL_H
#define SIGNALBOX_BUS_REDIS_REDIS_URL_H

#include <stdbool.h>

#include "common/base/bytes.h"
#include "common/base/must.h"
#include "common/base/secret_file.h"

enum { REDIS_URL_HOSTS_MAX = 8, REDIS_FILE_MAX = 512 };

struct redis_host {
    char host[256];
    int port;
};

struct redis_url {
    char path[108];                               /* unix socket, or "" */
    struct redis_host hosts[REDIS_URL_HOSTS_MAX]; /* one, or the sentinels */
    unsigned host_count;
    char master[128]; /* sentinel: the master's name, or "" */
    char user[128], password[SECRET_FILE_MAX + 1];
    int db;
    bool is_tls;
    /* The sentinels' own login, when they have one; else they are told the servers'. */
    bool has_sentinel_login;
    char sentinel_user[128], sentinel_password[SECRET_FILE_MAX + 1];
    /* What redis_access.h fills in. ca_file: "" for the system's store. */
    char ca_file[REDIS_FILE_MAX], cert_file[REDIS_FILE_MAX], key_file[REDIS_FILE_MAX];
    char password_file[REDIS_FILE_MAX], sentinel_password_file[REDIS_FILE_MAX];
    uint64_t reloads;
};

/* 0, or -EINVAL with one line about what is wrong in error_out (it never repeats the password). */
MUST_CHECK int redis_url_parse(struct redis_url *url_out, const char *text, char error_out[200]);
/* For logs: the URL without its password. */
void redis_url_show(const struct redis_url *url, char text_out[600]);

/* Stands for a fleet: the Redis, its database, and the prefix. How one logs in makes no difference,
 * nor how a loopback address, the path of a socket or the order of the sentinels is written. It
 * contains no '/'. */
enum { FLEET_FINGERPRINT_SIZE = 29 };
void redis_url_fingerprint(const struct redis_url *url, const char *prefix,
                           char text_out[FLEET_FINGERPRINT_SIZE]);

#endif
