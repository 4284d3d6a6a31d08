/* reply.c - see reply.h. */
#include "common/bus/redis/reply.h"

#include <string.h>

#include <hiredis/hiredis.h>

bool reply_is_error(const struct redisReply *r, const char *prefix) {
    if (r == NULL || r->type != REDIS_REPLY_ERROR)
        return false;
    return prefix == NULL || bytes_starts_with(reply_bytes(r), bytes_str(prefix));
}

bool reply_is_nil(const struct redisReply *r) {
    return r != NULL && r->type == REDIS_REPLY_NIL;
}

struct bytes reply_bytes(const struct redisReply *r) {
    bool has_text = r != NULL && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS ||
                                  r->type == REDIS_REPLY_ERROR);
    return has_text ? bytes_of(r->str, (size_t)r->len) : BYTES_NONE;
}

int64_t reply_number(const struct redisReply *r, int64_t otherwise) {
    struct bytes text = reply_bytes(r);
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t value;
    if (r != NULL && r->type == REDIS_REPLY_INTEGER)
        return r->integer;
    if (r == NULL || r->type != REDIS_REPLY_STRING ||
        !bytes_to_u64(bytes_from(text, is_negative), &value) || value > INT64_MAX)
        return otherwise;
    return is_negative ? -(int64_t)value : (int64_t)value;
}

size_t reply_count(const struct redisReply *r) {
    return r != NULL && r->type == REDIS_REPLY_ARRAY ? (size_t)r->elements : 0;
}

struct redisReply *reply_at(const struct redisReply *r, size_t i) {
    return i < reply_count(r) ? r->element[i] : NULL;
}
