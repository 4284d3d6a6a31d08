/* handler_send.h - what signalbox.send and signalbox.close do in a broker (struct app_host). */
#ifndef SIGNALBOX_BROKER_HANDLERS_HANDLER_SEND_H
#define SIGNALBOX_BROKER_HANDLERS_HANDLER_SEND_H

#include "common/app/app.h"

struct handler_run;

/* host_ctx: struct broker. */
extern const struct app_host handler_send_host;

/* The run of a handler; NULL in the main chunk. */
struct handler_run *handler_run_of(struct app_call *call);

#endif
