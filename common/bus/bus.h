/*
 * bus.h - a process' place on the backplane: its connections to Redis, its id, its heartbeat.
 *
 *     commands   one link for everything that is asked and written (bus_send.h)
 *     feed       one link for what is published to channels (bus_subscribe); a tool opens its own
 *     blocking   one link for each partition that a broker reads (log/entry_reader.h)
 *
 * The bus checks that the cluster's number of partitions is ours; the first process decides it. It
 * sends a heartbeat every second (heartbeat.lua), which is also published to a channel of its own,
 * as a probe. A probe that was accepted and does not come back within 3 s means that the feed is
 * deaf, and the feed is made anew; one that does not come although a later one does means that the
 * feed was deaf in between. All links must go to one server (redis/one_server.h).
 *
 * Ready means that this process does its job now, all of it. /readyz shows bus_trouble: the links,
 * the probe, and what others have raised (redis/troubles.h).
 */
#ifndef SIGNALBOX_BUS_BUS_H
#define SIGNALBOX_BUS_BUS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

struct bus;
struct backlog;
struct cluster_secret;
struct channel_events;
struct link;
struct paging;
struct settings;
struct redis_url;
struct troubles;

enum bus_kind { BUS_GATEWAY, BUS_BROKER, BUS_TOOL /* no heartbeat, no feed, no id in Redis */ };

/* Listeners are called in the order they were added. All members may be NULL. */
struct bus_events {
    /* The commands link is up and the cluster's configuration is ours. */
    void (*on_commands)(void *ctx);
    /* The commands link broke. Unanswered commands have had their NULL. */
    void (*on_commands_lost)(void *ctx);
    /* The feed broke: its subscriptions are made again by themselves. */
    void (*on_feed_lost)(void *ctx, const char *why);
    /* The feed was deaf for a while and did not break: what it brings may lack messages. */
    void (*on_feed_skipped)(void *ctx);
    /* What was published before heartbeat `beat` was sent has come over the feed, or never will. */
    void (*on_feed_passed)(void *ctx, uint64_t beat);
    /* This process was declared dead; it has a new id and must begin anew (close its clients). */
    void (*on_declared_dead)(void *ctx);
    /* Redis lost its data while the links stood (FLUSHALL), and with them those of this process. */
    void (*on_forgotten)(void *ctx);
    /* The cluster runs with other settings than ours: one line; the process should end. It is said
     * at the start only: a process that ran with its settings waits until they are there again. */
    void (*on_mismatch)(void *ctx, const char *why);
};

/* NULL with one line on standard error when the URL or a file it needs is wrong. settings are
 * borrowed for life. */
MUST_CHECK struct bus *bus_new(uv_loop_t *loop, const struct settings *settings,
                               enum bus_kind kind);
/* At most 12. events and ctx are borrowed for life. */
void bus_listen(struct bus *b, const struct bus_events *events, void *ctx);
void bus_start(struct bus *b);
/* Looks anew at the files with the passwords and certificates for Redis, for the connections that
 * are made from then on. NULL, or one line about what is wrong and stays as it was (free()). */
MUST_CHECK char *bus_reload(struct bus *b);
/* Takes our id out of the heartbeat hash, so that nobody has to wait until we count as dead; then
 * calls on_left, on a later turn, also when Redis is away. No heartbeat follows. */
void bus_leave(struct bus *b, void (*on_left)(void *ctx), void *ctx);
/* The beginning of the end, while all that asked is still there: everything that Redis owes is
 * answered NULL, and nothing is sent any more. */
void bus_hang_up(struct bus *b);
/* Closes the links; memory goes when the loop has turned. */
void bus_close(struct bus *b);

/* Whether commands may be sent now. */
bool bus_can_send(const struct bus *b);
/* Whether the feed comes from where the commands go: only then do answers say what it brings. */
bool bus_is_on_one_server(const struct bus *b);
/* Whether a link of the caller's own goes to the same server as the commands. */
bool bus_goes_with_commands(const struct bus *b, const struct link *link);
/* The number of the next heartbeat, see on_feed_passed. */
uint64_t bus_next_beat(const struct bus *b);
/* Whether connections may be registered now: Redis has accepted a heartbeat of this id on this
 * connection, so that the brokers will notice if this process dies. */
bool bus_may_register(const struct bus *b);
/* How much waits in the public stream. */
struct backlog *bus_backlog(struct bus *b);
/* How many entries of a log one read may ask for, for all readers together. */
struct paging *bus_paging(struct bus *b);
/* Bytes of the largest entry, message or value that Redis takes, as far as it is known. */
size_t bus_largest(const struct bus *b);
/* The identity of the server (server_info.h) that has the fleet's keys. */
const char *bus_server(const struct bus *b);
/* The cluster's configuration is ours and, but for a tool, the probe comes back. */
bool bus_is_ready(const struct bus *b);
/* A broker that others should rank behind themselves (lease.h): its heartbeats say so. */
void bus_set_unfit(struct bus *b, bool is_unfit);
/* What keeps this process from its job, one line; "" when nothing does. Borrowed until the next
 * call. */
const char *bus_trouble(const struct bus *b);
/* What does not work and does not keep it from its job, likewise. */
const char *bus_note(const struct bus *b);
struct troubles *bus_troubles(struct bus *b);
/* What Redis refuses at present: "append.lua: OOM …", or "". */
const char *bus_refusals(struct bus *b);

uv_loop_t *bus_loop(struct bus *b);
const struct settings *bus_settings(const struct bus *b);
const struct redis_url *bus_url(const struct bus *b);
/* What stands for this process' fleet among the processes of a host: redis_url_fingerprint. */
const char *bus_fleet(const struct bus *b);
/* 16 hexadecimal digits, new at every start, and after we were declared dead. */
const char *bus_id(const struct bus *b);
unsigned bus_partitions(const struct bus *b);
/* Since when, by clock_ms, Redis has accepted our heartbeats without a break; 0: it does not at
 * present. A process that judges others by their silence counts from here: while our own heartbeat
 * is refused (MISCONF, NOREPLICAS …) theirs is too. A tool has no heartbeat: always 1. */
uint64_t bus_accepted_since(const struct bus *b);

/* What --cluster-secret-file says; never NULL. */
const struct cluster_secret *bus_cluster_secret(const struct bus *b);
/* Whether the fleet has another cluster secret than this process, or one where this process has
 * none: it would not be believed. Known once the configuration is read; daemons end then. */
bool bus_has_other_secret(const struct bus *b);
/* Something was ignored that is not signed with the cluster secret (proof.h). */
void bus_note_unproven(struct bus *b, const char *what, struct bytes about);

/* The server secret as this process knows it, "" before store_server_secret: it outlives a Redis
 * that forgot. The heartbeat renews its life in Redis. */
const char *bus_secret(const struct bus *b);
void bus_learn_secret(struct bus *b, struct bytes secret);

/* Subscriptions, which outlive reconnects: see feed_subscribe. A tool that wants any opens the feed
 * itself; a daemon has it from bus_start on. */
void bus_subscribe(struct bus *b, struct bytes channel, const struct channel_events *events,
                   void *ctx);
void bus_unsubscribe(struct bus *b, struct bytes channel);
void bus_open_feed(struct bus *b);

#endif
