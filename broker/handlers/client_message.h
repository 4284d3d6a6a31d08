/*
 * client_message.h - what a client's message says (the seed's `message path group clientId
 * direct`), and what becomes of it when no signal route takes it.
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_CLIENT_MESSAGE_H
#define SIGNALBOX_BROKER_HANDLERS_CLIENT_MESSAGE_H

#include "common/send/message_form.h"

struct processing;

struct client_message {
    bool is_valid; /* JSON whose fields make sense; else what follows is empty */
    /* Not valid, for its own keys are twice there or make no sense: refused, also with a route. */
    bool is_misunderstood;
    /* Not valid, for beside its own keys it has others. It addresses nobody; a signal route, which
     * may know them, is called all the same. */
    bool has_unknown;
    struct json_value message; /* JSON_KIND_ABSENT when there is none */
    struct texts names;        /* `path`, decoded: none or one */
    struct texts groups, clients;
    bool is_direct;
    struct json_value ref; /* signalbox.v1; also of what is not valid */
    struct buf error;      /* one line when it is not valid */
    struct json_document *document, *merged;
    struct buf merged_text;
};

/* body is borrowed as long as the message lives. */
void client_message_init(struct client_message *m, struct bytes body);
void client_message_deinit(struct client_message *m);
/* Counts it, and tells whoever is to know: code is of note.h. */
void client_message_refuse(struct processing *p, const struct client_message *m, const char *code,
                           struct bytes why);

/* An entry CLIENT: its signal route, or the default broadcast. */
void client_message_process(struct processing *p);

#endif
