/*
 * admin.h - the admin listener of gateway and broker: health, metrics, and the HTTP API.
 *
 *     GET  /livez      200: the process runs
 *     GET  /readyz     200 "ready": it does its job; a line "note: …" may follow. 503 with one line
 *                      that names what does not work, also while the process drains
 *     GET  /metrics    Prometheus text
 *     POST /send       a send, in the JSON that redis-cli users write; Idempotency-Key header;
 *                      202 {"id":"…","entry":"…"} once Redis has it
 *     POST /close      {"name":…,"group":…,"clientId":…,"code":…,"reason":…}
 *     GET  /names  /clients?name=N[&group=G]  /gateways  /brokers
 *
 * Everything but health and metrics needs "Authorization: Bearer <token>", the content of
 * --admin-token-file, unless the listener is a unix socket. Metrics are for those who ask by an
 * address, or by a name that --admin-host lists. HTTP/1.1 with keep-alive; the number of
 * connections, heads and bodies are bounded (admin_conn.h), and so are wrong tokens
 * (wrong_tokens.h).
 */
#ifndef SIGNALBOX_ADMIN_ADMIN_H
#define SIGNALBOX_ADMIN_ADMIN_H

#include <uv.h>

#include "common/base/must.h"

struct admin;
struct bus;
struct registry;
struct settings;

struct admin_host {
    uv_loop_t *loop;
    const struct settings *settings;
    struct bus *bus;
    struct registry *registry;
    /* "" when ready, else one line why not: what /readyz answers. */
    const char *(*trouble)(void *ctx);
    /* What does not work and does not make it unready, one line or "": shown below "ready". */
    const char *(*note)(void *ctx);
    void *ctx;
};

/* *admin_out NULL and 0 when settings->admin is empty. Negative with one line on standard error
 * when the address is wrong or taken, or the token file cannot be read. The host is copied. */
MUST_CHECK int admin_open(const struct admin_host *host, struct admin **admin_out);
/* Idempotent on NULL. Memory goes when the loop has turned. */
void admin_close(struct admin *a);

#endif
