/* handler.h - what app_call_ctx gives for every handler that a gateway runs. */
#ifndef SIGNALBOX_GATEWAY_ROUTES_HANDLER_H
#define SIGNALBOX_GATEWAY_ROUTES_HANDLER_H

struct request;

enum handler_kind { HANDLER_ROUTE, HANDLER_EVENT };

/* The first member of what is given to app_call. */
struct handler {
    enum handler_kind kind;
    struct request *request; /* HANDLER_ROUTE: until it ends */
};

/* The Lua error that ends a handler whose conversion was refused: the refusal was sent. */
#define HANDLER_REFUSED "the handshake was refused"

#endif
