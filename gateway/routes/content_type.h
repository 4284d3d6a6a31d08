/* content_type.h - the Content-Type of a file, by its ending. */
#ifndef SIGNALBOX_GATEWAY_ROUTES_CONTENT_TYPE_H
#define SIGNALBOX_GATEWAY_ROUTES_CONTENT_TYPE_H

#include "common/base/bytes.h"

/* "application/octet-stream" for an ending that is not known. */
struct bytes content_type_of(const char *path);

#endif
