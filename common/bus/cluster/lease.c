/* lease.c - see lease.h. Read on_tick, then review. */
#include "common/bus/cluster/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/random.h"
#include "common/base/settings.h"
#include "common/bus/bus_send.h"
#include "common/bus/cluster/heartbeats.h"
#include "common/bus/cluster/liveness.h"
#include "common/bus/redis/troubles.h"

enum state { FREE, TAKING, HELD, ENDING, RELEASING };
enum {
    LOOK_MS = 500,
    LATE_MS = 2500,
    FORGET_MS = 60000,
    TICK_MIN_MS = 25,
    TICK_MAX_MS = 100,
    TRY_MIN_MS = 20,
    TRY_MAX_MS = 1000,
    TRY_SPREAD_MS = 256,
    STUCK_MS = 5000, /* a slot that does not work for so long is offered to others */
    UNFIT_MIN_MS = 10000,
    UNFIT_MAX_MS = 600000
};

struct slot {
    struct lease *lease;
    unsigned number;
    enum state state;
    uint64_t term;       /* the highest ever seen */
    uint64_t renewed_ms; /* when the last renewal was asked for */
    uint64_t granted_ms; /* when the last one that was granted was asked for */
    uint64_t try_ms;     /* FREE: not to be asked for before */
    bool is_renewing;
    bool is_doubtful; /* TAKING: as in lease_grant */
    bool was_bad;     /* when we became unfit, or taken since: proves that we are fit again */
    struct trouble refused;
};

struct lease {
    struct bus *bus;
    uint64_t lease_ms;
    const struct lease_events *events;
    void *ctx;
    struct liveness *liveness;
    struct heartbeats *heartbeats;
    uv_timer_t timer;
    uint64_t looked_ms;
    lease_stuck_fn *stuck;
    uint64_t unfit_until_ms; /* 0: fit */
    uint64_t unfit_ms;       /* how long the next time */
    uint64_t fit_ms;         /* since when we are fit again */
    struct trouble unfit;
    unsigned connections; /* to Redis, so far */
    bool has_looked, is_closing;
    unsigned changes, told; /* of ownership; logged until there */
    unsigned slot_count;
    struct slot slots[];
};

/* --- slots --- */

static bool may_follow(enum state from, enum state to) {
    static const unsigned allowed[] = {
        [FREE] = 1 << TAKING,
        [TAKING] = 1 << HELD | 1 << FREE,
        [HELD] = 1 << ENDING | 1 << FREE,
        [ENDING] = 1 << RELEASING | 1 << FREE,
        [RELEASING] = 1 << FREE,
    };
    return allowed[from] >> to & 1;
}

static bool is_held(const struct slot *s) {
    return s->state == HELD || s->state == ENDING;
}

static void set_state(struct slot *s, enum state to) {
    if (s->state == to)
        return;
    MUST(may_follow(s->state, to));
    s->lease->changes += to == HELD || is_held(s);
    s->state = to;
    metrics_set(METRIC_partitions_owned, (int64_t)lease_held_count(s->lease));
    metrics_set(METRIC_public_streams_owned, lease_is_held(s->lease, lease_public(s->lease)));
}

unsigned lease_public(const struct lease *l) {
    return l->slot_count - 1;
}

void lease_label(const struct lease *l, unsigned slot, char text_out[LEASE_LABEL]) {
    if (slot == lease_public(l))
        snprintf(text_out, LEASE_LABEL, "the public stream");
    else
        snprintf(text_out, LEASE_LABEL, "partition %u", slot);
}

static void lease_keys(unsigned slot, struct buf *own_out, struct buf *lease_out) {
    key_of(own_out, slot, KEY_OWN, BYTES_NONE);
    key_of(lease_out, slot, KEY_LEASE, BYTES_NONE);
}

bool lease_is_held(const struct lease *l, unsigned slot) {
    return is_held(&l->slots[slot]);
}

bool lease_is_certain(const struct lease *l, unsigned slot) {
    const struct slot *s = &l->slots[slot];
    return is_held(s) && clock_ms() - s->granted_ms < l->lease_ms;
}

size_t lease_held_count(const struct lease *l) {
    size_t count = 0;
    for (unsigned i = 0; i < lease_public(l); i++)
        count += is_held(&l->slots[i]);
    return count;
}

bool lease_is_busy(const struct lease *l) {
    for (unsigned i = 0; i < l->slot_count; i++)
        if (l->slots[i].state != FREE)
            return true;
    return false;
}

bool lease_lists_broker(const struct lease *l, struct bytes broker) {
    return liveness_lists(l->liveness, broker);
}

static bool is_unfit(const struct lease *l) {
    return l->unfit_until_ms != 0;
}

/* A script over the two keys of the slot. */
static struct command slot_command(struct slot *s, enum script script) {
    struct buf own = {0}, lease = {0};
    lease_keys(s->number, &own, &lease);
    struct command c = command_script(script, 2);
    command_bytes(&c, buf_bytes(&own));
    command_bytes(&c, buf_bytes(&lease));
    command_text(&c, bus_id(s->lease->bus));
    buf_deinit(&own);
    buf_deinit(&lease);
    return c;
}

static void send_slot(struct slot *s, struct command *c, reply_fn *fn) {
    bus_send(s->lease->bus, s->number, c, fn, s);
}

static void end(struct slot *s) {
    set_state(s, ENDING);
    s->lease->events->on_give_back(s->lease->ctx, s->number);
}

/* --- taking --- */

static bool read_grant(struct redisReply *reply, struct lease_grant *grant_out) {
    return bytes_to_u64(reply_bytes(reply_at(reply, 0)), &grant_out->term) &&
           message_id_parse(reply_bytes(reply_at(reply, 1)), &grant_out->cursor) &&
           message_id_parse(reply_bytes(reply_at(reply, 2)), &grant_out->last) &&
           bytes_to_u64(reply_bytes(reply_at(reply, 3)), &grant_out->generation);
}

static void freed(struct lease *l);

/* Whether the refusal concerns this process' user alone: another broker may be allowed to. */
static bool is_own_fault(const char *error) {
    static const char *const words[] = {"NOPERM", "ACL failure", "can't run this command",
                                        "can't access at least one of the keys"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(error, words[i]) != NULL)
            return true;
    return false;
}

static void not_taken(struct slot *s, struct redisReply *reply) {
    struct lease *l = s->lease;
    int64_t left_ms = reply_number(reply_at(reply, 1), TRY_MAX_MS);
    set_state(s, FREE);
    if (reply == NULL)
        return; /* lease_on_commands_lost follows */
    /* At a random moment: on two sides of a split network a lease ends in the same millisecond, and
     * if both owners took it then, one id would mean two messages. */
    s->try_ms = clock_ms() + random_below(TRY_SPREAD_MS) +
                (uint64_t)(left_ms < TRY_MIN_MS   ? TRY_MIN_MS
                           : left_ms < TRY_MAX_MS ? left_ms + 1
                                                  : TRY_MAX_MS);
    if (reply_is_error(reply, NULL)) {
        bus_refused(l->bus, "take_partition.lua", reply);
        trouble_raise(&s->refused, reply_bytes(reply));
    } else {
        trouble_clear(&s->refused);
    }
    freed(l);
}

static void on_own(void *ctx, struct redisReply *reply) {
    struct slot *s = ctx;
    struct lease *l = s->lease;
    struct lease_grant grant;
    if (s->state != TAKING)
        return;
    if (reply_count(reply) != 4 || !read_grant(reply, &grant)) {
        not_taken(s, reply);
        return;
    }
    trouble_clear(&s->refused);
    grant.is_doubtful = s->is_doubtful;
    s->term = grant.term;
    s->granted_ms = s->renewed_ms;
    s->was_bad = is_unfit(l);
    set_state(s, HELD);
    log_debug("lease", "taken slot=%u term=%" PRIu64, s->number, grant.term);
    l->events->on_taken(l->ctx, s->number, &grant);
    if (l->is_closing)
        end(s);
}

static void take(struct slot *s) {
    struct command c = slot_command(s, SCRIPT_take_partition);
    command_number(&c, (int64_t)s->lease->lease_ms);
    command_number(&c, (int64_t)s->term);
    s->is_doubtful = s->term != 0 || s->lease->connections > 1;
    /* A little less than the inbox keeps: clocks differ. */
    command_number(&c, s->is_doubtful ? bus_settings(s->lease->bus)->history_seconds * 875 : 0);
    command_text(&c, fleet_channel(CHANNEL_TAKEN));
    command_number(&c, s->number);
    set_state(s, TAKING);
    s->renewed_ms = clock_ms();
    send_slot(s, &c, on_own);
}

/* --- keeping --- */

static void on_renewed(void *ctx, struct redisReply *reply) {
    struct slot *s = ctx;
    struct lease *l = s->lease;
    s->is_renewing = false;
    if (!is_held(s) || reply == NULL)
        return;
    if (reply_is_error(reply, NULL)) {
        bus_refused(l->bus, "renew_lease.lua", reply);
        trouble_raise(&s->refused, reply_bytes(reply));
        return;
    }
    trouble_clear(&s->refused);
    if (reply_number(reply, 1) != 0) {
        s->granted_ms = s->renewed_ms;
        return;
    }
    set_state(s, FREE);
    log_warn("lease", "lost slot=%u: it is another broker's", s->number);
    l->events->on_lost(l->ctx, s->number, "the lease is another broker's");
    freed(l);
}

static void renew(struct slot *s) {
    struct command c = slot_command(s, SCRIPT_renew_lease);
    command_number(&c, (int64_t)s->term);
    command_number(&c, (int64_t)s->lease->lease_ms);
    s->renewed_ms = clock_ms();
    s->is_renewing = true;
    send_slot(s, &c, on_renewed);
}

/* --- counting tries --- */

void lease_try(struct lease *l, unsigned slot, const char *entry, reply_fn *fn, void *ctx) {
    struct buf own = {0}, lease = {0};
    struct command c = command_script(SCRIPT_count_try, 1);
    lease_keys(slot, &own, &lease);
    command_bytes(&c, buf_bytes(&own));
    command_text(&c, bus_id(l->bus));
    command_number(&c, (int64_t)l->slots[slot].term);
    command_text(&c, entry);
    bus_send(l->bus, slot, &c, fn, ctx);
    buf_deinit(&own);
    buf_deinit(&lease);
}

/* --- a stream of the future --- */

void lease_restart_stream(struct lease *l, unsigned slot, const char *cursor, uint64_t ahead_ms,
                          reply_fn *fn, void *ctx) {
    struct buf key = {0};
    struct command c = command_script(SCRIPT_restart_stream, 2);
    command_bytes(&c, key_of(&key, slot, KEY_OWN, BYTES_NONE));
    command_bytes(&c, key_of(&key, slot, KEY_IN, BYTES_NONE));
    command_text(&c, bus_id(l->bus));
    command_number(&c, (int64_t)l->slots[slot].term);
    command_text(&c, cursor);
    command_number(&c, (int64_t)ahead_ms);
    bus_send(l->bus, slot, &c, fn, ctx);
    buf_deinit(&key);
}

/* --- giving back --- */

static bool is_any(const struct lease *l, enum state state) {
    for (unsigned i = 0; i < l->slot_count; i++)
        if (l->slots[i].state == state)
            return true;
    return false;
}

/* At a shutdown the last slot may end in other ways than by a release. */
static void freed(struct lease *l) {
    if (l->is_closing && !lease_is_busy(l))
        l->events->on_released(l->ctx);
}

static void on_release(void *ctx, struct redisReply *reply) {
    struct slot *s = ctx;
    struct lease *l = s->lease;
    if (s->state != RELEASING)
        return;
    set_state(s, FREE);
    if (reply == NULL)
        return; /* lease_on_commands_lost follows */
    log_debug("lease", "released slot=%u", s->number);
    if (!is_any(l, ENDING) && !is_any(l, RELEASING))
        l->events->on_released(l->ctx);
}

void lease_give_back(struct lease *l, unsigned slot) {
    struct slot *s = &l->slots[slot];
    if (s->state != ENDING)
        return; /* lost meanwhile */
    struct command c = slot_command(s, SCRIPT_release_lease);
    command_number(&c, (int64_t)s->term);
    set_state(s, RELEASING);
    send_slot(s, &c, on_release);
}

void lease_drop(struct lease *l, unsigned slot) {
    set_state(&l->slots[slot], FREE);
    freed(l);
}

/* --- ranking --- */

uint64_t lease_rank(struct bytes broker, unsigned slot) {
    uint64_t hash = 14695981039346656037u ^ slot * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < broker.len; i++)
        hash = (hash ^ (unsigned char)broker.ptr[i]) * 1099511628211u;
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
    return hash ^ hash >> 31;
}

struct ranking {
    const struct lease *lease;
    uint64_t now_ms;
    unsigned slot;
    uint64_t highest; /* of the others */
};

/* The unfit rank behind all that are fit, in their own order. */
static uint64_t rank_of(struct bytes broker, unsigned slot, bool is_unfit) {
    return lease_rank(broker, slot) >> 1 | (is_unfit ? 0 : (uint64_t)1 << 63);
}

static void rank_one(void *ctx, const struct liveness_one *one) {
    struct ranking *r = ctx;
    /* A late broker is not waited for; its leases say whether it is dead. */
    bool is_prompt = one->has_moved && !one->has_left && r->now_ms - one->moved_ms <= LATE_MS;
    if (strcmp(one->id, bus_id(r->lease->bus)) == 0 || !is_prompt)
        return;
    uint64_t rank = rank_of(bytes_str(one->id), r->slot, one->is_unfit);
    if (rank > r->highest)
        r->highest = rank;
}

static bool is_first(const struct lease *l, unsigned slot) {
    struct ranking others = {.lease = l, .now_ms = clock_ms(), .slot = slot};
    liveness_each(l->liveness, rank_one, &others);
    return rank_of(bytes_str(bus_id(l->bus)), slot, is_unfit(l)) >= others.highest;
}

static bool is_stuck(const struct lease *l, unsigned slot) {
    return l->stuck != NULL && l->stuck(l->ctx, slot) >= STUCK_MS;
}

/* An unfit broker keeps the slots that work. */
static bool is_anothers(const struct lease *l, unsigned slot) {
    return !is_first(l, slot) && (!is_unfit(l) || is_stuck(l, slot));
}

/* Takes what is ours by rank, gives back what is not. */
static void review(struct lease *l) {
    if (!bus_can_send(l->bus) || !l->has_looked)
        return;
    for (unsigned i = 0; i < l->slot_count; i++) {
        struct slot *s = &l->slots[i];
        bool is_wanted = s->state == FREE && !l->is_closing && is_first(l, i);
        if (is_wanted && clock_ms() >= s->try_ms)
            take(s);
        else if (s->state == HELD && (l->is_closing || is_anothers(l, i)))
            end(s);
        else if (s->state == FREE && !is_wanted)
            trouble_clear(&s->refused); /* another's business */
    }
}

/* --- fitness --- */

static bool cannot_work(const struct lease *l, unsigned slot) {
    const struct slot *s = &l->slots[slot];
    if (s->state == HELD)
        return is_stuck(l, slot);
    return s->state == FREE && trouble_age_ms(&s->refused) >= STUCK_MS &&
           is_own_fault(s->refused.why);
}

/* A slot that did not work, or one taken since, works: the fault is over. */
static bool is_cured(const struct lease *l) {
    bool has_proof = false;
    for (unsigned i = 0; i < l->slot_count; i++) {
        const struct slot *s = &l->slots[i];
        bool is_well = s->state == HELD && l->stuck(l->ctx, i) == 0;
        if (cannot_work(l, i))
            return false;
        has_proof = has_proof || (s->was_bad && is_well);
    }
    return has_proof;
}

static void become_fit(struct lease *l) {
    l->unfit_until_ms = 0;
    l->fit_ms = clock_ms();
    trouble_clear(&l->unfit);
    bus_set_unfit(l->bus, false);
    log_info("lease", "fit: trying again what did not work");
}

/* Each time for longer, so that a fault that stays does not move slots to and fro. */
static void become_unfit(struct lease *l, unsigned bad, unsigned last) {
    char label[LEASE_LABEL], text[TROUBLE_WHY_MAX];
    l->unfit_until_ms = clock_ms() + l->unfit_ms;
    lease_label(l, last, label);
    snprintf(text, sizeof(text), "%u of them, %s among them", bad, label);
    trouble_raise(&l->unfit, bytes_str(text));
    log_warn("lease", "unfit slots=%u for_ms=%" PRIu64, bad, l->unfit_ms);
    l->unfit_ms = l->unfit_ms * 2 < UNFIT_MAX_MS ? l->unfit_ms * 2 : UNFIT_MAX_MS;
    bus_set_unfit(l->bus, true);
}

static void judge_ourselves(struct lease *l) {
    unsigned bad = 0, last = 0;
    bool is_over = is_unfit(l) && is_cured(l);
    if (is_over)
        l->unfit_ms = UNFIT_MIN_MS;
    if (is_over || (is_unfit(l) && clock_ms() >= l->unfit_until_ms))
        become_fit(l);
    if (is_unfit(l) || bus_accepted_since(l->bus) == 0)
        return;
    for (unsigned i = 0; i < l->slot_count; i++) {
        l->slots[i].was_bad = cannot_work(l, i);
        bad += l->slots[i].was_bad;
        last = l->slots[i].was_bad ? i : last;
    }
    if (bad > 0)
        become_unfit(l, bad, last);
    else if (clock_ms() - l->fit_ms >= l->unfit_ms)
        l->unfit_ms = UNFIT_MIN_MS;
}

/* --- looking --- */

static void forget_one(void *ctx, const struct liveness_one *one) {
    struct lease *l = ctx;
    if (clock_ms() - one->moved_ms >= FORGET_MS && strcmp(one->id, bus_id(l->bus)) != 0)
        heartbeats_forget(l->heartbeats, one->id); /* killed long ago */
}

static void on_looked(void *ctx) {
    struct lease *l = ctx;
    liveness_each(l->liveness, forget_one, l);
    l->has_looked = true;
    review(l);
}

static void look(struct lease *l) {
    l->looked_ms = clock_ms();
    heartbeats_look(l->heartbeats);
}

/* One line for all slots, which may be dozens. */
static void tell_changes(struct lease *l) {
    if (l->told == l->changes)
        return;
    l->told = l->changes;
    log_info("lease", "changed partitions=%zu public=%s", lease_held_count(l),
             lease_is_held(l, lease_public(l)) ? "yes" : "no");
}

static void on_tick(uv_timer_t *timer) {
    struct lease *l = container_of(timer, struct lease, timer);
    uint64_t now = clock_ms();
    if (!bus_can_send(l->bus))
        return;
    for (unsigned i = 0; i < l->slot_count; i++)
        if (is_held(&l->slots[i]) && !l->slots[i].is_renewing &&
            now - l->slots[i].renewed_ms >= l->lease_ms * 3 / 10)
            renew(&l->slots[i]);
    if (now - l->looked_ms < LOOK_MS) {
        review(l);
        return;
    }
    tell_changes(l);
    judge_ourselves(l);
    look(l);
}

/* --- life --- */

struct lease *lease_new(struct bus *bus, uint64_t lease_ms, const struct lease_events *events,
                        void *ctx) {
    static const struct heartbeats_events heartbeats_events = {NULL, on_looked};
    unsigned count = bus_partitions(bus) + 1;
    struct lease *l = mem_zalloc(sizeof(*l) + count * sizeof(l->slots[0]));
    *l = (struct lease){.bus = bus, .lease_ms = lease_ms, .events = events, .ctx = ctx};
    l->liveness = liveness_new();
    l->heartbeats = heartbeats_new(bus, KEY_BROKERS, l->liveness, &heartbeats_events, l);
    l->slot_count = count;
    l->unfit_ms = UNFIT_MIN_MS;
    trouble_init(&l->unfit, bus_troubles(bus), TROUBLE_unfit, "");
    for (unsigned i = 0; i < count; i++) {
        char label[LEASE_LABEL];
        l->slots[i] = (struct slot){.lease = l, .number = i};
        lease_label(l, i, label);
        trouble_init(&l->slots[i].refused, bus_troubles(bus), TROUBLE_leases, label);
    }
    uint64_t tick_ms = lease_ms / 20;
    tick_ms = tick_ms < TICK_MIN_MS ? TICK_MIN_MS : tick_ms > TICK_MAX_MS ? TICK_MAX_MS : tick_ms;
    MUST(uv_timer_init(bus_loop(bus), &l->timer) == 0);
    MUST(uv_timer_start(&l->timer, on_tick, tick_ms, tick_ms) == 0);
    return l;
}

static void on_closed(uv_handle_t *handle) {
    struct lease *l = container_of((uv_timer_t *)handle, struct lease, timer);
    heartbeats_free(l->heartbeats);
    liveness_free(l->liveness);
    free(l);
}

void lease_ask_stuck(struct lease *l, lease_stuck_fn *fn) {
    l->stuck = fn;
}

void lease_free(struct lease *l) {
    if (l == NULL)
        return;
    trouble_clear(&l->unfit);
    for (unsigned i = 0; i < l->slot_count; i++)
        trouble_clear(&l->slots[i].refused);
    uv_close((uv_handle_t *)&l->timer, on_closed);
}

void lease_on_commands(struct lease *l) {
    l->connections++;
    liveness_restart(l->liveness, clock_ms());
    look(l);
}

void lease_on_commands_lost(struct lease *l) {
    for (unsigned i = 0; i < l->slot_count; i++) {
        set_state(&l->slots[i], FREE);
        l->slots[i].try_ms = 0;
        trouble_clear(&l->slots[i].refused);
    }
    l->has_looked = false;
}

void lease_hurry(struct lease *l, struct bytes leaver) {
    if (!bytes_is_empty(leaver))
        liveness_leave(l->liveness, leaver);
    for (unsigned i = 0; i < l->slot_count; i++)
        l->slots[i].try_ms = 0;
    review(l);
}

void lease_shutdown(struct lease *l) {
    l->is_closing = true;
    for (unsigned i = 0; i < l->slot_count; i++)
        if (l->slots[i].state == HELD)
            end(&l->slots[i]);
}
