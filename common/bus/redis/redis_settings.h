/*
 * redis_settings.h - the settings of Redis that Signalbox needs or recommends: one table for the
 * warnings of the daemons and for `signalbox doctor`.
 *
 * To add a setting: a line in the table of redis_settings.c.
 */
#ifndef SIGNALBOX_BUS_REDIS_REDIS_SETTINGS_H
#define SIGNALBOX_BUS_REDIS_REDIS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

enum { REDIS_SETTINGS_MAX = 16 };

struct redis_setting {
    const char *name; /* as CONFIG GET has it */
    /* Where INFO has the same value, for users without CONFIG; else NULL. */
    const char *info_section, *info_name;
    /* largest: bytes of the largest message with what surrounds it. */
    bool (*is_fine)(const char *value, int64_t largest);
    bool is_required; /* else recommended */
    const char *remedy;
};

extern const struct redis_setting redis_settings[];
extern const unsigned redis_settings_count;

/* What an entry or a message of this many payload bytes is at most, with its names around it. */
int64_t redis_settings_largest(int64_t max_message_bytes);
/* server_info_value with a NUL after it (free()); "" when it is not there. */
char *redis_info_value(struct bytes text, const char *name);
/* Bytes of one argument by a value of proto-max-bulk-len or client-query-buffer-limit; 0: none. */
int64_t redis_settings_bytes(const char *value);

#endif
