/*
 * json_check.h - whether a text is JSON: the grammar of RFC 8259, once for all that read JSON here.
 *
 * Everything the grammar allows is taken: half of a surrogate pair as an escape, numbers of any
 * length and size, keys that occur twice, a byte order mark in front (RFC 8259, 8.1). Text that is
 * not UTF-8 and nesting beyond JSON_DEPTH_MAX are refused.
 */
#ifndef SIGNALBOX_JSON_JSON_CHECK_H
#define SIGNALBOX_JSON_JSON_CHECK_H

#include "common/base/buf.h"

enum { JSON_DEPTH_MAX = 2048 };

/* The text without its byte order mark. */
struct bytes json_without_mark(struct bytes text);

/* False with "no JSON: <what is wrong>, at byte <n>" in error_out (may be NULL). The first byte of
 * the text, or of its byte order mark, is byte 1. */
bool json_check(struct bytes text, struct buf *error_out);

#endif
