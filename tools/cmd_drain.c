/*
 * cmd_drain.c - drain, undrain: take one gateway out of service, and back. Both choose the gateway
 * from the roster, notify it over the control channel, and need its answer; drain then watches the
 * roster until the gateway is drained.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/admin/roster.h"
#include "common/base/clock.h"
#include "common/bus/notice.h"
#include "common/bus/cluster/about.h"
#include "common/bus/cluster/report.h"
#include "tools/control.h"
#include "tools/table.h"
#include "tools/tool.h"
#include "tools/verb.h"

enum { LOOK_PAUSE_MS = 500, GRACE_MS = 30000 };

struct drain {
    int64_t over_ms; /* options */
    bool exits;
    struct tool *tool;
    struct control control;
    uv_timer_t timer; /* the answer, then the next look */
    uint64_t until_ms;
    char id[40];
    int64_t connections;
};

static bool is_drain(const struct drain *d) {
    return d->tool->verb == &verb_drain;
}

static void end(struct drain *d, const char *state) {
    struct buf json = {0};
    tool_append_json(&json, "{\"gateway\":", bytes_str(d->id));
    tool_append_json(&json, ",\"state\":", bytes_str(state));
    buf_append_char(&json, '}');
    if (d->tool->is_json)
        tool_print(&json);
    else
        table_line(stdout, "%s %s", d->id,
                   strcmp(state, "alive") == 0 ? "takes connections" : state);
    buf_deinit(&json);
    tool_end(d->tool, TOOL_OK);
}

/* --- watching it drain --- */

static void on_look(uv_timer_t *timer);

static void on_progress(void *ctx, int status, const struct roster_row *rows, size_t count) {
    struct drain *d = ctx;
    const struct roster_row *row = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].id, d->id) == 0)
            row = &rows[i];
    if (status == 0 && row == NULL) {
        end(d, "ended");
        return;
    }
    if (status == 0 && row->connections != d->connections) {
        d->connections = row->connections;
        table_line(stderr, "%s has %" PRId64 " connections left", d->id, d->connections);
    }
    if (status == 0 && strcmp(row->about->state, "drained") == 0) {
        end(d, "drained");
    } else if (status == 0 && strcmp(row->about->state, "alive") == 0) {
        tool_complain(d->tool, "%s takes connections again: somebody undrained it", d->id);
        tool_end(d->tool, TOOL_FAILED);
    } else if (clock_ms() >= d->until_ms) {
        tool_complain(d->tool, "%s is still not drained %" PRId64 " s after its time was over",
                      d->id, (int64_t)GRACE_MS / 1000);
        tool_end(d->tool, TOOL_FAILED);
    } else {
        MUST(uv_timer_start(&d->timer, on_look, LOOK_PAUSE_MS, 0) == 0);
    }
}

static void on_look(uv_timer_t *timer) {
    struct drain *d = container_of(timer, struct drain, timer);
    (void)roster_look(d->tool->bus, ROSTER_GATEWAYS, 0, on_progress, d);
}

/* --- notifying it --- */

static void on_no_answer(uv_timer_t *timer) {
    struct drain *d = container_of(timer, struct drain, timer);
    tool_complain(d->tool, "%s did not answer within %g s: it has lost Redis, or it hangs", d->id,
                  (double)d->tool->timeout_ms / 1000);
    tool_end(d->tool, TOOL_FAILED);
}

static void on_open(void *ctx) {
    struct drain *d = ctx;
    struct bytes id = bytes_str(d->id), token = bytes_str(d->control.token);
    struct notice n = {.kind = NOTICE_undrain, .undrain = {.id = id, .token = token}};
    if (is_drain(d))
        n = (struct notice){
            .kind = NOTICE_drain,
            .drain = {
                .id = id, .over_ms = (uint64_t)d->over_ms, .token = token, .exits = d->exits}};
    notice_send(d->tool->bus, &n);
}

static void on_report(void *ctx, struct bytes id, bool has_failed, struct bytes lines) {
    struct drain *d = ctx;
    struct report_line line;
    if (!bytes_equal_str(id, d->id))
        return;
    while (report_next(&lines, &line))
        tool_complain(d->tool, "%s: %.*s", d->id, BYTES_FMT(line.text));
    if (has_failed) {
        tool_end(d->tool, TOOL_FAILED);
    } else if (is_drain(d)) {
        d->until_ms = clock_ms() + (uint64_t)d->over_ms + GRACE_MS;
        MUST(uv_timer_start(&d->timer, on_look, 0, 0) == 0);
    } else {
        end(d, "alive");
    }
}

/* --- choosing it --- */

/* GATEWAY is an id or the beginning of one. */
static const struct roster_row *choose(const struct drain *d, const struct roster_row *rows,
                                       size_t count) {
    const char *wanted = d->tool->arguments[0];
    const struct roster_row *chosen = NULL;
    for (size_t i = 0; i < count && *wanted != '\0'; i++) {
        if (strncmp(rows[i].id, wanted, strlen(wanted)) != 0)
            continue;
        if (chosen != NULL && strcmp(chosen->id, wanted) == 0)
            break; /* rows are sorted: the whole id comes first */
        if (chosen != NULL) {
            tool_complain(d->tool, "several gateways begin with '%s'", wanted);
            return NULL;
        }
        chosen = &rows[i];
    }
    if (chosen == NULL)
        tool_complain(d->tool, "there is no gateway '%s'; `signalbox gateways` lists them", wanted);
    else if (chosen->is_known && !chosen->is_alive)
        tool_complain(d->tool,
                      "%s is silent, so it cannot be notified; if it is dead, the brokers end its "
                      "connections after --dead-after-ms",
                      chosen->id);
    return chosen != NULL && (chosen->is_alive || !chosen->is_known) ? chosen : NULL;
}

static bool takes_connections(const struct roster_row *row) {
    return strcmp(roster_state(row), "alive") == 0;
}

static void warn_of_the_last(const struct drain *d, const struct roster_row *chosen,
                             const struct roster_row *rows, size_t count) {
    size_t others = 0;
    for (size_t i = 0; i < count; i++)
        others += &rows[i] != chosen && takes_connections(&rows[i]);
    if (others == 0 && takes_connections(chosen))
        tool_complain(d->tool,
                      "%s is the last gateway that takes connections: clients have nowhere "
                      "to go until another one does",
                      chosen->id);
}

static void on_gateways(void *ctx, int status, const struct roster_row *rows, size_t count) {
    static const struct control_events events = {on_open, on_report};
    struct drain *d = ctx;
    if (tool_ends_lost(d->tool, status < 0))
        return;
    const struct roster_row *row = choose(d, rows, count);
    if (row == NULL) {
        tool_end(d->tool, TOOL_FAILED);
        return;
    }
    if (is_drain(d))
        warn_of_the_last(d, row, rows, count);
    snprintf(d->id, sizeof(d->id), "%s", row->id);
    d->connections = -1;
    control_open(&d->control, d->tool, &events, d);
    MUST(uv_timer_start(&d->timer, on_no_answer, (uint64_t)d->tool->timeout_ms, 0) == 0);
}

static void on_ready(void *ctx) {
    struct drain *d = ctx;
    (void)roster_look(d->tool->bus, ROSTER_GATEWAYS, ROSTER_PATIENCE_MS, on_gateways, d);
}

static int run(struct tool *t, void *own) {
    struct drain *d = own;
    d->tool = t;
    if (!tool_connect(t))
        return TOOL_USAGE;
    MUST(uv_timer_init(&t->loop, &d->timer) == 0);
    int exit_code = tool_run(t, on_ready, d);
    uv_close((uv_handle_t *)&d->timer, NULL);
    control_close(&d->control);
    return exit_code;
}

static const struct option drain_options[] = {
    {"over", OPTION_DURATION, offsetof(struct drain, over_ms), "TIME",
     "spread the closes over this time", .initial = "60s"},
    {"exit", OPTION_FLAG, offsetof(struct drain, exits), NULL,
     "end the process afterwards; a supervisor that restarts it brings it back"},
};

const struct verb verb_drain = {
    .name = "drain",
    .arguments = "GATEWAY",
    .summary = "take a gateway out of service: close its connections over a time",
    .details =
        "GATEWAY is an id of `signalbox gateways`, or the beginning of one. The gateway is no\n"
        "longer ready, stops listening, and closes its connections with 1001. The process\n"
        "stays, drained, until `signalbox undrain` takes it back into service, or a signal or\n"
        "--exit ends it. Progress goes to standard error; the exit status is 0 once no\n"
        "connection is left. A second drain sets the time anew.",
    .flags = VERB_REDIS | VERB_JSON,
    VERB_COUNT(1, 1),
    VERB_OPTIONS(drain_options),
    VERB_RUN(struct drain, run)};

const struct verb verb_undrain = {
    .name = "undrain",
    .arguments = "GATEWAY",
    .summary = "take a drained gateway back into service",
    .details = "The gateway listens and is ready again. If a drain is under way, the connections\n"
               "that are left stay. A gateway that does not drain is left as it is.",
    .flags = VERB_REDIS | VERB_JSON,
    VERB_COUNT(1, 1),
    VERB_RUN(struct drain, run)};
