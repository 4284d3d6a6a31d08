/* random.h - unpredictable bytes (RAND_bytes), for ids and secrets. */
#ifndef SIGNALBOX_BASE_RANDOM_H
#define SIGNALBOX_BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"

void random_bytes(void *out, size_t len);
/* 0 <= result < bound; bound > 0. */
uint64_t random_below(uint64_t bound);
/* 16 hexadecimal digits and a NUL. */
void random_id(char text_out[17]);
/* A version 4 UUID, lower case, RFC 9562. */
void random_uuid(char text_out[37]);
/* Whether random_uuid may have made it. */
bool random_is_uuid(struct bytes text);
/* 64 hexadecimal digits and a NUL: 256 bits that nobody can guess. */
void random_secret(char text_out[65]);

#endif
