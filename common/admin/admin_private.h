/* admin_private.h - what admin.c, admin_conn.c and admin_api.c share. */
#ifndef SIGNALBOX_ADMIN_ADMIN_PRIVATE_H
#define SIGNALBOX_ADMIN_ADMIN_PRIVATE_H

#include <stddef.h>

#include "common/admin/admin.h"

struct admin_conn;

enum { ADMIN_CONNS_MAX = 64, ADMIN_HEAD_MAX = 16384 };

const struct admin_host *admin_host_of(const struct admin *a);
/* NULL: there is no token, and only loopback peers may use the API. */
const char *admin_token(const struct admin *a);
/* Of a request's body. */
size_t admin_body_max(const struct admin *a);
void admin_on_closed(struct admin *a, struct admin_conn *c);

/* admin_api.c: answers the request of `c`, now or later. */
void admin_api_handle(struct admin_conn *c);

#endif
