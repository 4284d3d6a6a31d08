/*
 * admin_address.h - where an admin listener listens: --admin.
 *
 *     127.0.0.1:9090  [::1]:9090  localhost:9090  *:9090       TCP
 *     127.0.0.1:9090+10       port 9100, since a unit file knows the number of its instance and
 *                             cannot add
 *     unix:/run/signalbox/admin.sock                           a unix socket
 */
#ifndef SIGNALBOX_ADMIN_ADMIN_ADDRESS_H
#define SIGNALBOX_ADMIN_ADMIN_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/base/must.h"

struct admin_address {
    const char *path;            /* of a unix socket, borrowed from the text; else NULL */
    struct sockaddr_storage tcp; /* otherwise */
};

/* 0, or negative after one line on standard error. */
MUST_CHECK int admin_address_read(const char *text, struct admin_address *out);
/* Removes a socket that an earlier process left behind. 0, or a negative errno: -EADDRINUSE when
 * somebody listens there, or when it is no socket. */
MUST_CHECK int admin_address_clear(const char *path);

#endif
