/* handler_send.h - signalbox.send and signalbox.close in the handlers of a broker. */
#ifndef SIGNALBOX_BROKER_HANDLERS_HANDLER_SEND_H
#define SIGNALBOX_BROKER_HANDLERS_HANDLER_SEND_H

#include "common/app/app.h"

/* Needs no ctx: what a handler may use is in its handler_run. */
extern const struct app_host handler_send_functions;

#endif
