/* fields.h - header fields as the tables web.headers and event.request.headers. */
#ifndef SIGNALBOX_APP_LUA_FIELDS_H
#define SIGNALBOX_APP_LUA_FIELDS_H

#include "common/base/bytes.h"

struct lua_State;

/* Adds a field to the table on top: names in lower case, the values of a name that comes again
 * joined with ", " (RFC 9110, 5.3), those of Cookie with "; " (RFC 9113, 8.2.3). */
void lua_headers_add(struct lua_State *L, struct bytes name, struct bytes value);

#endif
