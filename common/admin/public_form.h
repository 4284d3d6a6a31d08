/*
 * public_form.h - the JSON of a send or a close as publishers write it, checked before it goes into
 * Redis, where nobody would hear of a mistake.
 *
 *   send    {"name","group","clientId","data","binary","id"}
 *   close   {"name","group","clientId","code","reason"}; "op":"close" is added
 *
 * name, group and clientId take a string or a list of strings. The sender's text of the data stays
 * as it is.
 */
#ifndef SIGNALBOX_ADMIN_PUBLIC_FORM_H
#define SIGNALBOX_ADMIN_PUBLIC_FORM_H

#include "common/base/buf.h"

enum public_op { PUBLIC_OP_SEND, PUBLIC_OP_CLOSE };

/*
 * Appends what is to be published. id: the idempotency key from elsewhere, or empty; it must not
 * contradict the text's own. 0, or an HTTP status (400, 413) with one line in error_out.
 */
int public_form_check(enum public_op op, struct bytes text, struct bytes id, int64_t max_data_bytes,
                      struct buf *out, struct buf *error_out);

#endif
