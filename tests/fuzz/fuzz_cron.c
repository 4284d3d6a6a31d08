/*
 * fuzz_cron.c - cron expressions of any bytes.
 *
 * Properties: what is refused has one line that says why; the next tick is later, on a whole minute
 * that the expression names, and is the last one when seen from itself.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/registrations/cron.h"
#include "common/base/bytes.h"
#include "common/base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MINUTE = 60 };

static void check_ticks(const struct cron *c, time_t after) {
    struct tm at;
    time_t next = cron_next(c, after);
    if (next < 0)
        return;
    MUST(next > after && next % MINUTE == 0);
    MUST(gmtime_r(&next, &at) != NULL);
    MUST((c->minutes >> at.tm_min & 1) != 0 && (c->hours >> at.tm_hour & 1) != 0);
    MUST((c->months >> (at.tm_mon + 1) & 1) != 0);
    MUST((c->days >> at.tm_mday & 1) != 0 || (c->weekdays >> at.tm_wday & 1) != 0);
    MUST(cron_last(c, next, MINUTE) == next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = bytes_dup(bytes_of((const char *)data, size)), error[160] = "";
    struct cron c;
    if (!cron_parse(&c, text, error)) {
        MUST(error[0] != '\0' && strchr(error, '\n') == NULL);
    } else {
        check_ticks(&c, 1764226800);
        check_ticks(&c, 1709164799); /* the last second of a 28th of February with a 29th behind */
        check_ticks(&c, 0);
    }
    free(text);
    return 0;
}
