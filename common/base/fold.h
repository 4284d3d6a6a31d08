/*
 * fold.h - texts without case: groups, and the Names of levels and events (D15), everywhere.
 *
 * Unicode's simple case folding, by a table of our own: the same on every machine and in every
 * locale. A character is compared with a character, so "ß" is not "ss", and accents are not
 * composed. Nothing outside ASCII equals a letter of ASCII; otherwise a client could enter the
 * group "staff" under a name with a long s. Bytes that are not UTF-8 are compared as they are.
 */
#ifndef SIGNALBOX_BASE_FOLD_H
#define SIGNALBOX_BASE_FOLD_H

#include "common/base/buf.h"

bool fold_equal(struct bytes a, struct bytes b);
/* Whether one of the list is equal without case. */
bool fold_list_has(struct bytes_list list, struct bytes value);
/* <0, 0, >0: an order in which texts that are equal without case stand together. */
int fold_compare(struct bytes a, struct bytes b);
/* Appends the folded text: the same bytes for all texts that are equal. */
void fold_append(struct buf *out, struct bytes text);

#endif
