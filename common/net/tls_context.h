/* tls_context.h - what a tls_context is made of. Internal to tls.c and tls_session.c. */
#ifndef SIGNALBOX_NET_TLS_CONTEXT_H
#define SIGNALBOX_NET_TLS_CONTEXT_H

#include <stdbool.h>

struct ssl_ctx_st;

struct tls_context {
    struct ssl_ctx_st *ssl;
    unsigned refs;
    bool is_server;
};

#endif
