/*
 * client_message.h - what a client's message says (the seed's `message path group clientId
 * direct`), and what becomes of it when no signal route takes it.
 */
#ifndef SIGNALBOX_BROKER_CLIENT_MESSAGE_H
#define SIGNALBOX_BROKER_CLIENT_MESSAGE_H

#include "broker/texts.h"

struct outcome;

struct client_message {
    bool is_valid;             /* JSON whose fields make sense; else all below is empty */
    const char *error;         /* when not: what is wrong */
    struct json_value message; /* JSON_KIND_ABSENT when there is none */
    struct texts names;        /* `path`, decoded: none or one */
    struct texts groups, clients;
    bool is_direct;
    struct json_value ref; /* signalbox.v1 */
    struct json_document *document, *merged;
    struct buf merged_text;
};

/* body is borrowed as long as the message lives. */
void client_message_init(struct client_message *m, struct bytes body);
void client_message_deinit(struct client_message *m);

/* An entry CLIENT: its signal route, or the default broadcast. */
void client_message_process(struct outcome *o);

/* "a%20b+c" is "a b c"; anything after % that is no number stays. */
void client_message_decode_path(struct buf *out, struct bytes path);

#endif
