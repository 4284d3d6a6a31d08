/*
 * admin_api.h - what the admin listener answers: its paths, and who may use them. The table of them
 * stands in admin.h.
 */
#ifndef SIGNALBOX_ADMIN_ADMIN_API_H
#define SIGNALBOX_ADMIN_ADMIN_API_H

#include "common/admin/admin.h"
#include "common/admin/wrong_tokens.h"

struct admin_conn;

/* What the answers depend on; the ctx of struct admin_conns. */
struct admin_api {
    struct admin_host host;
    bool is_unix; /* the listener is a unix socket, whose permissions say who may use the API */
    char *token;  /* NULL: there is none, and over TCP the API is closed */
    struct wrong_tokens wrong_tokens;
};

/* Answers the request of `c`, now or later. */
void admin_api_handle(struct admin_conn *c, void *api);

#endif
