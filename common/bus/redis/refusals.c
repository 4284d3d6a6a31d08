/* refusals.c - see refusals.h. */
#include "common/bus/redis/refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

static struct refusal *find(struct refusals *r, const char *command) {
    for (unsigned i = 0; i < r->count; i++)
        if (strcmp(r->items[i].command, command) == 0)
            return &r->items[i];
    if (r->count == REFUSALS_MAX)
        return &r->items[REFUSALS_MAX - 1];
    r->items[r->count] = (struct refusal){.command = command};
    return &r->items[r->count++];
}

void refusals_note(struct refusals *r, const char *command, struct bytes error) {
    struct refusal *f = find(r, command);
    uint64_t now = clock_ms();
    /* The word that begins an error names its kind; what follows may count. */
    struct bytes before = bytes_str(f->error), rest = error;
    bool is_news =
        f->count == 0 || !bytes_equal(bytes_split(&before, ' '), bytes_split(&rest, ' '));
    if (f->count++ == 0)
        f->since_ms = now;
    f->last_ms = now;
    snprintf(f->error, sizeof(f->error), "%.*s", BYTES_FMT(error));
    for (char *c = f->error; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    if (is_news)
        log_warn("redis", "refused command=%s error=%s", command, LOG_TEXT(error));
}

void refusals_tick(struct refusals *r) {
    uint64_t now = clock_ms();
    for (unsigned i = 0; i < r->count; i++) {
        struct refusal *f = &r->items[i];
        if (now - f->last_ms < REFUSAL_OVER_MS)
            continue;
        log_info("redis", "refuses_no_longer command=%s refusals=%" PRIu64 " seconds=%" PRIu64,
                 f->command, f->count, (f->last_ms - f->since_ms) / 1000);
        *f = r->items[--r->count];
        i--;
    }
}

const char *refusals_text(struct refusals *r) {
    const struct refusal *oldest = NULL;
    uint64_t now = clock_ms();
    for (unsigned i = 0; i < r->count; i++)
        if (now - r->items[i].last_ms < REFUSAL_OVER_MS &&
            (oldest == NULL || r->items[i].since_ms < oldest->since_ms))
            oldest = &r->items[i];
    r->text[0] = '\0';
    if (oldest != NULL)
        snprintf(r->text, sizeof(r->text), "%s: %s", oldest->command, oldest->error);
    return r->text;
}
