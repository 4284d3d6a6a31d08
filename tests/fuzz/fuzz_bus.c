/*
 * fuzz_bus.c - all that talks to Redis, and a Redis that answers what it likes.
 *
 * The bytes of the input are steps of a process (register, list, lock, follow, append, commit …),
 * and what is answered to its commands and pushed to its feed: the true answer, or one of any type
 * made of the bytes. The links, their login, the heartbeat, the leases and what follows from a
 * partition that was taken are the real ones; time is ours (clock_gettime), so an input always
 * means the same.
 *
 * Properties: each question is answered once, at the latest when the bus hangs up; at the end
 * everything is given back.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/about.h"
#include "common/bus/cluster/heartbeats.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/cluster/liveness.h"
#include "common/bus/cluster/own_registrations.h"
#include "common/bus/cluster/reap.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/cluster/rules.h"
#include "common/bus/cluster/sources.h"
#include "common/bus/cluster/store.h"
#include "common/bus/cluster/ticket_keys.h"
#include "common/bus/log/deferred.h"
#include "common/bus/log/entry_reader.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/log_writer.h"
#include "common/bus/log/publish.h"
#include "common/bus/log/replay.h"
#include "common/bus/log/tick.h"
#include "common/bus/log/verdict.h"
#include "tests/fuzz/lying_redis.h"
#include "tests/fuzz/still_clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 60, TURNS_MAX = 600, KEY_BYTES = 32, TICKET_MS = 3600000 };

static struct world {
    struct input input;
    struct lying_redis redis;
    uv_loop_t loop;
    struct settings settings;
    unsigned asked, answered;

    struct bus *bus;
    struct registry *registry;
    struct rules *rules;
    struct lease *lease;
    struct liveness *gateways;
    struct heartbeats *heartbeats;
    struct sources *sources;
    struct reaps *reaps;
    struct ticket_keys *tickets;
    struct follower *follower;
    struct follow *follow;
    struct ingest *ingest;
    struct sender senders[2];
    struct entry_reader *reader;
    struct log_writer *writer;
    struct forward *forward;
    bool is_committing, is_forwarding, is_walking;
    struct own_registrations walk;
} world;

static void turn(struct world *w, unsigned times) {
    for (unsigned i = 0; i < times; i++)
        (void)uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* ---- answers to the process */

static void count(void) {
    world.answered++;
    MUST(world.answered <= world.asked);
}

static void on_registered(void *ctx, enum registered result, struct message_id position) {
    (void)ctx;
    (void)position;
    MUST(result <= REGISTERED_FAILED);
    count();
}

static void on_rows(void *ctx, int status, const struct registry_row *rows, size_t n) {
    static struct buf sink;
    (void)ctx;
    (void)status;
    buf_clear(&sink);
    for (size_t i = 0; i < n; i++) {
        buf_append(&sink, rows[i].name);
        buf_append(&sink, rows[i].client_id);
        buf_append(&sink, rows[i].value);
    }
    buf_deinit(&sink);
    count();
}

static void on_value(void *ctx, int status, struct bytes value) {
    struct buf sink = {0};
    (void)ctx;
    (void)status;
    buf_append(&sink, value);
    buf_deinit(&sink);
    count();
}

static void on_rule_set(void *ctx, int status) {
    (void)ctx;
    (void)status;
    count();
}

static void on_about(void *ctx, int status, const struct about_row *row) {
    (void)ctx;
    (void)status;
    MUST(strlen(row->host) < ABOUT_TEXT_MAX && strlen(row->admin) < ABOUT_TEXT_MAX);
    count();
}

static void on_dead(void *ctx, const char *gateway, unsigned partition, bool is_dead) {
    struct world *w = ctx;
    (void)partition;
    if (is_dead && w->reaps != NULL)
        reap_start(w->reaps, 0, bytes_str(gateway));
    count();
}

static void on_listed_gateway(void *ctx, unsigned partition, struct bytes gateway) {
    struct world *w = ctx;
    reap_start(w->reaps, partition, gateway);
}

static void on_message(void *ctx, const struct message *m) {
    struct buf sink = {0};
    (void)ctx;
    message_encode(&sink, m);
    buf_deinit(&sink);
}

static void on_replayed(void *ctx, int status, bool is_complete) {
    (void)ctx;
    (void)status;
    (void)is_complete;
    count();
}

static void on_verdict(void *ctx, enum verdict_kind kind, size_t refused, struct bytes reason) {
    (void)ctx;
    (void)refused;
    (void)reason;
    MUST(kind <= VERDICT_LOST);
    count();
}

static void on_clock(void *ctx, int status, uint64_t at, struct bytes error) {
    (void)ctx;
    (void)status;
    (void)at;
    (void)error;
    count();
}

static void on_tick(void *ctx, int status, time_t tick, struct bytes error) {
    (void)ctx;
    (void)status;
    (void)tick;
    (void)error;
    count();
}

static void on_published(void *ctx, int status, struct bytes id) {
    (void)ctx;
    (void)status;
    (void)id;
    count();
}

static void on_deferred(void *ctx, struct redisReply *reply) {
    (void)ctx;
    for (size_t i = 0; i < reply_count(reply); i++) {
        struct deferred_item item;
        if (deferred_read(reply_at(reply, i), &item))
            MUST(item.lane.len < 1000000);
    }
    count();
}

static void on_row(void *ctx, const struct registry_row *row) {
    struct conn_value value;
    (void)ctx;
    (void)conn_value_parse(row->value, &value);
}

static void on_walked(void *ctx, bool is_complete) {
    (void)is_complete;
    ((struct world *)ctx)->is_walking = false;
    count();
}

static void on_committed(void *ctx, enum log_writer_result result) {
    struct world *w = ctx;
    w->is_committing = result == LOG_WRITER_BUSY;
    if (result == LOG_WRITER_FENCED)
        lease_drop(w->lease, 0);
}

static void on_forwarded(void *ctx, bool is_busy) {
    ((struct world *)ctx)->is_forwarding = is_busy;
}

/* ---- what listens */

static void drop_slot(struct world *w) {
    entry_reader_close(w->reader);
    log_writer_close(w->writer);
    forward_close(w->forward);
    w->reader = NULL;
    w->writer = NULL;
    w->forward = NULL;
    w->is_committing = w->is_forwarding = false;
}

static void on_entries(void *ctx, struct in_entry **entries, size_t n) {
    struct world *w = ctx;
    MUST(n > 0 && n <= ENTRY_READER_MAX);
    for (size_t i = 0; i < n; i++)
        in_entry_unref(entries[i]);
    if (w->input.left > 0)
        entry_reader_read(w->reader);
}

static void on_taken(void *ctx, unsigned slot, const struct lease_grant *grant) {
    static const struct entry_reader_events events = {on_entries};
    struct world *w = ctx;
    if (slot != 0)
        return;
    drop_slot(w);
    w->writer = log_writer_new(w->bus, &(struct log_writer_options){.partition = 0,
                                                                    .label = "0",
                                                                    .term = grant->term,
                                                                    .cursor = grant->cursor,
                                                                    .history_bytes = 1000,
                                                                    .history_messages = 10,
                                                                    .history_seconds = 10});
    w->forward = forward_new(w->bus, "p0", grant->generation);
    w->reader = entry_reader_new(
        w->bus, &(struct entry_reader_options){.cursor = grant->cursor, .label = "0"}, &events, w);
    entry_reader_read(w->reader);
}

static void on_give_back(void *ctx, unsigned slot) {
    struct world *w = ctx;
    if (slot == 0)
        drop_slot(w);
    lease_give_back(w->lease, slot);
}

static void on_lost(void *ctx, unsigned slot, const char *why) {
    (void)why;
    if (slot == 0)
        drop_slot(ctx);
}

static void on_released(void *ctx) {
    (void)ctx;
}

static void on_commands(void *ctx) {
    lease_on_commands(((struct world *)ctx)->lease);
}

static void on_commands_lost(void *ctx) {
    drop_slot(ctx);
    lease_on_commands_lost(((struct world *)ctx)->lease);
}

static void on_rule(void *ctx, struct bytes field, struct bytes value) {
    struct buf sink = {0};
    (void)ctx;
    buf_append(&sink, field);
    buf_append(&sink, value);
    buf_deinit(&sink);
}

static void on_looked(void *ctx) {
    (void)ctx;
}

static void on_ticket(void *ctx, uint64_t period, const unsigned char *key) {
    (void)ctx;
    (void)period;
    MUST(key[0] <= 255);
}

static void on_followed(void *ctx, void *owner, const struct message *m) {
    (void)owner;
    on_message(ctx, m);
}

static void on_gap(void *ctx, void *owner, enum gap gap) {
    (void)ctx;
    (void)owner;
    (void)gap;
}

static void on_ready(void *ctx, int status) {
    struct world *w = ctx;
    if (status == 0)
        follow_start_at(w->follow, (struct message_id){5, 0});
    count();
}

static void on_room(void *ctx) {
    (void)ctx;
}

/* ---- steps */

static void ask_registry(struct world *w, unsigned how) {
    static const struct registration here = {
        {"N", 1}, {"id", 2}, {"0123456789abcdef:1:1|g", 22}, false};
    if (how % 7 == 0 && !bus_may_register(w->bus))
        return;
    w->asked += how % 7 != 1;
    switch (how % 7) {
    case 0: registry_register(w->registry, &here, on_registered, w); break;
    case 1:
        registry_unregister(w->registry, here.name, here.client_id, here.value, BYTES_LIT("x"));
        break;
    case 2: registry_find(w->registry, here.name, here.client_id, on_rows, w); break;
    case 3: registry_find_id(w->registry, here.client_id, 3, on_rows, w); break;
    case 4: registry_find_name(w->registry, here.name, on_rows, w); break;
    case 5: registry_list(w->registry, here.name, on_rows, w); break;
    default: registry_names(w->registry, on_rows, w);
    }
}

static void ask_store(struct world *w, unsigned how) {
    struct bytes key = BYTES_LIT("k");
    w->asked++;
    switch (how % 6) {
    case 0: store_get(w->bus, key, on_value, w); break;
    case 1: store_set(w->bus, key, key, how, on_value, w); break;
    case 2: store_incr(w->bus, key, 1, how, on_value, w); break;
    case 3: store_delete(w->bus, key, on_value, w); break;
    case 4: rules_set(w->rules, key, key, on_rule_set, w); break;
    default: store_server_secret(w->bus, on_value, w);
    }
}

static void ask_cluster(struct world *w, unsigned how) {
    static const char *const gateway = "0123456789abcdef";
    struct deferred_place place = {w->bus, 0, 5};
    w->asked += how % 8 < 4;
    switch (how % 8) {
    case 0: about_ask(w->bus, gateway, on_about, w); break;
    case 1: reap_declare_dead(w->bus, gateway, "1", on_dead, w); break;
    case 2: reap_ask_dead(w->bus, gateway, 0, on_dead, w); break;
    case 3: deferred_list(&place, on_deferred, w); break;
    case 4: reap_list_gateways(w->bus, 0, on_listed_gateway, w); break;
    case 5: heartbeats_look(w->heartbeats); break;
    case 6: sources_sweep(w->sources, w->gateways); break;
    default: ticket_keys_tick(w->tickets, now_ms + how * 1000000ull);
    }
}

static void ask_log(struct world *w, unsigned how) {
    static const struct replay_events events = {on_message, on_replayed};
    struct replay_range range = {BYTES_LIT("N"), {5, 0}, {9, 0}};
    struct verdict_question question = {BYTES_LIT("5-0"), BYTES_LIT("5-1"), BYTES_LIT("{"), 500};
    struct tick tick = {"s", 1000, 1060};
    w->asked++;
    switch (how % 5) {
    case 0: (void)replay_start(w->bus, &range, &events, w); break;
    case 1: verdict_ask(w->bus, &question, on_verdict, w); break;
    case 2: tick_ask_clock(w->bus, on_clock, w); break;
    case 3: tick_add(w->bus, &tick, on_tick, w); break;
    default: publish_json(w->bus, BYTES_LIT("{\"data\":\"x\"}"), on_published, w);
    }
}

static void write_log(struct world *w, unsigned how) {
    static const struct output output = {
        .name = {"N", 1}, .has_history = true, .message = {.kind = MESSAGE_DATA, .data = {"x", 1}}};
    char seq[FORWARD_SEQ_TEXT];
    if (how % 2 == 0)
        (void)!ingest_push(w->ingest, 0, how % 3 == 0 ? NULL : &w->senders[how % 3 - 1],
                           BYTES_LIT("entry"), NULL, NULL);
    if (how % 32 == 31)
        sender_leave(&w->senders[how / 32 % 2]);
    if (w->writer != NULL && !w->is_committing) {
        (void)log_writer_add(w->writer, &output);
        w->is_committing = true;
        log_writer_commit(w->writer, (struct message_id){6, how}, how % 4 < 2, on_committed, w);
    } else if (w->writer != NULL && how % 4 == 3) {
        log_writer_repeat(w->writer);
    }
    if (w->forward == NULL || w->is_forwarding)
        return;
    forward_add(w->forward, 0, forward_seq((struct message_id){6, how}, 0, seq), BYTES_LIT("e"),
                BYTES_NONE);
    w->is_forwarding = true;
    forward_send(w->forward, on_forwarded, w);
}

static void walk(struct world *w) {
    if (w->is_walking)
        return;
    w->is_walking = true;
    w->asked++;
    own_registrations_read(&w->walk, w->bus, on_row, on_walked, w);
}

static void step(struct world *w) {
    static const unsigned ms[] = {1, 20, 100, 250, 250, 500, 1000, 2500};
    unsigned what = input_byte(&w->input), how = input_byte(&w->input);
    if (what % 10 < 3) {
        now_ms += ms[how % ARRAY_LEN(ms)];
        turn(w, 4);
    } else if (what % 10 == 3) {
        lying_redis_push(&w->redis);
    } else if (what % 10 == 4 && how > 200) {
        lying_redis_drop(&w->redis, how);
    } else if (bus_can_send(w->bus)) {
        switch (what % 10) {
        case 4: walk(w); break;
        case 5: ask_registry(w, how); break;
        case 6: ask_store(w, how); break;
        case 7: ask_cluster(w, how); break;
        case 8: ask_log(w, how); break;
        default: write_log(w, how);
        }
    }
    turn(w, 4);
}

/* ---- life */

static void read_settings(struct world *w) {
    static char program[] = "fuzz", *arguments[] = {program, NULL};
    int rest;
    log_set_level(LOG_ERROR + 1);
    MUST(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    MUST(settings_parse(&w->settings, FOR_ALL, 1, arguments, &rest) == SETTINGS_OK);
    w->settings.partitions = 1;
    w->settings.redis = w->redis.url;
}

static void open_process(struct world *w) {
    static const struct bus_events bus_events = {.on_commands = on_commands,
                                                 .on_commands_lost = on_commands_lost};
    static const struct lease_events lease_events = {on_taken, on_give_back, on_lost, on_released};
    static const struct heartbeats_events looks = {.on_looked = on_looked};
    static const struct follower_events follower_events = {on_followed, on_gap};
    w->bus = bus_new(&w->loop, &w->settings, w->input.left % 2 == 0 ? BUS_BROKER : BUS_GATEWAY);
    w->registry = registry_new(w->bus);
    w->rules = rules_new(w->bus, on_rule, w);
    w->lease = lease_new(w->bus, 1000, &lease_events, w);
    bus_listen(w->bus, &bus_events, w);
    w->gateways = liveness_new();
    w->heartbeats = heartbeats_new(w->bus, KEY_GATEWAYS, w->gateways, &looks, w);
    w->sources = sources_new(w->bus, w->lease);
    w->reaps = reaps_new(w->bus);
    w->tickets = ticket_keys_new(w->bus, TICKET_MS, KEY_BYTES, on_ticket, w);
    w->follower = follower_new(w->bus, &follower_events, w);
    w->ingest = ingest_new(w->bus, "", 100000, on_room, w);
    w->follow = follower_follow(w->follower, BYTES_LIT("N"), w);
    w->asked++;
    follow_when_ready(w->follow, on_ready, w);
    bus_start(w->bus);
}

static void close_process(struct world *w) {
    follow_cancel(w->follow, w);
    drop_slot(w);
    bus_hang_up(w->bus);
    follower_stop(w->follower, w->follow);
    follower_free(w->follower);
    sender_leave(&w->senders[0]);
    sender_leave(&w->senders[1]);
    ingest_free(w->ingest);
    ticket_keys_free(w->tickets);
    reaps_free(w->reaps);
    sources_free(w->sources);
    heartbeats_free(w->heartbeats);
    liveness_free(w->gateways);
    lease_free(w->lease);
    rules_free(w->rules);
    registry_free(w->registry);
    bus_close(w->bus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct world *w = &world;
    *w = (struct world){.input = {data, size}};
    MUST(uv_loop_init(&w->loop) == 0);
    lying_redis_open(&w->redis, &w->loop, &w->input);
    read_settings(w);
    open_process(w);
    for (int i = 0; i < 40 && !bus_can_send(w->bus); i++) {
        now_ms += 20;
        turn(w, 2);
    }
    for (int i = 0; i < STEPS_MAX && w->input.left > 0; i++)
        step(w);
    close_process(w);
    lying_redis_close(&w->redis);
    for (int i = 0; i < TURNS_MAX && uv_loop_alive(&w->loop); i++) {
        now_ms += 10;
        turn(w, 1);
    }
    MUST(uv_loop_close(&w->loop) == 0);
    return 0;
}
