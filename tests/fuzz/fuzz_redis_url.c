/*
 * fuzz_redis_url.c - URLs of Redis in any bytes.
 *
 * Properties: what is refused has one line that says why and does not repeat the password; what is
 * accepted has a host or a path, numbers within their bounds, and a fingerprint that can be the
 * name of a file.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/redis/redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_secret(const char *password, const char *shown) {
    MUST(strlen(password) < 8 || strstr(shown, password) == NULL);
}

static void check_accepted(const struct redis_url *url) {
    char shown[600], fingerprint[FLEET_FINGERPRINT_SIZE];
    MUST(url->path[0] != '\0' || url->host_count > 0);
    MUST(url->host_count <= REDIS_URL_HOSTS_MAX && url->db >= 0);
    for (unsigned i = 0; i < url->host_count; i++) {
        MUST(url->hosts[i].host[0] != '\0');
        MUST(url->hosts[i].port > 0 && url->hosts[i].port <= 65535);
    }
    redis_url_show(url, shown);
    MUST(strlen(shown) < sizeof(shown));
    redis_url_fingerprint(url, "prefix", fingerprint);
    MUST(strlen(fingerprint) == FLEET_FINGERPRINT_SIZE - 1 && strchr(fingerprint, '/') == NULL);
}

/* A password that stands nowhere else. */
static void check_hidden(const char *text) {
    static const char secret[] = "s3cret-that-is-nowhere-else";
    if (strstr(text, secret) != NULL)
        return;
    struct redis_url *url = mem_alloc(sizeof(*url));
    char *with = mem_alloc(strlen(text) + 64), error[200] = "", shown[600];
    sprintf(with, "redis://user:%s@%s", secret, text);
    if (redis_url_parse(url, with, error) < 0) {
        check_secret(secret, error);
    } else if (strchr(text, '@') == NULL) {
        redis_url_show(url, shown);
        check_secret(secret, shown);
    }
    free(with);
    free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = bytes_dup(bytes_of((const char *)data, size)), error[200] = "";
    struct redis_url *url = mem_alloc(sizeof(*url));
    if (redis_url_parse(url, text, error) < 0)
        MUST(error[0] != '\0' && strlen(error) < sizeof(error));
    else
        check_accepted(url);
    check_hidden(text);
    free(url);
    free(text);
    return 0;
}
