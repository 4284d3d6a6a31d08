/* lease.c - see lease.h. Read on_tick, then review. */
#include "common/bus/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "common/bus/heartbeats.h"
#include "common/bus/link.h"
#include "common/bus/partition.h"
#include "common/bus/pulse.h"
#include "common/bus/scripts.h"

enum state { FREE, TAKING, HELD, ENDING, RELEASING };
enum { LOOK_MS = 1000, ALIVE_MIN_MS = 3000, FORGET_MS = 60000 };

struct slot {
    struct lease *lease;
    unsigned number;
    enum state state;
    uint64_t term;       /* the highest ever seen */
    uint64_t renewed_ms; /* when the last renewal was asked for */
};

struct lease {
    struct bus *bus;
    uint64_t lease_ms;
    const struct lease_events *events;
    void *ctx;
    struct pulse *pulse;
    struct heartbeats *heartbeats;
    uv_timer_t timer;
    uint64_t looked_ms;
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

void lease_keys(const struct lease *l, unsigned slot, struct buf *own_out, struct buf *lease_out) {
    if (slot == lease_public(l)) {
        buf_clear(own_out);
        buf_clear(lease_out);
        buf_append_str(own_out, fleet_key(KEY_PUBLIC_OWN));
        buf_append_str(lease_out, fleet_key(KEY_PUBLIC_LEASE));
        return;
    }
    key_of(own_out, slot, "own", BYTES_NONE);
    key_of(lease_out, slot, "lease", BYTES_NONE);
}

bool lease_is_held(const struct lease *l, unsigned slot) {
    return is_held(&l->slots[slot]);
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
    return pulse_lists(l->pulse, broker);
}

/* A script over the two keys of the slot. */
static struct command slot_command(struct slot *s, enum script script) {
    struct buf own = {0}, lease = {0};
    lease_keys(s->lease, s->number, &own, &lease);
    struct command c = command_script(script, 2);
    command_bytes(&c, buf_bytes(&own));
    command_bytes(&c, buf_bytes(&lease));
    command_text(&c, bus_id(s->lease->bus));
    buf_deinit(&own);
    buf_deinit(&lease);
    return c;
}

static void send_slot(struct slot *s, struct command *c, link_reply_fn *fn) {
    link_send(bus_commands(s->lease->bus), c, fn, s);
}

static void end(struct slot *s) {
    set_state(s, ENDING);
    s->lease->events->on_give_back(s->lease->ctx, s->number);
}

/* --- taking --- */

static bool read_grant(struct redisReply *reply, struct lease_grant *grant_out) {
    return bytes_to_u64(reply_bytes(reply_at(reply, 0)), &grant_out->term) &&
           message_id_parse(reply_bytes(reply_at(reply, 1)), &grant_out->cursor) &&
           message_id_parse(reply_bytes(reply_at(reply, 2)), &grant_out->last);
}

static void freed(struct lease *l);

static void on_own(void *ctx, struct redisReply *reply) {
    struct slot *s = ctx;
    struct lease *l = s->lease;
    struct lease_grant grant;
    if (s->state != TAKING)
        return;
    if (reply_count(reply) != 3 || !read_grant(reply, &grant)) {
        set_state(s, FREE);
        if (reply_is_error(reply, NULL))
            bus_refused(l->bus, "own.lua", reply);
        if (reply != NULL)
            freed(l);
        return;
    }
    s->term = grant.term;
    set_state(s, HELD);
    log_debug("lease", "taken slot=%u term=%" PRIu64, s->number, grant.term);
    l->events->on_taken(l->ctx, s->number, &grant);
    if (l->is_closing)
        end(s);
}

static void take(struct slot *s) {
    struct command c = slot_command(s, SCRIPT_own);
    command_number(&c, (int64_t)s->lease->lease_ms);
    command_number(&c, (int64_t)s->term);
    set_state(s, TAKING);
    s->renewed_ms = clock_ms();
    send_slot(s, &c, on_own);
}

/* --- keeping --- */

static void on_renewed(void *ctx, struct redisReply *reply) {
    struct slot *s = ctx;
    struct lease *l = s->lease;
    if (reply_is_error(reply, NULL))
        bus_refused(l->bus, "renew.lua", reply);
    if (!is_held(s) || reply_number(reply, 1) != 0)
        return;
    set_state(s, FREE);
    log_warn("lease", "lost slot=%u: it is another broker's", s->number);
    l->events->on_lost(l->ctx, s->number, "the lease is another broker's");
    freed(l);
}

static void renew(struct slot *s) {
    struct command c = slot_command(s, SCRIPT_renew);
    command_number(&c, (int64_t)s->term);
    command_number(&c, (int64_t)s->lease->lease_ms);
    s->renewed_ms = clock_ms();
    send_slot(s, &c, on_renewed);
}

/* --- counting tries --- */

void lease_try(struct lease *l, unsigned slot, const char *entry, link_reply_fn *fn, void *ctx) {
    struct buf own = {0}, lease = {0};
    struct command c = command_script(SCRIPT_try, 1);
    lease_keys(l, slot, &own, &lease);
    command_bytes(&c, buf_bytes(&own));
    command_text(&c, bus_id(l->bus));
    command_number(&c, (int64_t)l->slots[slot].term);
    command_text(&c, entry);
    link_send(bus_commands(l->bus), &c, fn, ctx);
    buf_deinit(&own);
    buf_deinit(&lease);
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
    struct command c = slot_command(s, SCRIPT_release);
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

static bool is_alive(const struct lease *l, const struct pulse_one *one, uint64_t now_ms) {
    uint64_t alive_ms = l->lease_ms > ALIVE_MIN_MS ? l->lease_ms : ALIVE_MIN_MS;
    return one->has_moved && !one->has_left && now_ms - one->moved_ms <= alive_ms;
}

static void rank_one(void *ctx, const struct pulse_one *one) {
    struct ranking *r = ctx;
    if (strcmp(one->id, bus_id(r->lease->bus)) == 0 || !is_alive(r->lease, one, r->now_ms))
        return;
    uint64_t rank = lease_rank(bytes_str(one->id), r->slot);
    if (rank > r->highest)
        r->highest = rank;
}

static bool is_first(const struct lease *l, unsigned slot) {
    struct ranking r = {.lease = l, .now_ms = clock_ms(), .slot = slot};
    pulse_each(l->pulse, rank_one, &r);
    return lease_rank(bytes_str(bus_id(l->bus)), slot) >= r.highest;
}

/* Takes what is ours by rank, gives back what is not. */
static void review(struct lease *l) {
    if (!bus_can_send(l->bus) || !l->has_looked)
        return;
    for (unsigned i = 0; i < l->slot_count; i++) {
        struct slot *s = &l->slots[i];
        if (s->state == FREE && !l->is_closing && is_first(l, i))
            take(s);
        else if (s->state == HELD && (l->is_closing || !is_first(l, i)))
            end(s);
    }
}

/* --- looking --- */

static void forget_one(void *ctx, const struct pulse_one *one) {
    struct lease *l = ctx;
    if (clock_ms() - one->moved_ms >= FORGET_MS && strcmp(one->id, bus_id(l->bus)) != 0)
        heartbeats_forget(l->heartbeats, one->id); /* killed long ago */
}

static void on_looked(void *ctx) {
    struct lease *l = ctx;
    pulse_each(l->pulse, forget_one, l);
    l->has_looked = true;
    review(l);
}

static void look(struct lease *l) {
    l->looked_ms = clock_ms();
    heartbeats_look(l->heartbeats);
}

/* One line for what may be dozens of slots. */
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
    tell_changes(l);
    if (!bus_can_send(l->bus))
        return;
    for (unsigned i = 0; i < l->slot_count; i++)
        if (is_held(&l->slots[i]) && now - l->slots[i].renewed_ms >= l->lease_ms * 3 / 10)
            renew(&l->slots[i]);
    if (now - l->looked_ms >= LOOK_MS)
        look(l);
}

/* --- life --- */

struct lease *lease_new(struct bus *bus, uint64_t lease_ms, const struct lease_events *events,
                        void *ctx) {
    static const struct heartbeats_events heartbeats_events = {NULL, on_looked};
    unsigned count = bus_partitions(bus) + 1;
    struct lease *l = mem_zalloc(sizeof(*l) + count * sizeof(l->slots[0]));
    *l = (struct lease){.bus = bus, .lease_ms = lease_ms, .events = events, .ctx = ctx};
    l->pulse = pulse_new();
    l->heartbeats = heartbeats_new(bus, fleet_key(KEY_BROKERS), l->pulse, &heartbeats_events, l);
    l->slot_count = count;
    for (unsigned i = 0; i < count; i++)
        l->slots[i] = (struct slot){.lease = l, .number = i};
    uint64_t tick_ms = lease_ms / 10 < 50 ? 50 : lease_ms / 10 > LOOK_MS ? LOOK_MS : lease_ms / 10;
    MUST(uv_timer_init(bus_loop(bus), &l->timer) == 0);
    MUST(uv_timer_start(&l->timer, on_tick, tick_ms, tick_ms) == 0);
    return l;
}

static void on_closed(uv_handle_t *handle) {
    struct lease *l = container_of((uv_timer_t *)handle, struct lease, timer);
    heartbeats_free(l->heartbeats);
    pulse_free(l->pulse);
    free(l);
}

void lease_free(struct lease *l) {
    if (l != NULL)
        uv_close((uv_handle_t *)&l->timer, on_closed);
}

void lease_on_commands(struct lease *l) {
    pulse_restart(l->pulse, clock_ms());
    look(l);
}

void lease_on_commands_lost(struct lease *l) {
    for (unsigned i = 0; i < l->slot_count; i++)
        set_state(&l->slots[i], FREE);
    l->has_looked = false;
}

void lease_hurry(struct lease *l, struct bytes leaver) {
    if (!bytes_is_empty(leaver))
        pulse_leave(l->pulse, leaver);
    review(l);
}

void lease_shutdown(struct lease *l) {
    l->is_closing = true;
    for (unsigned i = 0; i < l->slot_count; i++)
        if (l->slots[i].state == HELD)
            end(&l->slots[i]);
}
