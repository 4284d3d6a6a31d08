/*
 * message_json.h - a message of a Name as JSON, with whom it was for: for operators.
 */
#ifndef SIGNALBOX_ADMIN_MESSAGE_JSON_H
#define SIGNALBOX_ADMIN_MESSAGE_JSON_H

#include "common/bus/log/envelope.h"

struct retained_page;

/* Appends {"time","id","name","group":[…],"clientId":[…],"connection","from","binary":true,
 * "compress":false,"data"}, without what it has not; "dataHex" for what is not UTF-8; "close" and
 * "reason" of a close. name: "*" for one to every Name. */
void message_json_append(struct buf *out, struct bytes name, const struct message *m);
/* Appends {"messages":[…],"before":<id or null>}: what the next page is to be before. */
void message_json_append_page(struct buf *out, struct bytes name, const struct retained_page *page);

#endif
