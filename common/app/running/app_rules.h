/*
 * app_rules.h - what the cluster decided at run time, as rules of common/bus/cluster/rules.h.
 *
 *   level:*  level:<name>                  name, group or client_id
 *   default:*  default:<name>              on or off (default_broadcast.h)
 *   scope                                  global or local
 *   signing                                {"on":…,"secret":…,"strict":…}
 *   route:<endpoint>:<path>                {"op":"set",…} or {"op":"remove",…}: function_code.h
 *   event:<type>:<name>:<event name>       the same
 *
 * Every process gets every rule, and all of them again after each reload.
 */
#ifndef SIGNALBOX_APP_RUNNING_APP_RULES_H
#define SIGNALBOX_APP_RUNNING_APP_RULES_H

#include "common/base/bytes.h"

struct app;

/* A rule of the cluster was read or has changed: the owner calls this from on_change, and for every
 * rule after each app_load. An empty value gives back what the app file said. */
void app_apply_rule(struct app *a, struct bytes field, struct bytes value);
/* The secret of store_server_secret, once known: for `signing { secret = server_secret() }`. */
void app_set_server_secret(struct app *a, struct bytes secret);

#endif
