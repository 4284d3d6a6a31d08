/*
 * client_message.h - what a client's message says (the seed's `message path group clientId
 * direct`). It is read once; the handler that it is for, which may outlive its entry, shares it.
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_CLIENT_MESSAGE_H
#define SIGNALBOX_BROKER_HANDLERS_CLIENT_MESSAGE_H

#include "common/send/message_form.h"

struct client_message {
    unsigned refs;
    bool is_v1;
    bool is_valid; /* JSON whose fields make sense; otherwise what follows is empty */
    /* Not valid, because its own keys are there twice or make no sense: refused, also with a route.
     */
    bool is_misunderstood;
    /* Not valid, because beside its own keys it has others. It addresses nobody; a signal route,
     * which may know them, is called all the same. */
    bool has_unknown;
    struct json_value message; /* JSON_KIND_ABSENT when there is none */
    struct texts names;        /* `path`, decoded: none or one */
    struct texts groups, clients;
    bool is_direct, is_uncompressed;
    struct json_value ref; /* signalbox.v1; also of what is not valid */
    struct buf id;    /* signalbox.v1: its sender's own; empty without one, or with a bad one */
    struct buf error; /* one line when it is not valid */
    struct json_document *document, *merged;
    struct buf merged_text;
};

/* body is borrowed as long as the message lives. is_v1: its sender speaks signalbox.v1, which has
 * the key `id`. */
struct client_message *client_message_new(struct bytes body, bool is_v1);
struct client_message *client_message_ref(struct client_message *m);
void client_message_unref(struct client_message *m); /* NULL is legal */

#endif
