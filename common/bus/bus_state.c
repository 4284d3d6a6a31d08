/* bus_state.c - what a bus says of itself, see bus.h: how ready it is, what is wrong, who it is. */
#include <stdio.h>
#include <string.h>

#include "common/base/settings.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/bus/bus_internal.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/feed.h"
#include "common/bus/redis/link.h"

/* One Redis serves all partitions. With Redis Cluster, the link to a node would be chosen here. */
static struct link *link_to(const struct bus *b, unsigned partition) {
    (void)partition;
    return b->commands;
}

void bus_send(struct bus *b, unsigned partition, struct command *c, reply_fn *fn, void *ctx) {
    link_send(link_to(b, partition), c, fn, ctx);
}

struct bulk *bus_bulk(struct bus *b, unsigned partition) {
    (void)partition;
    return &b->bulk;
}

bool bus_takes_now(const struct bus *b, unsigned partition, size_t bytes) {
    return link_takes_now(link_to(b, partition), bytes);
}

size_t bus_unsent(const struct bus *b, unsigned partition) {
    return link_backlog(link_to(b, partition));
}

/* A link that breaks answers NULL to what it owes before anybody hears of it: not then either. */
bool bus_can_send(const struct bus *b) {
    return b->is_configured && link_is_ready(b->commands);
}

bool bus_is_on_one_server(const struct bus *b) {
    return bus_can_send(b) && one_server_holds(&b->one_server);
}

bool bus_goes_with_commands(const struct bus *b, const struct link *link) {
    return bus_can_send(b) && strcmp(link_server(b->commands), link_server(link)) == 0;
}

uint64_t bus_next_beat(const struct bus *b) {
    return b->beat + 1;
}

bool bus_may_register(const struct bus *b) {
    return bus_can_send(b) && b->was_counted;
}

struct backlog *bus_backlog(struct bus *b) {
    return &b->backlog;
}

struct paging *bus_paging(struct bus *b) {
    return &b->paging;
}

void bus_set_largest(struct bus *b, size_t bytes) {
    link_set_largest(b->commands, bytes);
}

void bus_set_memory(struct bus *b, int64_t used, int64_t max) {
    b->memory_used = used;
    b->memory_max = max;
}

void bus_add_memory(struct bus *b, int64_t bytes) {
    b->memory_used += bytes;
}

bool bus_is_tight(const struct bus *b) {
    return b->memory_max > 0 && b->memory_used / 3 >= b->memory_max / 4;
}

size_t bus_history_share(const struct bus *b, size_t bytes) {
    int64_t eighth = b->memory_max / 8, left = b->memory_max - eighth - b->memory_used;
    if (!bus_is_tight(b) || left >= eighth)
        return bytes;
    return left > 0 ? (size_t)((double)bytes * (double)left / (double)eighth) : 0;
}

int64_t bus_ingest_share(const struct bus *b) {
    int64_t bytes = b->settings->max_ingest_bytes, most = b->memory_max / 4;
    return (most > 0 && most < bytes ? most : bytes) / b->partitions;
}

const char *bus_server(const struct bus *b) {
    return link_server(b->commands);
}

size_t bus_largest(const struct bus *b) {
    return b->commands != NULL ? link_largest(b->commands) : SIZE_MAX;
}

bool bus_is_ready(const struct bus *b) {
    if (!b->is_configured)
        return false;
    return b->kind == BUS_TOOL ||
           (b->probe_seen_ms != 0 && clock_ms() - b->probe_seen_ms <= DEAF_AFTER_MS &&
            bus_is_on_one_server(b));
}

void bus_refused(struct bus *b, const char *command, const struct redisReply *error) {
    refusals_note(&b->refusals, command, reply_bytes(error));
}

const char *bus_refusals(struct bus *b) {
    return refusals_text(&b->refusals);
}

static void describe_links(const struct bus *b, struct buf *out) {
    const char *refused = bus_refusals((struct bus *)b);
    if (!link_is_ready(b->commands))
        buf_printf(out, "redis: %s", link_trouble(b->commands));
    else if (!b->is_configured && *refused != '\0')
        buf_printf(out, "redis refuses %s", refused);
    else if (!b->is_configured && b->mismatch[0] != '\0')
        buf_printf(out, "redis: %s", b->mismatch);
    else if (!b->is_configured)
        buf_append_str(out, "redis: the cluster's configuration is not read yet");
    else if (!link_is_ready(feed_link(b->feed)))
        buf_printf(out, "redis feed: %s", link_trouble(feed_link(b->feed)));
    else if (!bus_is_on_one_server(b))
        buf_append_str(out, "redis feed: it goes to another server than the commands");
    else if (!trouble_is_raised(&b->beats_refused)) /* else there is nothing to come back */
        buf_append_str(out, "redis feed: the probe has not come back");
}

static const char *describe(const struct bus *b, bool is_blocking) {
    struct buf *out = &((struct bus *)b)->trouble;
    buf_clear(out);
    if (is_blocking && !bus_is_ready(b))
        describe_links(b, out);
    troubles_describe(b->troubles, b->kind == BUS_BROKER, is_blocking, out);
    if (is_blocking && !bus_is_ready(b) && out->len == 0)
        buf_append_str(out, "redis: the heartbeat is refused");
    buf_append_char(out, '\0');
    return out->ptr;
}

const char *bus_trouble(const struct bus *b) {
    return describe(b, true);
}

const char *bus_note(const struct bus *b) {
    return describe(b, false);
}

struct troubles *bus_troubles(struct bus *b) {
    return b->troubles;
}

uv_loop_t *bus_loop(struct bus *b) {
    return b->loop;
}

const struct settings *bus_settings(const struct bus *b) {
    return b->settings;
}

const struct redis_url *bus_url(const struct bus *b) {
    return &b->url;
}

const char *bus_fleet(const struct bus *b) {
    return b->fleet;
}

const char *bus_id(const struct bus *b) {
    return b->id;
}

unsigned bus_partitions(const struct bus *b) {
    return b->partitions;
}

uint64_t bus_accepted_since(const struct bus *b) {
    if (b->kind == BUS_TOOL)
        return 1;
    return clock_ms() - b->accepted_ms <= HEARTBEAT_GAP_MS ? b->accepted_since_ms : 0;
}

const struct cluster_secret *bus_cluster_secret(const struct bus *b) {
    return &b->cluster_secret;
}

bool bus_has_other_secret(const struct bus *b) {
    return b->has_other_secret;
}

void bus_note_unproven(struct bus *b, const char *what, struct bytes about) {
    struct buf why = {0};
    buf_printf(&why, "%s %.*s", what, BYTES_FMT(about));
    metrics_add(METRIC_unproven, 1);
    trouble_raise(&b->unproven, buf_bytes(&why));
    buf_deinit(&why);
}

const char *bus_secret(const struct bus *b) {
    return b->secret;
}

void bus_learn_secret(struct bus *b, struct bytes secret) {
    snprintf(b->secret, sizeof(b->secret), "%.*s", BYTES_FMT(secret));
}
