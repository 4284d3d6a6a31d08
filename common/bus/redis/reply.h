/*
 * reply.h - what Redis answered: who gets it, and readers for it. All readers tolerate NULL and a
 * reply of another type, so that a caller checks only what it wants to tell apart.
 */
#ifndef SIGNALBOX_BUS_REDIS_REPLY_H
#define SIGNALBOX_BUS_REDIS_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

struct redisReply;

/* reply: borrowed until return; NULL when the connection broke first: whether the command ran is
 * unknown. */
typedef void reply_fn(void *ctx, struct redisReply *reply);

/* prefix: how the text of the error must begin; NULL for any error. */
bool reply_is_error(const struct redisReply *r, const char *prefix);
bool reply_is_nil(const struct redisReply *r);
/* The text of a string, a status or an error; else BYTES_NONE. */
struct bytes reply_bytes(const struct redisReply *r);
/* An integer, or the digits of a string; else `otherwise`. */
int64_t reply_number(const struct redisReply *r, int64_t otherwise);
/* How many elements an array has; else 0. */
size_t reply_count(const struct redisReply *r);
/* NULL past the end. */
struct redisReply *reply_at(const struct redisReply *r, size_t i);

#endif
