/*
 * public_form.h - the JSON of a send or a close as publishers write it, checked before it goes into
 * Redis, where nobody would hear of a mistake. public_message.h says what is correct; "op":"close"
 * is added to a close. The sender's text of the data stays as it is.
 */
#ifndef SIGNALBOX_SEND_PUBLIC_FORM_H
#define SIGNALBOX_SEND_PUBLIC_FORM_H

#include "common/send/public_message.h"

/*
 * Appends what is to be published; nothing when there is nothing to do (empty data, an empty list
 * as address). id: the idempotency key from elsewhere, or empty; it must not contradict the text's
 * own. 0, or an HTTP status (400, 413) with one line in error_out.
 */
int public_form_check(enum public_op op, struct bytes text, struct bytes id, int64_t max_data_bytes,
                      struct buf *out, struct buf *error_out);

#endif
