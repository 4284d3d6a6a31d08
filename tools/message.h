/*
 * message.h - a send as the CLI writes it for the public stream: everything but the data is the
 * same for all messages of one command line, so it is written once.
 *
 *     {"name":"Msg","group":["a"],"clientId":["c"],"binary":true,"id":"k","data":  ← head
 *     "hello"}
 */
#ifndef SIGNALBOX_TOOLS_MESSAGE_H
#define SIGNALBOX_TOOLS_MESSAGE_H

#include <stdbool.h>

#include "common/base/buf.h"

struct settings_list;

struct message_head {
    const char *name; /* NULL: every Name */
    const struct settings_list *groups, *clients;
    const char *id; /* or NULL */
    bool is_binary;
};

/* "member":["a","b"], with its comma; nothing for an empty list. False with one line in error_out
 * when a text is empty or no UTF-8. */
bool message_list_write(struct buf *out, const char *member, const struct settings_list *list,
                        struct buf *error_out);
/* False with one line in error_out when a text is no UTF-8. */
bool message_head_write(const struct message_head *h, struct buf *out, struct buf *error_out);
/* is_json: data is the JSON text of a value, else the text to send as it is. */
bool message_write(struct bytes head, struct bytes data, bool is_json, struct buf *out,
                   struct buf *error_out);

enum message_check { MESSAGE_FINE, MESSAGE_EMPTY /* there is nothing to send */, MESSAGE_BAD };
/* Whether a broker will take the text; otherwise one line in error_out. */
enum message_check message_check(struct bytes text, struct buf *error_out);

#endif
