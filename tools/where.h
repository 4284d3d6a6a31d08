/*
 * where.h - finds the Redis to use: that of --redis or REDIS_URL, the private one of a `signalbox
 * up` in this folder, or the default.
 */
#ifndef SIGNALBOX_TOOLS_WHERE_H
#define SIGNALBOX_TOOLS_WHERE_H

#include <stdbool.h>
#include <stddef.h>

#define WHERE_FOLDER  ".signalbox"
#define WHERE_SOCKET  WHERE_FOLDER "/redis.sock"
#define WHERE_DEFAULT "redis://127.0.0.1:6379"

/* Whether something accepts connections on the socket of this folder. */
bool where_private_answers(void);
/* Its URL, for processes that run in this folder. */
void where_private_url(char *url_out, size_t size);
/* given: settings.redis, which may be "". */
void where_is_redis(const char *given, char *url_out, size_t size);

#endif
