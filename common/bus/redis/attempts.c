/* attempts.c - see attempts.h. */
#include "common/bus/redis/attempts.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"

enum {
    FIRST_MS = 50,
    LAST_MS = 2000,
    CUT_MS = 250,  /* the last wait for a connection that was READY and just ended */
    CUTS_MAX = 16, /* so often in a row; then it is no accident */
    PROVEN_MS = 2000,
    WARN_MS = 5000
};

void attempts_began(struct attempts *a) {
    a->is_proven = a->has_succeeded = false;
    a->ready_ms = 0;
}

void attempts_lasted(struct attempts *a, unsigned ms, const char *name) {
    a->ready_ms += ms;
    if (a->is_proven || a->ready_ms < PROVEN_MS || !a->has_succeeded)
        return;
    a->is_proven = true;
    if (a->is_warned)
        log_info("redis", "link_restored link=%s attempts=%u", name, a->failures);
    a->failures = 0;
    a->is_warned = false;
}

unsigned attempts_failed(struct attempts *a, bool was_cut) {
    unsigned ms = FIRST_MS, last = was_cut && a->failures < CUTS_MAX ? CUT_MS : LAST_MS;
    for (unsigned i = 0; i < a->failures && ms < last; i++)
        ms *= 2;
    ms = ms < last ? ms : last;
    a->failures++;
    return ms * 7 / 10 + (unsigned)random_below(ms * 6 / 10 + 1);
}

/* Numbers change from attempt to attempt, and are no news. */
static bool is_same_trouble(const char *a, const char *b) {
    static const char digits[] = "0123456789";
    while (*a != '\0' && *b != '\0') {
        a += strspn(a, digits);
        b += strspn(b, digits);
        size_t len = strcspn(a, digits);
        if (len != strcspn(b, digits) || memcmp(a, b, len) != 0)
            return false;
        a += len;
        b += len;
    }
    return *a == *b;
}

void attempts_log(struct attempts *a, const char *name, const char *trouble) {
    uint64_t now = clock_ms();
    if (a->is_warned && (is_same_trouble(trouble, a->warned) || now - a->warned_ms < WARN_MS)) {
        log_debug("redis", "link_failed link=%s why=%s", name, LOG_TEXT(bytes_str(trouble)));
        return;
    }
    a->warned_ms = now;
    a->is_warned = true;
    snprintf(a->warned, sizeof(a->warned), "%s", trouble);
    log_warn("redis", "link_failed link=%s why=%s", name, LOG_TEXT(bytes_str(trouble)));
}
