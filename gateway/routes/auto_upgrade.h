/*
 * auto_upgrade.h - endpoints with auto_upgrade = true: every WebSocket request becomes a Global
 * connection of the Name that its path spells, in its canonical form; no route is needed (the
 * seed's deprecated way).
 */
#ifndef SIGNALBOX_GATEWAY_ROUTES_AUTO_UPGRADE_H
#define SIGNALBOX_GATEWAY_ROUTES_AUTO_UPGRADE_H

#include "common/base/buf.h"

struct request;

/* A request without a Sec-WebSocket-Key is an ordinary one. */
bool auto_upgrade_wants(const struct request *r);
void auto_upgrade(struct request *r);

#endif
