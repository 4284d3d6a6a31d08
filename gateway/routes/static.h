/* static.h - the app's static folders (signalbox.static): URL prefix to folder. */
#ifndef SIGNALBOX_GATEWAY_ROUTES_STATIC_H
#define SIGNALBOX_GATEWAY_ROUTES_STATIC_H

#include <stdbool.h>

struct request;

/* True when a folder's prefix fits a GET or HEAD: the request is or will be answered. The longest
 * prefix wins. */
bool static_serve(struct request *r);

#endif
