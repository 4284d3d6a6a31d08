/*
 * bus.c - see bus.h; what it says of itself is bus_state.c. Read on_commands_ready (what happens
 * after a connect) and on_beat (what happens every second).
 */
#include "common/bus/bus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/random.h"
#include "common/base/settings.h"
#include "common/bus/bus_internal.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/feed.h"
#include "common/bus/redis/link.h"
#include "common/bus/redis/redis_access.h"
#include "common/bus/redis_check.h"
#include "common/bus/cluster_check.h"

enum { BEAT_MS = 1000, PAGE_FIRST = 16, SECRET_RENEW_BEATS = 10 };

#define TELL(b, member, ...)                                                                       \
    for (size_t listener_ = 0; listener_ < (b)->listener_count; listener_++)                       \
        if ((b)->listeners[listener_].events->member != NULL)                                      \
    (b)->listeners[listener_].events->member((b)->listeners[listener_].ctx, ##__VA_ARGS__)

static void new_id(struct bus *b) {
    random_id(b->id);
    snprintf(b->probe_channel, sizeof(b->probe_channel), "%s%s", fleet_channel(CHANNEL_PROBE),
             b->id);
}

/* --- the commands link: configuration first --- */

/* A process that ran with its configuration does not end: it waits until that is there again. */
static void mismatch(struct bus *b, const char *what, struct bytes theirs, const char *ours) {
    char why[MISMATCH_MAX];
    snprintf(why, sizeof(why), "the cluster in this Redis has %s %.*s, this process was told %s",
             what, BYTES_FMT(theirs), ours);
    if (!b->was_configured) {
        b->is_mismatched = true;
        TELL(b, on_mismatch, why);
    } else if (strcmp(b->mismatch, why) != 0) {
        memcpy(b->mismatch, why, sizeof(why));
        log_error("bus", "waits why=\"%s\"", why);
    }
}

/* HMGET version partitions secret. What no process has written is no configuration. */
static bool is_configuration(struct redisReply *reply) {
    uint64_t version, partitions;
    size_t secret_len = reply_bytes(reply_at(reply, 2)).len;
    return reply_count(reply) == 3 && bytes_to_u64(reply_bytes(reply_at(reply, 0)), &version) &&
           bytes_to_u64(reply_bytes(reply_at(reply, 1)), &partitions) && partitions >= 1 &&
           partitions <= PARTITIONS_MAX &&
           (secret_len == 0 || secret_len == sizeof(((struct bus *)NULL)->secret_check) - 1);
}

static void send_beat(struct bus *b);

/* The fleet's secret stands in the configuration as a value from which it cannot be computed.
 * Returns false when this process is not of this fleet. One that ran before the others were given a
 * secret goes on, and says that it lacks it. */
static bool check_secret(struct bus *b, struct bytes theirs) {
    static const char other[] = "the fleet in this Redis has another cluster secret than this "
                                "process: give all of them the same --cluster-secret-file";
    static const char none[] = "the fleet in this Redis has a cluster secret: start this process "
                               "with its --cluster-secret-file";
    const char *why = b->secret_check[0] != '\0' ? other : none;
    b->has_other_secret = theirs.len > 0 && !bytes_equal_str(theirs, b->secret_check);
    if (!b->has_other_secret) {
        trouble_clear(&b->other_secret);
        return true;
    }
    trouble_raise(&b->other_secret, bytes_str(why));
    if (b->kind == BUS_TOOL || b->was_configured)
        return true;
    b->is_mismatched = true;
    TELL(b, on_mismatch, why);
    return false;
}

/* After the HSETNXes. While Redis refuses either or answers with something else, the next beat asks
 * again. */
static void on_config(void *ctx, struct redisReply *reply) {
    struct bus *b = ctx;
    b->is_asking_config = false;
    if (reply == NULL)
        return;
    if (reply_is_error(reply, NULL)) {
        bus_refused(b, "HMGET", reply);
        return;
    }
    struct bytes version = reply_bytes(reply_at(reply, 0)),
                 partitions = reply_bytes(reply_at(reply, 1));
    char ours[16];
    snprintf(ours, sizeof(ours), "%u", b->partitions);
    uint64_t count;
    if (b->kind == BUS_TOOL && bytes_to_u64(partitions, &count) && count >= 1 &&
        count <= PARTITIONS_MAX) {
        b->partitions = (unsigned)count;
        partition_init(b->partitions);
    } else if (b->kind != BUS_TOOL && !is_configuration(reply)) {
        log_warn("bus", "no_configuration: Redis answers with something else");
        return;
    } else if (b->kind != BUS_TOOL && !bytes_equal_str(version, "1")) {
        mismatch(b, "protocol version", version, "1");
        return;
    } else if (b->kind != BUS_TOOL && !bytes_equal_str(partitions, ours)) {
        mismatch(b, "partitions:", partitions, ours);
        return;
    }
    if (!check_secret(b, reply_bytes(reply_at(reply, 2))))
        return;
    b->is_configured = b->was_configured = true;
    b->mismatch[0] = '\0';
    if (b->kind != BUS_TOOL) {
        send_beat(b);
        redis_check_look(b->check);
    }
    TELL(b, on_commands);
}

static void on_stored(void *ctx, struct redisReply *reply) {
    if (reply_is_error(reply, NULL))
        bus_refused(ctx, "HSETNX", reply);
}

static void store_configuration(struct bus *b) {
    char ours[16];
    const char *const fields[][2] = {
        {"version", "1"}, {"partitions", ours}, {"secret", b->secret_check}};
    snprintf(ours, sizeof(ours), "%u", b->partitions);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (*fields[i][1] == '\0')
            continue;
        struct command c = command_begin("HSETNX");
        command_text(&c, fleet_key(KEY_CONFIG));
        command_text(&c, fields[i][0]);
        command_text(&c, fields[i][1]);
        link_send(b->commands, &c, on_stored, b);
    }
}

static void ask_config(struct bus *b) {
    if (b->is_configured || b->is_asking_config || b->is_mismatched || !link_is_ready(b->commands))
        return;
    b->is_asking_config = true;
    redis_check_begin(b->check);
    backlog_ask(&b->backlog);
    if (b->kind != BUS_TOOL)
        store_configuration(b);
    struct command c = command_begin("HMGET");
    command_text(&c, fleet_key(KEY_CONFIG));
    command_text(&c, "version");
    command_text(&c, "partitions");
    command_text(&c, "secret");
    link_send(b->commands, &c, on_config, b);
}

static void on_commands_ready(void *ctx) {
    struct bus *b = ctx;
    one_server_on_ready(&b->one_server, b->commands);
    b->was_counted = false;
    ask_config(b);
}

static void on_commands_down(void *ctx, const char *why) {
    struct bus *b = ctx;
    (void)why;
    b->probe_sent_ms = 0;
    if (!b->is_configured)
        return;
    b->is_configured = false;
    TELL(b, on_commands_lost);
}

/* --- the feed link --- */

static void on_feed_ready(void *ctx) {
    struct bus *b = ctx;
    b->probe_sent_ms = 0;
    if (b->kind != BUS_TOOL) /* a tool's feed follows its commands, which are not repeated */
        one_server_on_ready(&b->one_server, feed_link(b->feed));
}

static void on_feed_down(void *ctx, const char *why) {
    struct bus *b = ctx;
    probes_begin(&b->probes, UINT64_MAX);
    b->probe_seen_ms = 0;
    TELL(b, on_feed_lost, why);
}

static void on_probe_subscribed(void *ctx) {
    struct bus *b = ctx;
    probes_begin(&b->probes, bus_next_beat(b));
}

static void on_probe(void *ctx, struct bytes payload) {
    struct bus *b = ctx;
    uint64_t beat;
    b->probe_seen_ms = clock_ms();
    b->probe_sent_ms = 0;
    if (!bytes_to_u64(bytes_split(&payload, ' '), &beat))
        return;
    b->probe_seen = beat;
    if (probes_came(&b->probes, beat))
        TELL(b, on_feed_skipped);
    TELL(b, on_feed_passed, beat);
}

static void listen_for_probe(struct bus *b) {
    static const struct channel_events events = {.on_subscribed = on_probe_subscribed,
                                                 .on_message = on_probe};
    feed_subscribe(b->feed, bytes_str(b->probe_channel), &events, b);
}

/* --- the heartbeat --- */

static const char *heartbeat_key(const struct bus *b) {
    return fleet_key(b->kind == BUS_GATEWAY ? KEY_GATEWAYS : KEY_BROKERS);
}

static void declared_dead(struct bus *b) {
    log_error("bus",
              "was_buried id=%s: another process saw no heartbeat of this one; beginning anew",
              b->id);
    feed_unsubscribe(b->feed, bytes_str(b->probe_channel));
    new_id(b);
    b->foreign_beats = b->unanswered_beats;
    probes_begin(&b->probes, UINT64_MAX);
    b->was_counted = false;
    b->accepted_since_ms = 0;
    listen_for_probe(b);
    send_beat(b);
    TELL(b, on_declared_dead);
}

static void on_beat_answer(struct bus *b, uint64_t number, struct redisReply *reply) {
    uint64_t now = clock_ms();
    if (reply_is_error(reply, "DEAD")) {
        declared_dead(b);
        return;
    }
    if (reply == NULL || reply_is_error(reply, NULL)) {
        b->accepted_since_ms = 0;
        if (reply == NULL)
            return;
        bus_refused(b, "heartbeat.lua", reply);
        trouble_raise(&b->beats_refused, reply_bytes(reply));
        return;
    }
    trouble_clear(&b->beats_refused);
    if (bus_accepted_since(b) == 0)
        b->accepted_since_ms = now;
    b->accepted_ms = now;
    if (b->probe_sent_ms == 0 && b->probe_seen < number) /* else it was faster than its answer */
        b->probe_sent_ms = now;
    if (probes_accepted(&b->probes, number))
        TELL(b, on_feed_skipped);
    bool is_new = reply_number(reply, 1) == 2 && b->was_counted;
    b->was_counted = true;
    if (!is_new)
        return;
    /* FLUSHALL and the like, while the links stood. */
    log_error("bus", "lost_data id=%s: Redis does not know this process any more", b->id);
    store_configuration(b);
    TELL(b, on_forgotten);
}

/* Answers come in order: this one is to the oldest beat that has none. */
static void on_beat_reply(void *ctx, struct redisReply *reply) {
    struct bus *b = ctx;
    uint64_t number = b->beat - --b->unanswered_beats;
    if (b->foreign_beats > 0)
        b->foreign_beats--;
    else
        on_beat_answer(b, number, reply);
}

static void send_beat(struct bus *b) {
    if (b->is_leaving)
        return; /* nobody would wait for its end */
    struct command c = command_script(SCRIPT_heartbeat, 2);
    char dead[FLEET_NAME_MAX + 17];
    snprintf(dead, sizeof(dead), "%s%s", fleet_key(KEY_DEAD), b->id);
    command_text(&c, heartbeat_key(b));
    command_text(&c, dead);
    command_text(&c, b->id);
    char counter[HEARTBEAT_VALUE_MAX];
    snprintf(counter, sizeof(counter), "%" PRIu64 "%s", ++b->beat,
             b->is_unfit ? HEARTBEAT_UNFIT : "");
    command_text(&c, counter);
    command_text(&c, b->probe_channel);
    b->unanswered_beats++;
    link_send(b->commands, &c, on_beat_reply, b);
}

/* It may have run out by a clock of Redis that jumped: a process that does not know it would make
 * another one. */
static void renew_secret(struct bus *b) {
    struct command set = command_begin("SET"), renew = command_begin("PEXPIRE");
    command_text(&set, fleet_key(KEY_SECRET));
    command_text(&set, b->secret);
    command_text(&set, "PX");
    command_number(&set, SECRET_TTL_MS);
    command_text(&set, "NX");
    link_send(b->commands, &set, NULL, NULL);
    command_text(&renew, fleet_key(KEY_SECRET));
    command_number(&renew, SECRET_TTL_MS);
    link_send(b->commands, &renew, NULL, NULL);
}

/* The timer looks for deafness before it beats again; a process that was stopped gives the feed one
 * beat more. */
static void on_beat(uv_timer_t *timer) {
    struct bus *b = container_of(timer, struct bus, beat_timer);
    uint64_t now = clock_ms();
    bool is_late = b->probe_sent_ms != 0 && now - b->probe_sent_ms > DEAF_AFTER_MS;
    b->deaf_beats = is_late ? b->deaf_beats + 1 : 0;
    if (b->deaf_beats > 1 && link_is_ready(feed_link(b->feed))) {
        b->probe_sent_ms = 0;
        link_break(feed_link(b->feed), "deaf: a probe was published and did not come back");
    }
    ask_config(b);
    if (b->is_configured) {
        one_server_ask(&b->one_server);
        send_beat(b);
        backlog_ask(&b->backlog);
        cluster_check_ask(b->cluster_check);
    }
    troubles_tick(b->troubles);
    if (b->is_configured && b->secret[0] != '\0' && b->beat % SECRET_RENEW_BEATS == 0)
        renew_secret(b);
    metrics_set(METRIC_redis_ready, bus_is_ready(b));
    redis_check_tick(b->check);
    refusals_tick(&b->refusals);
    log_summarize();
}

static void on_tool_beat(uv_timer_t *timer) {
    struct bus *b = container_of(timer, struct bus, beat_timer);
    if (b->is_configured)
        one_server_ask(&b->one_server);
}

/* --- making --- */

static const char *prefix_of(const struct settings *s) {
    return s->redis_prefix != NULL ? s->redis_prefix : "";
}

/* `signalbox up` puts it beside the socket of its own Redis. */
static bool read_secret(struct bus *b, char error_out[REDIS_ACCESS_ERROR]) {
    const char *file = b->settings->cluster_secret_file;
    char why[SECRET_FILE_WHY], beside[sizeof(b->url.path) + sizeof(CLUSTER_SECRET_NAME)];
    const char *slash = strrchr(b->url.path, '/');
    snprintf(beside, sizeof(beside), "%.*s%s", slash == NULL ? 0 : (int)(slash + 1 - b->url.path),
             b->url.path, CLUSTER_SECRET_NAME);
    if (file == NULL || *file == '\0')
        file = slash != NULL && access(beside, F_OK) == 0 ? beside : "";
    if (cluster_secret_read(&b->cluster_secret, file, why) != 0) {
        snprintf(error_out, REDIS_ACCESS_ERROR, "--cluster-secret-file=%.500s: %s", file, why);
        return false;
    }
    if (b->cluster_secret.is_known)
        cluster_secret_sign(&b->cluster_secret, "check", BYTES_LIT("fleet"), b->secret_check);
    return true;
}

static bool read_settings(struct bus *b) {
    const char *text = *b->settings->redis ? b->settings->redis : "redis://127.0.0.1:6379";
    char error[REDIS_ACCESS_ERROR];
    b->partitions = (unsigned)b->settings->partitions;
    if ((b->partitions & (b->partitions - 1)) != 0)
        snprintf(error, sizeof(error), "--partitions=%u: must be a power of two", b->partitions);
    else if (redis_access_read(&b->url, text, b->settings, error) == 0 &&
             fleet_check(prefix_of(b->settings), error) == 0 && read_secret(b, error))
        return true;
    fprintf(stderr, "%s\n", error);
    return false;
}

char *bus_reload(struct bus *b) {
    return redis_access_reload(&b->url);
}

struct bus *bus_new(uv_loop_t *loop, const struct settings *settings, enum bus_kind kind) {
    static const struct feed_events feed_events = {on_feed_ready, on_feed_down};
    struct bus *b = mem_zalloc(sizeof(*b));
    *b = (struct bus){.loop = loop, .settings = settings, .kind = kind};
    if (!read_settings(b)) {
        free(b);
        return NULL;
    }
    partition_init(b->partitions);
    metrics_set(METRIC_partitions, b->partitions);
    fleet_init(prefix_of(settings), b->url.db);
    redis_url_fingerprint(&b->url, prefix_of(settings), b->fleet);
    new_id(b);
    b->feed = feed_new(&feed_events, b);
    b->troubles = troubles_new();
    trouble_init(&b->beats_refused, b->troubles, TROUBLE_heartbeat, "");
    trouble_init(&b->other_secret, b->troubles, TROUBLE_secret, "");
    trouble_init(&b->unproven, b->troubles, TROUBLE_unproven, "");
    b->cluster_check = cluster_check_new(b);
    paging_init(&b->paging, PAGE_FIRST, PAGING_TOP);
    backlog_init(&b->backlog, b);
    bulk_init(&b->bulk);
    b->check = redis_check_new(b, settings->max_message_bytes);
    MUST(uv_timer_init(loop, &b->beat_timer) == 0);
    return b;
}

void bus_listen(struct bus *b, const struct bus_events *events, void *ctx) {
    MUST(b->listener_count < LISTENERS_MAX);
    b->listeners[b->listener_count].events = events;
    b->listeners[b->listener_count++].ctx = ctx;
}

/* --- life --- */

void bus_open_feed(struct bus *b) {
    if (feed_link(b->feed) != NULL)
        return;
    feed_open(b->feed, b->loop, &b->url);
    b->one_server.feed = feed_link(b->feed);
}

void bus_start(struct bus *b) {
    static const struct link_events commands_events = {on_commands_ready, on_commands_down, NULL};
    char url[600];
    b->one_server.commands = b->commands =
        link_new(b->loop, &b->url, b->kind == BUS_TOOL ? LINK_TOOL : LINK_COMMANDS, "commands",
                 &commands_events, b);
    if (b->kind == BUS_TOOL) {
        MUST(uv_timer_start(&b->beat_timer, on_tool_beat, BEAT_MS, BEAT_MS) == 0);
        return;
    }
    redis_url_show(&b->url, url);
    log_info("bus", "joining redis=%s stream=%s channel=%s", url, fleet_key(KEY_PUBLIC_SEND),
             fleet_channel(CHANNEL_PUBLIC_SEND));
    if (!b->cluster_secret.is_known)
        log_warn("bus", "has_no_cluster_secret: whoever may write to this Redis can set rules and "
                        "stop processes; see --cluster-secret-file");
    bus_open_feed(b);
    listen_for_probe(b);
    MUST(uv_timer_start(&b->beat_timer, on_beat, 100, BEAT_MS) == 0);
}

static void left(struct bus *b) {
    void (*fn)(void *) = b->on_left;
    b->on_left = NULL;
    if (fn != NULL)
        fn(b->on_left_ctx);
}

static void on_leave_answer(void *ctx, struct redisReply *reply) {
    (void)reply;
    left(ctx);
}

static void on_leave_timer(uv_timer_t *timer) {
    left(container_of(timer, struct bus, beat_timer));
}

void bus_leave(struct bus *b, void (*on_left)(void *ctx), void *ctx) {
    b->is_leaving = true;
    b->on_left = on_left;
    b->on_left_ctx = ctx;
    if (!b->is_configured) {
        MUST(uv_timer_start(&b->beat_timer, on_leave_timer, 0, 0) == 0);
        return;
    }
    struct command c = command_begin("HDEL");
    command_text(&c, heartbeat_key(b));
    command_text(&c, b->id);
    link_send(b->commands, &c, on_leave_answer, b);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct bus *b = container_of((uv_timer_t *)handle, struct bus, beat_timer);
    while (!LIST_EMPTY(&b->until_answers)) {
        struct until_answer *first = LIST_FIRST(&b->until_answers);
        LIST_REMOVE(first, link);
        free(first);
    }
    feed_free(b->feed);
    redis_check_free(b->check);
    backlog_deinit(&b->backlog);
    cluster_check_free(b->cluster_check);
    troubles_free(b->troubles);
    buf_deinit(&b->trouble);
    free(b);
}

void bus_hang_up(struct bus *b) {
    link_hang_up(b->commands);
}

void bus_close(struct bus *b) {
    if (b == NULL)
        return;
    link_close(b->commands);
    feed_close(b->feed);
    uv_close((uv_handle_t *)&b->beat_timer, on_timer_closed);
}

/* --- what others tell it --- */

void bus_set_unfit(struct bus *b, bool is_unfit) {
    bool is_change = b->is_unfit != is_unfit;
    b->is_unfit = is_unfit;
    if (is_change && bus_can_send(b))
        send_beat(b);
}

void bus_subscribe(struct bus *b, struct bytes channel, const struct channel_events *events,
                   void *ctx) {
    feed_subscribe(b->feed, channel, events, ctx);
}

void bus_unsubscribe(struct bus *b, struct bytes channel) {
    feed_unsubscribe(b->feed, channel);
}
