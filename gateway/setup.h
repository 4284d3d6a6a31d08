/* setup.h - steps of the start that main.c lists and gateway_reload repeats. */
#ifndef SIGNALBOX_GATEWAY_SETUP_H
#define SIGNALBOX_GATEWAY_SETUP_H

#include <stddef.h>

#include "common/base/must.h"

struct app;
struct gateway;

/* NULL with one line in *error_out. */
MUST_CHECK struct app *setup_load_app(struct gateway *g, char **error_out);
/* Raises the descriptor limit as far as it goes; how many connections there may be. */
size_t setup_max_connections(const struct gateway *g);

#endif
