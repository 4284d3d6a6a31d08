/*
 * cmd_fleet.c - drain, reload: notices on the control channel, and what the processes make of them.
 *
 * Who is told "reload" may answer "reloaded <id>" or "reloaded <id> <error>" on the same channel;
 * who does not answer within ANSWER_MS is counted as told.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/admin/roster.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/bus/feed.h"
#include "common/bus/link.h"
#include "common/bus/partition.h"
#include "common/bus/rules.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

enum { LOOK_PAUSE_MS = 500, GRACE_MS = 30000, ANSWER_MS = 3000, NOTICE_MAX = 128 };

static void on_change(void *ctx, struct bytes field, struct bytes value) {
    (void)ctx;
    (void)field;
    (void)value;
}

/* --- drain --- */

struct drain {
    int64_t over_ms; /* option */
    struct tool *tool;
    struct rules *rules;
    uv_timer_t timer;
    uint64_t until_ms;
    char id[40];
    int64_t connections;
};

static void on_look(uv_timer_t *timer);

static void look_again(struct drain *d) {
    MUST(uv_timer_start(&d->timer, on_look, LOOK_PAUSE_MS, 0) == 0);
}

static const struct roster_row *find(const struct roster_row *rows, size_t count, const char *id) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].id, id) == 0)
            return &rows[i];
    return NULL;
}

static void on_progress(void *ctx, int status, const struct roster_row *rows, size_t count) {
    struct drain *d = ctx;
    const struct roster_row *row = find(rows, count, d->id);
    bool is_late = clock_ms() >= d->until_ms;
    if (status == 0 && row == NULL) {
        fprintf(stderr, "%s is gone\n", d->id);
        tool_end(d->tool, TOOL_OK);
        return;
    }
    if (status == 0 && row->connections != d->connections) {
        d->connections = row->connections;
        fprintf(stderr, "%s has %" PRId64 " connections left\n", d->id, d->connections);
    }
    if (status == 0 && row->connections == 0) {
        tool_end(d->tool, TOOL_OK);
    } else if (is_late) {
        tool_complain(d->tool, "%s still has connections", d->id);
        tool_end(d->tool, TOOL_FAILED);
    } else {
        look_again(d);
    }
}

static void on_look(uv_timer_t *timer) {
    struct drain *d = container_of(timer, struct drain, timer);
    (void)roster_look(d->tool->bus, ROSTER_GATEWAYS, 0, on_progress, d);
}

/* GATEWAY is an id or the beginning of one. */
static const struct roster_row *choose(const struct drain *d, const struct roster_row *rows,
                                       size_t count) {
    const char *wanted = d->tool->arguments[0];
    const struct roster_row *chosen = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(rows[i].id, wanted, strlen(wanted)) != 0)
            continue;
        if (chosen != NULL) {
            tool_complain(d->tool, "several gateways begin with '%s'", wanted);
            return NULL;
        }
        chosen = &rows[i];
    }
    if (chosen == NULL)
        tool_complain(d->tool, "there is no gateway '%s'; `signalbox gateways` lists them", wanted);
    return chosen;
}

static void on_gateways(void *ctx, int status, const struct roster_row *rows, size_t count) {
    struct drain *d = ctx;
    char notice[NOTICE_MAX];
    if (status < 0) {
        tool_end_lost(d->tool);
        return;
    }
    const struct roster_row *row = choose(d, rows, count);
    if (row == NULL) {
        tool_end(d->tool, TOOL_FAILED);
        return;
    }
    snprintf(d->id, sizeof(d->id), "%s", row->id);
    d->connections = -1;
    d->until_ms = clock_ms() + (uint64_t)d->over_ms + GRACE_MS;
    snprintf(notice, sizeof(notice), "drain %s %" PRId64, d->id, d->over_ms);
    rules_notify(d->rules, bytes_str(notice));
    look_again(d);
}

static void drain_on_ready(void *ctx) {
    struct drain *d = ctx;
    (void)roster_look(d->tool->bus, ROSTER_GATEWAYS, 0, on_gateways, d);
}

static int run_drain(struct tool *t, void *own) {
    struct drain *d = own;
    d->tool = t;
    if (!tool_connect(t))
        return TOOL_USAGE;
    d->rules = rules_new(t->bus, on_change, d);
    MUST(uv_timer_init(&t->loop, &d->timer) == 0);
    int exit_code = tool_run(t, drain_on_ready, d);
    uv_close((uv_handle_t *)&d->timer, NULL);
    rules_free(d->rules);
    return exit_code;
}

static const struct option drain_options[] = {
    {.name = "over",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct drain, over_ms),
     .placeholder = "TIME",
     .help = "the closes are spread over this time",
     .initial = "60s"},
};

const struct verb verb_drain = {
    .name = "drain",
    .arguments = "GATEWAY",
    .summary = "take a gateway out: not ready, then its connections closed over a time",
    .details =
        "GATEWAY is an id of `signalbox gateways`, or the beginning of one. Progress goes to "
        "standard\nerror; the exit status is 0 once no connection is left.",
    .flags = VERB_REDIS,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = drain_options,
    .option_count = ARRAY_LEN(drain_options),
    .size = sizeof(struct drain),
    .run = run_drain};

/* --- reload --- */

struct reload {
    struct tool *tool;
    struct rules *rules;
    struct link *link; /* hears the answers */
    struct feed *feed;
    uv_timer_t timer;
    size_t expected, answered, failed;
    bool knows_gateways, has_told;
};

static void reload_end(struct reload *r) {
    size_t silent = r->expected > r->answered ? r->expected - r->answered : 0;
    const char *format = r->tool->is_json
                             ? "{\"told\":%zu,\"reloaded\":%zu,\"failed\":%zu,\"silent\":%zu}\n"
                             : "told %zu processes: %zu reloaded, %zu failed, %zu did not answer\n";
    printf(format, r->expected, r->answered - r->failed, r->failed, silent);
    tool_end(r->tool, r->failed > 0 ? TOOL_FAILED : TOOL_OK);
}

static void on_answer_timer(uv_timer_t *timer) {
    reload_end(container_of(timer, struct reload, timer));
}

/* "reloaded <id>[ <error>]" */
static void on_notice(struct reload *r, struct bytes text) {
    if (!bytes_equal(bytes_split(&text, ' '), BYTES_LIT("reloaded")) || !r->has_told)
        return;
    struct bytes id = bytes_split(&text, ' ');
    struct buf shown = {0};
    r->answered++;
    if (text.len > 0) {
        r->failed++;
        table_append_shown(&shown, text);
        tool_complain(r->tool, "%.*s: %.*s", BYTES_FMT(id), BYTES_FMT(buf_bytes(&shown)));
        buf_deinit(&shown);
    }
    if (r->answered == r->expected)
        reload_end(r);
}

static void tell(struct reload *r) {
    if (r->has_told)
        return;
    r->has_told = true;
    rules_notify(r->rules, BYTES_LIT("reload"));
    MUST(uv_timer_start(&r->timer, on_answer_timer, r->expected > 0 ? ANSWER_MS : 0, 0) == 0);
}

static void on_push(void *ctx, struct redisReply *reply) {
    struct reload *r = ctx;
    struct bytes kind = reply_bytes(reply_at(reply, 0));
    if (bytes_equal(kind, BYTES_LIT("subscribe"))) {
        (void)feed_on_subscribed(r->feed, r->link, reply_bytes(reply_at(reply, 1)));
        tell(r);
    } else if (bytes_equal(kind, BYTES_LIT("message"))) {
        on_notice(r, reply_bytes(reply_at(reply, 2)));
    }
}

static void on_feed_ready(void *ctx) {
    struct reload *r = ctx;
    feed_on_ready(r->feed, r->link);
}

static void on_feed_down(void *ctx, const char *why) {
    struct reload *r = ctx;
    (void)why;
    feed_on_down(r->feed);
}

static void on_processes(void *ctx, int status, const struct roster_row *rows, size_t count) {
    static const struct link_events events = {on_feed_ready, on_feed_down, on_push};
    struct reload *r = ctx;
    if (status < 0) {
        tool_end_lost(r->tool);
        return;
    }
    for (size_t i = 0; i < count; i++)
        r->expected += rows[i].is_alive;
    if (!r->knows_gateways) {
        r->knows_gateways = true;
        (void)roster_look(r->tool->bus, ROSTER_BROKERS, ROSTER_PATIENCE_MS, on_processes, r);
        return;
    }
    feed_subscribe(r->feed, NULL, bytes_str(fleet_channel(CHANNEL_CONTROL)));
    r->link = link_new(&r->tool->loop, bus_url(r->tool->bus), LINK_FEED, "control", &events, r);
}

static void reload_on_ready(void *ctx) {
    struct reload *r = ctx;
    (void)roster_look(r->tool->bus, ROSTER_GATEWAYS, ROSTER_PATIENCE_MS, on_processes, r);
}

static int run_reload(struct tool *t, void *own) {
    struct reload *r = own;
    r->tool = t;
    if (!tool_connect(t))
        return TOOL_USAGE;
    r->feed = feed_new();
    r->rules = rules_new(t->bus, on_change, r);
    MUST(uv_timer_init(&t->loop, &r->timer) == 0);
    int exit_code = tool_run(t, reload_on_ready, r);
    uv_close((uv_handle_t *)&r->timer, NULL);
    link_close(r->link);
    feed_free(r->feed);
    rules_free(r->rules);
    return exit_code;
}

const struct verb verb_reload = {
    .name = "reload",
    .arguments = "",
    .summary = "app file and certificates anew, in every process, without dropping a connection",
    .flags = VERB_REDIS | VERB_JSON,
    .size = sizeof(struct reload),
    .run = run_reload};
