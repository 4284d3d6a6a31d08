/* troubles.c - see troubles.h. */
#include "common/bus/redis/troubles.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"

enum blocks { BLOCKS_NOBODY, BLOCKS_BROKERS, BLOCKS_ALL };
enum { LOG_GAP_MS = 5000 };

static const struct {
    const char *name, *text;
    uint64_t grace_ms, fade_ms;
    enum blocks blocks;
    enum metric gauge;
} kinds[TROUBLE_KINDS] = {
#define X(kind, grace_ms, fade_ms, blocks, text)                                                   \
    [TROUBLE_##kind] = {#kind, text, grace_ms, fade_ms, blocks, METRIC_trouble_##kind},
#include "common/bus/redis/troubles.def"
#undef X
};

/* All of a kind together. */
struct summary {
    size_t count;   /* raised at present */
    bool is_logged; /* its beginning is in the log */
    uint64_t begun_ms, logged_ms, times;
};

struct troubles {
    LIST_HEAD(, trouble) raised[TROUBLE_KINDS];
    struct summary of[TROUBLE_KINDS];
};

struct troubles *troubles_new(void) {
    return mem_zalloc(sizeof(struct troubles));
}

void troubles_free(struct troubles *all) {
    free(all);
}

void trouble_init(struct trouble *t, struct troubles *all, enum trouble_kind kind, const char *at) {
    *t = (struct trouble){.all = all, .kind = kind};
    snprintf(t->at, sizeof(t->at), "%s", at);
}

void trouble_raise(struct trouble *t, struct bytes why) {
    struct summary *of = &t->all->of[t->kind];
    uint64_t now = clock_ms();
    why = bytes_head(why, sizeof(t->why) - 1);
    for (size_t i = 0; i < why.len; i++) /* Redis' words go into an HTTP answer */
        t->why[i] = why.ptr[i] >= ' ' && why.ptr[i] <= '~' ? why.ptr[i] : '?';
    t->why[why.len] = '\0';
    t->last_ms = now;
    t->times++;
    of->times++;
    if (t->since_ms != 0)
        return;
    t->since_ms = now;
    LIST_INSERT_HEAD(&t->all->raised[t->kind], t, link);
    if (of->count++ == 0 && !of->is_logged)
        of->begun_ms = now;
    metrics_set(kinds[t->kind].gauge, (int64_t)of->count);
}

void trouble_clear(struct trouble *t) {
    if (t->all == NULL || t->since_ms == 0)
        return;
    LIST_REMOVE(t, link);
    t->since_ms = 0;
    t->times = 0;
    metrics_set(kinds[t->kind].gauge, (int64_t)--t->all->of[t->kind].count);
}

bool trouble_is_raised(const struct trouble *t) {
    return t->since_ms != 0;
}

uint64_t trouble_age_ms(const struct trouble *t) {
    return t->since_ms != 0 ? clock_ms() - t->since_ms : 0;
}

static const char *why_of(const struct trouble *t) {
    return t->reason != NULL && *t->reason != '\0' ? t->reason : t->why;
}

/* --- the log --- */

static void fade(struct troubles *all, enum trouble_kind kind, uint64_t now) {
    struct trouble *t, *next;
    if (kinds[kind].fade_ms == 0)
        return;
    for (t = LIST_FIRST(&all->raised[kind]); t != NULL; t = next) {
        next = LIST_NEXT(t, link);
        if (now - t->last_ms >= kinds[kind].fade_ms)
            trouble_clear(t);
    }
}

static void tell(struct troubles *all, enum trouble_kind kind, uint64_t now) {
    struct summary *of = &all->of[kind];
    const struct trouble *t = LIST_FIRST(&all->raised[kind]);
    if (t != NULL && !of->is_logged && (of->logged_ms == 0 || now - of->logged_ms >= LOG_GAP_MS)) {
        of->is_logged = true;
        of->logged_ms = now;
        log_warn("trouble", "began what=%s at=%s count=%zu why=%s", kinds[kind].name, t->at,
                 of->count, LOG_TEXT(bytes_str(why_of(t))));
    } else if (t == NULL && of->is_logged) {
        of->is_logged = false;
        log_info("trouble", "ended what=%s after_ms=%" PRIu64 " times=%" PRIu64, kinds[kind].name,
                 now - of->begun_ms, of->times);
    }
    if (t == NULL)
        of->times = 0;
}

void troubles_tick(struct troubles *all) {
    uint64_t now = clock_ms();
    for (enum trouble_kind kind = 0; kind < TROUBLE_KINDS; kind++) {
        fade(all, kind, now);
        tell(all, kind, now);
    }
}

/* --- what /readyz says --- */

static bool blocks(enum trouble_kind kind, bool is_broker) {
    return kinds[kind].blocks == BLOCKS_ALL || (kinds[kind].blocks == BLOCKS_BROKERS && is_broker);
}

static void describe(const struct troubles *all, enum trouble_kind kind, struct buf *out) {
    uint64_t now = clock_ms();
    const struct trouble *t, *oldest = NULL;
    size_t more = 0;
    LIST_FOREACH (t, &all->raised[kind], link) {
        if (now - t->since_ms < kinds[kind].grace_ms)
            continue;
        more += oldest != NULL;
        if (oldest == NULL || t->since_ms < oldest->since_ms)
            oldest = t;
    }
    if (oldest == NULL)
        return;
    buf_printf(out, "%s%s%s%s", out->len > 0 ? "; " : "", kinds[kind].text,
               *oldest->at != '\0' ? " " : "", oldest->at);
    if (more > 0)
        buf_printf(out, " and %zu more", more);
    buf_printf(out, ": %s (for %" PRIu64 " s)", why_of(oldest), (now - oldest->since_ms) / 1000);
}

void troubles_describe(const struct troubles *all, bool is_broker, bool is_blocking,
                       struct buf *out) {
    for (enum trouble_kind kind = 0; kind < TROUBLE_KINDS; kind++)
        if (blocks(kind, is_broker) == is_blocking)
            describe(all, kind, out);
}
