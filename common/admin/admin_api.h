/*
 * admin_api.h - what the admin listener answers: its paths, and who may use them. The table of them
 * stands in admin.h.
 */
#ifndef SIGNALBOX_ADMIN_ADMIN_API_H
#define SIGNALBOX_ADMIN_ADMIN_API_H

#include "common/admin/admin.h"

struct admin_conn;

/* What the answers depend on; the ctx of struct admin_conns. */
struct admin_api {
    struct admin_host host;
    /* NULL: there is none, and only programs of this host may use the API. */
    char *token;
};

/* Answers the request of `c`, now or later. */
void admin_api_handle(struct admin_conn *c, void *api);

#endif
