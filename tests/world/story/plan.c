/* plan.c - see plan.h. */
#include "tests/world/story/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENT_US (2 * SIM_SECOND)

struct plan plan;

static const struct {
    const char *text;
    enum whom whom;
    unsigned weight;
    uint64_t least_ms, most_ms;
    unsigned explains;
} kinds[FAULT_KIND_COUNT] = {
#define NONE     END_NONE
#define LOST     END_LOST
#define RESTART  END_RESTART
#define DEAD     END_DEAD
#define BUSY     END_BUSY
#define SLOWNESS END_SLOWNESS
#define TIMEOUT  END_TIMEOUT
#define GAP      END_GAP
#define SHORT    END_SHORT
#define LOSS     FAULT_LOSS
#define FAULT(name, text, whom, weight, least, most, explains)                                     \
    {text, WHOM_##whom, weight, least, most, explains},
#include "tests/world/story/fault.def"
#undef FAULT
};

const char *fault_kind_text(enum fault_kind kind) {
    return kinds[kind].text;
}

unsigned fault_explains(const struct fault *f) {
    return kinds[f->kind].explains;
}

const char *fault_text(const struct fault *f) {
    static char text[128];
    static const char *const who[] = {"gateway", "broker", "process", "client c", "redis"};
    char number[16] = "";
    if (f->whom == WHOM_CLIENT)
        snprintf(number, sizeof(number), "%u", f->index);
    else if (f->whom != WHOM_REDIS)
        snprintf(number, sizeof(number), "%u", f->index + 1);
    snprintf(text, sizeof(text), "fault %u: %s%s: %s, for %llu.%03llu s", f->number, who[f->whom],
             number, kinds[f->kind].text, (unsigned long long)(f->for_us / SIM_SECOND),
             (unsigned long long)(f->for_us / SIM_MS % 1000));
    return text;
}

static enum fault_kind choose_kind(struct dice *d, bool may_lose) {
    for (;;) {
        unsigned all = 0;
        for (unsigned i = 0; i < FAULT_KIND_COUNT; i++)
            all += kinds[i].weight;
        unsigned luck = (unsigned)dice_below(d, all), kind = 0;
        while (luck >= kinds[kind].weight)
            luck -= kinds[kind++].weight;
        if (may_lose || (kinds[kind].explains & (FAULT_LOSS | END_GAP)) == 0)
            return (enum fault_kind)kind;
    }
}

static void choose_whom(struct dice *d, struct fault *f, const struct plan_options *o) {
    f->whom = kinds[f->kind].whom;
    if (f->whom == WHOM_PROCESS)
        f->whom =
            dice_below(d, o->gateways + o->brokers) < o->gateways ? WHOM_GATEWAY : WHOM_BROKER;
    unsigned all = f->whom == WHOM_GATEWAY  ? o->gateways
                   : f->whom == WHOM_BROKER ? o->brokers
                   : f->whom == WHOM_CLIENT ? o->clients
                                            : 1;
    f->index = (unsigned)dice_below(d, all);
}

static int by_time(const void *a, const void *b) {
    const struct fault *x = a, *y = b;
    return x->at_us < y->at_us ? -1 : x->at_us > y->at_us;
}

/* Faults like company: half of them begin within a second of the one before. */
static uint64_t choose_time(struct dice *d, const struct plan_options *o, uint64_t before_us) {
    if (before_us != 0 && dice_chance(d, 500000) && before_us + SIM_SECOND < o->to_us)
        return before_us + dice_skewed(d, 1, SIM_SECOND);
    return dice_between(d, o->from_us, o->to_us);
}

/* Half of them are long: past leases and the time after which a gateway is dead. */
static uint64_t choose_length(struct dice *d, uint64_t least, uint64_t most) {
    return dice_chance(d, 500000) ? dice_skewed(d, least, most) : dice_between(d, least, most);
}

void plan_make(const struct plan_options *o) {
    struct dice d = dice_new(sim_seed(), 2);
    unsigned most = o->most < PLAN_MAX ? o->most : PLAN_MAX;
    plan = (struct plan){.count = (unsigned)dice_between(&d, 0, most)};
    uint64_t before_us = 0;
    for (unsigned i = 0; i < plan.count; i++) {
        struct fault *f = &plan.faults[i];
        f->kind = choose_kind(&d, o->may_lose);
        choose_whom(&d, f, o);
        f->at_us = before_us = choose_time(&d, o, before_us);
        f->for_us = choose_length(&d, kinds[f->kind].least_ms, kinds[f->kind].most_ms) * SIM_MS;
        if (f->at_us + f->for_us > o->to_us)
            f->for_us = o->to_us > f->at_us + SIM_MS ? o->to_us - f->at_us : SIM_MS;
        f->chance = dice_roll(&d);
    }
    qsort(plan.faults, plan.count, sizeof(struct fault), by_time);
    for (unsigned i = 0; i < plan.count; i++)
        plan.faults[i].number = i + 1;
}

bool plan_has(enum fault_kind kind) {
    for (unsigned i = 0; i < plan.count; i++) {
        if (plan.faults[i].kind == kind)
            return true;
    }
    return false;
}

bool plan_keep(const char *list) {
    bool keep[PLAN_MAX + 1] = {false};
    for (const char *at = list; *at != '\0';) {
        char *end;
        unsigned long number = strtoul(at, &end, 10);
        if (end == at || (*end != ',' && *end != '\0') || number > PLAN_MAX)
            return false;
        keep[number] = true;
        at = *end == ',' ? end + 1 : end;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < plan.count; i++) {
        if (keep[plan.faults[i].number])
            plan.faults[kept++] = plan.faults[i];
    }
    plan.count = kept;
    return true;
}

bool plan_is_over(void) {
    for (unsigned i = 0; i < plan.count; i++) {
        if (!plan.faults[i].has_ended)
            return false;
    }
    return true;
}

static bool is_within(const struct fault *f, uint64_t at_us, uint64_t grace_us) {
    return f->has_begun && f->at_us <= at_us && (!f->has_ended || at_us <= f->ended_us + grace_us);
}

static bool hits(const struct fault *f, unsigned gateway, unsigned client) {
    if (f->kind == FAULT_NAMES) /* the same names for all */
        return true;
    switch (f->whom) {
    case WHOM_GATEWAY: return f->index == gateway;
    case WHOM_CLIENT: return f->index == client;
    case WHOM_REDIS: return true;
    case WHOM_BROKER:
    case WHOM_PROCESS: break;
    }
    return false;
}

/* A gateway is declared dead after five seconds without a heartbeat (cast.c), of which its faults,
 * several of them maybe, make up the most. */
static bool is_silent(unsigned gateway, uint64_t at_us, uint64_t grace_us) {
    uint64_t silent_us = 0;
    for (unsigned i = 0; i < plan.count; i++) {
        const struct fault *f = &plan.faults[i];
        if ((kinds[f->kind].explains & END_DEAD) == 0 || !hits(f, gateway, 0) ||
            !is_within(f, at_us, grace_us))
            continue;
        silent_us += f->whom == WHOM_REDIS ? SILENT_US : f->for_us;
    }
    return silent_us >= SILENT_US;
}

bool plan_explains(unsigned ends, unsigned gateway, unsigned client, uint64_t at_us,
                   uint64_t grace_us) {
    for (unsigned i = 0; i < plan.count; i++) {
        const struct fault *f = &plan.faults[i];
        if ((kinds[f->kind].explains & ends) != 0 && hits(f, gateway, client) &&
            is_within(f, at_us, grace_us))
            return ends != END_DEAD || is_silent(gateway, at_us, grace_us);
    }
    return false;
}

bool plan_is_calm(uint64_t at_us, uint64_t grace_us) {
    for (unsigned i = 0; i < plan.count; i++) {
        if (is_within(&plan.faults[i], at_us, grace_us))
            return false;
    }
    return true;
}
