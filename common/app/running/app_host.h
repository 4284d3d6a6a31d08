/* app_host.h - what the process gives an app: settings, its links to Redis, and what a handler does
 * to the world outside (struct app_host, which gateway and broker implement). */
#ifndef SIGNALBOX_APP_RUNNING_APP_HOST_H
#define SIGNALBOX_APP_RUNNING_APP_HOST_H

#include <uv.h>

#include "common/app/registrations/signing.h"
#include "common/app/running/app_call.h"
#include "common/base/buf.h"
#include "common/json/json_text.h"
#include "common/send/delivery.h"

struct bus;
struct registry;
struct rules;
struct settings;

/* What signalbox.send was given: checked against all limits, not against the levels. An empty
 * string counts as absent; an empty list addresses nobody. */
struct app_send {
    struct delivery what; /* data never empty: an empty or nil data never reaches the host */
    bool is_direct;       /* mode = "direct" */
    bool ignores_event;
};

/* error_out: one line for the caller. */
struct app_host {
    /* call: the handler that sends; its ctx (app_call_ctx) tells the host where it stands. The host
     * fills in the time and the sender. APP_WAITING: the host calls app_resume_ok or
     * app_resume_error later. */
    enum app_outcome (*send)(void *ctx, struct app_call *call, const struct app_send *send,
                             struct buf *error_out);
    /* The same for a close, and for a change of groups (MESSAGE_GROUPS). */
    enum app_outcome (*close)(void *ctx, struct app_call *call, const struct delivery *close,
                              struct buf *error_out);
    /* The handler waits for the first time: app_call is about to answer. May be NULL. */
    void (*on_first_wait)(void *ctx, struct app_call *call);
    /* The JSON of the value that the handler was called for, ABSENT when there is none. May be
     * NULL. */
    struct json_value (*handled)(void *ctx, struct app_call *call);
    /* The client whose request is handled, for strict signing. May be NULL: there is none. */
    void (*signing_context)(void *ctx, struct app_call *call, struct signing_context *who_out);
};

struct app_environment {
    uv_loop_t *loop; /* NULL: nothing can wait */
    const struct settings *settings;
    /* NULL when offline (`signalbox check`, `run-route`): calls that need Redis fail with a clear
     * error. */
    struct bus *bus;
    struct registry *registry;
    struct rules *rules;
    const struct app_host *host; /* NULL when offline: nothing can be sent */
    void *host_ctx;
    /* Set by the owner, once and for all, before it frees what is named above: handlers that wait
     * do not go on any more, neither those of an app that was replaced. May be NULL. */
    const bool *has_ended;
};

#endif
