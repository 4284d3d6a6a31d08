/* redis_access.c - see redis_access.h. */
#include "common/bus/redis/redis_access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/settings.h"
#include "common/net/tls.h"

static const char *given(const char *setting) {
    return setting != NULL ? setting : "";
}

/* --- at the start --- */

static int bad(char error_out[REDIS_ACCESS_ERROR], const char *setting, const char *value,
               const char *why) {
    snprintf(error_out, REDIS_ACCESS_ERROR, "--%s%s%.500s: %s", setting, *value != '\0' ? "=" : "",
             value, why);
    return -EINVAL;
}

/* What cannot be read leaves `out` as it was. */
static int read_password(const char *setting, const char *file, char out[SECRET_FILE_MAX + 1],
                         char error_out[REDIS_ACCESS_ERROR]) {
    char why[SECRET_FILE_WHY], text[SECRET_FILE_MAX + 1];
    if (*file == '\0')
        return 0;
    if (secret_file_read(file, text, why) != 0)
        return bad(error_out, setting, file, why);
    strcpy(out, text);
    return 0;
}

static int read_passwords(struct redis_url *url, char error_out[REDIS_ACCESS_ERROR]) {
    int result = read_password("redis-password-file", url->password_file, url->password, error_out);
    if (result == 0)
        result = read_password("redis-sentinel-password-file", url->sentinel_password_file,
                               url->sentinel_password, error_out);
    return result;
}

static int check_sentinel(struct redis_url *url, const struct settings *s,
                          char error_out[REDIS_ACCESS_ERROR]) {
    const char *user = given(s->redis_sentinel_user);
    if (*user != '\0' && strlen(user) >= sizeof(url->sentinel_user))
        return bad(error_out, "redis-sentinel-user", user, "is longer than 127 bytes");
    if (*user != '\0')
        strcpy(url->sentinel_user, user);
    bool is_given = *user != '\0' || url->sentinel_password_file[0] != '\0';
    if (is_given && url->master[0] == '\0')
        return bad(error_out,
                   *user != '\0' ? "redis-sentinel-user" : "redis-sentinel-password-file", "",
                   "is for redis+sentinel:// only");
    url->has_sentinel_login |= is_given;
    return 0;
}

static int check_certificate(const struct redis_url *url, char error_out[REDIS_ACCESS_ERROR]) {
    if (url->cert_file[0] != '\0' && !url->is_tls)
        return bad(error_out, "redis-cert", url->cert_file,
                   "a client certificate needs rediss:// or rediss+sentinel://");
    if (url->key_file[0] != '\0' && url->cert_file[0] == '\0')
        return bad(error_out, "redis-key", url->key_file, "needs --redis-cert");
    return 0;
}

int redis_access_read(struct redis_url *out, const char *url_text, const struct settings *s,
                      char error_out[REDIS_ACCESS_ERROR]) {
    char why[200];
    if (redis_url_parse(out, url_text, why) != 0)
        return bad(error_out, "redis", "", why);
    const struct {
        const char *setting, *value;
        char *field;
    } paths[] = {
        {"redis-password-file", s->redis_password_file, out->password_file},
        {"redis-sentinel-password-file", s->redis_sentinel_password_file,
         out->sentinel_password_file},
        {"redis-ca", s->redis_ca, out->ca_file},
        {"redis-cert", s->redis_cert, out->cert_file},
        {"redis-key", s->redis_key, out->key_file},
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *value = given(paths[i].value);
        if (strlen(value) >= REDIS_FILE_MAX)
            return bad(error_out, paths[i].setting, value, "the path is longer than 511 bytes");
        strcpy(paths[i].field, value);
    }
    int result = check_certificate(out, error_out);
    if (result == 0)
        result = check_sentinel(out, s, error_out);
    return result == 0 ? read_passwords(out, error_out) : result;
}

/* --- logins --- */

bool redis_access_login(const struct redis_url *url, bool is_sentinel, struct redis_login *out) {
    bool is_own = is_sentinel && url->has_sentinel_login;
    const char *file = is_own ? url->sentinel_password_file : url->password_file;
    const char *known = is_own ? url->sentinel_password : url->password;
    char why[SECRET_FILE_WHY];
    out->user = is_own ? url->sentinel_user : url->user;
    if (*file == '\0' || secret_file_read(file, out->password, why) != 0)
        snprintf(out->password, sizeof(out->password), "%s", known);
    return out->user[0] != '\0' || out->password[0] != '\0';
}

/* --- certificates --- */

void redis_access_stamp(const struct redis_url *url, struct redis_access_stamp *out) {
    const char *const files[] = {url->ca_file, url->cert_file, url->key_file};
    memset(out, 0, sizeof(*out));
    out->reloads = url->reloads;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct stat found;
        if (files[i][0] == '\0' || stat(files[i], &found) != 0)
            continue;
        out->files[i].device = (uint64_t)found.st_dev;
        out->files[i].inode = (uint64_t)found.st_ino;
        out->files[i].size = (uint64_t)found.st_size;
        out->files[i].changed_ns =
            (uint64_t)found.st_mtim.tv_sec * 1000000000u + (uint64_t)found.st_mtim.tv_nsec;
    }
}

static const char *or_null(const char *file) {
    return file[0] != '\0' ? file : NULL;
}

struct tls_context *redis_access_tls(const struct redis_url *url, char **error_out) {
    return tls_context_client(or_null(url->ca_file), or_null(url->cert_file),
                              or_null(url->key_file), error_out);
}

char *redis_access_reload(struct redis_url *url) {
    char wrong[REDIS_ACCESS_ERROR], *error = NULL;
    url->reloads++;
    if (read_passwords(url, wrong) != 0)
        return mem_strdup(wrong);
    if (!url->is_tls)
        return NULL;
    tls_context_unref(redis_access_tls(url, &error));
    return error;
}
