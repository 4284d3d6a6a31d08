/* http_get.h - asks an admin listener one thing: GET, an answer, the connection ends. */
#ifndef SIGNALBOX_TOOLS_HTTP_GET_H
#define SIGNALBOX_TOOLS_HTTP_GET_H

#include <stdint.h>
#include <uv.h>

#include "common/base/bytes.h"

/* status: of HTTP; 0 when there was no answer within the time, body is then one line why not.
 * Borrowed until return. */
typedef void http_get_fn(void *ctx, int status, struct bytes body);

/* host: an IP address or a name. Answers on a later turn. */
void http_get(uv_loop_t *loop, const char *host, int port, const char *path, uint64_t patience_ms,
              http_get_fn *fn, void *ctx);

#endif
