/* http_get.h - one GET of an admin listener, on a connection of its own. */
#ifndef SIGNALBOX_TOOLS_HTTP_GET_H
#define SIGNALBOX_TOOLS_HTTP_GET_H

#include <stdint.h>
#include <uv.h>

#include "common/base/bytes.h"

/* status: that of HTTP, or 0 when no answer came within the time; then body is one line that
 * says why. Borrowed until return. */
typedef void http_get_fn(void *ctx, int status, struct bytes body);

/* host: an IP address, a name, or, with port 0, the path of a unix socket. Answers on a later
 * turn. */
void http_get(uv_loop_t *loop, const char *host, int port, const char *path, uint64_t patience_ms,
              http_get_fn *fn, void *ctx);

#endif
