/* cluster.c - see cluster.h. */
#include "gateway/cluster.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/app/app.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/bus/bus.h"
#include "common/bus/notice.h"
#include "common/bus/log/follower.h"
#include "common/bus/cluster/store.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/cluster/report.h"
#include "common/bus/cluster/rules.h"
#include "gateway/gateway.h"
#include "gateway/conn/identity.h"
#include "gateway/conn/ws.h"

enum { NOTICED_MS = 5000, WINDOW = 512 };

struct rule {
    char *field, *value;
    UT_hash_handle hh;
};

/* ---- rules */

static void forget_rule(struct cluster *c, struct rule *rule) {
    HASH_DEL(c->rules, rule);
    free(rule->field);
    free(rule->value);
    free(rule);
}

void cluster_on_rule(void *ctx, struct bytes field, struct bytes value) {
    struct cluster *c = ctx;
    struct rule *rule;
    HASH_FIND(hh, c->rules, field.ptr, field.len, rule);
    if (rule != NULL)
        forget_rule(c, rule);
    if (value.len > 0) {
        rule = mem_zalloc(sizeof(*rule));
        rule->field = bytes_dup(field);
        rule->value = bytes_dup(value);
        HASH_ADD_KEYPTR(hh, c->rules, rule->field, field.len, rule);
    }
    if (c->gateway->app != NULL)
        app_apply_rule(c->gateway->app, field, value);
}

void cluster_on_app(struct cluster *c) {
    struct rule *rule, *next;
    HASH_ITER (hh, c->rules, rule, next)
        app_apply_rule(c->gateway->app, bytes_str(rule->field), bytes_str(rule->value));
    if (c->server_secret != NULL)
        app_set_server_secret(c->gateway->app, bytes_str(c->server_secret));
}

static void on_server_secret(void *ctx, int status, struct bytes value) {
    struct cluster *c = ctx;
    if (status < 0 || value.len == 0)
        return; /* asked again when Redis is back */
    free(c->server_secret);
    c->server_secret = bytes_dup(value);
    app_set_server_secret(c->gateway->app, value);
}

/* ---- restoring registrations */

struct restore {
    struct cluster *cluster;
    uint64_t number;
    struct message_id stood_at; /* its Name's log here, when it was asked */
};

static void go_on(struct cluster *c);

static void on_restored(void *ctx, enum registered result, struct message_id position) {
    struct restore *one = ctx;
    struct cluster *c = one->cluster;
    struct ws *ws = clients_by_number(&c->gateway->clients, one->number);
    if (result != REGISTERED_FAILED && ws != NULL && ws->entry != NULL)
        follow_compare(ws->entry->follow, one->stood_at, position);
    free(one);
    c->in_flight--;
    if (result == REGISTERED_FAILED && ws != NULL) {
        ws->restored = c->round - 1;
        c->has_to_wait = true;
    }
    if (result == REGISTERED_ELSEWHERE && ws != NULL) {
        ws_forget_registration(ws);
        ws_close(ws, CLOSE_REPLACED);
    }
    go_on(c);
}

static void restore(struct cluster *c, struct ws *ws) {
    struct restore *one = mem_zalloc(sizeof(*one));
    *one = (struct restore){.cluster = c, .number = ws->who->number};
    if (ws->entry != NULL)
        one->stood_at = follow_position(ws->entry->follow);
    struct registration what = {.name = ws->who->name,
                                .client_id = ws->who->client_id,
                                .value = ws->who->value,
                                .is_restore = true};
    ws->restored = c->round;
    c->in_flight++;
    registry_register(c->gateway->registry, &what, on_restored, one);
}

/* Once along all connections. One that moves to a place already passed has been registered lately
 * or is found by the next round; so the walk ends with another look from the start. */
static struct ws *next_to_restore(struct cluster *c) {
    struct conns *conns = &c->gateway->conns;
    for (; c->cursor < conns->count; c->cursor++) {
        struct ws *ws = ws_of(conns->all[c->cursor]);
        if (ws != NULL && ws->is_registered && ws->restored < c->round)
            return ws;
    }
    return NULL;
}

static void go_on(struct cluster *c) {
    struct ws *ws;
    while (c->is_restoring && !c->has_to_wait && c->in_flight < WINDOW &&
           bus_may_register(c->gateway->bus)) {
        ws = next_to_restore(c);
        if (ws == NULL) {
            c->cursor = 0;
            ws = next_to_restore(c);
        }
        if (ws == NULL && c->in_flight > 0)
            return; /* one of them may be refused */
        if (ws == NULL) {
            c->is_restoring = false;
            reconcile_start(&c->gateway->reconcile);
            log_info("cluster", "restored_registrations round=%llu", (unsigned long long)c->round);
            return;
        }
        restore(c, ws);
    }
}

static void begin_round(struct cluster *c) {
    c->round++;
    c->cursor = 0;
    c->is_restoring = true;
    go_on(c);
}

/* ---- Redis may lose data without losing a connection (FLUSHALL, an older snapshot): now and then
 * one registration is looked up; is it gone, the others may be, too. */

static void on_probed(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct restore *one = ctx;
    struct cluster *c = one->cluster;
    struct ws *ws = clients_by_number(&c->gateway->clients, one->number);
    (void)rows;
    free(one);
    if (status < 0 || count > 0 || ws == NULL || !ws->is_registered || c->is_restoring)
        return;
    log_warn("cluster", "missed_registration id=%s name=%s", LOG_TEXT(ws->who->client_id),
             LOG_TEXT(ws->who->name));
    begin_round(c);
}

void cluster_probe(struct cluster *c) {
    struct conns *conns = &c->gateway->conns;
    c->has_to_wait = false;
    go_on(c);
    if (conns->count == 0 || c->is_restoring || !bus_can_send(c->gateway->bus))
        return;
    struct ws *ws = ws_of(conns->all[random_below(conns->count)]);
    if (ws == NULL || !ws->is_registered)
        return;
    struct restore *one = mem_zalloc(sizeof(*one));
    *one = (struct restore){.cluster = c, .number = ws->who->number};
    registry_find(c->gateway->registry, ws->who->name, ws->who->client_id, on_probed, one);
}

/* ---- the bus */

static void on_commands(void *ctx) {
    struct cluster *c = ctx;
    struct gateway *g = c->gateway;
    const char *run_id = bus_run_id(g->bus);
    bool is_other = c->was_ready && strcmp(run_id, c->run_id) != 0;
    bool was_long = c->was_ready && uv_now(g->loop) - c->lost_ms > NOTICED_MS;
    snprintf(c->run_id, sizeof(c->run_id), "%s", run_id);
    c->was_ready = true;
    store_server_secret(g->bus, on_server_secret, c);
    if (is_other || was_long)
        begin_round(c);
    else
        go_on(c);
}

/* Redis lost its data under standing connections. */
static void on_forgotten(void *ctx) {
    struct cluster *c = ctx;
    store_server_secret(c->gateway->bus, on_server_secret, c);
    begin_round(c);
}

static void on_commands_lost(void *ctx) {
    struct cluster *c = ctx;
    c->lost_ms = uv_now(c->gateway->loop);
    log_info("cluster", "lost_redis reason=%s", LOG_TEXT(bytes_str(bus_trouble(c->gateway->bus))));
}

static void close_buried(struct conn *conn, void *ctx) {
    struct ws *ws = ws_of(conn);
    (void)ctx;
    if (ws == NULL || ws->who->is_local)
        return;
    ws_forget_registration(ws);
    ws_close(ws, CLOSE_BURIED);
}

static void on_buried(void *ctx) {
    struct cluster *c = ctx;
    log_warn("cluster", "buried clients=%zu", c->gateway->clients.count);
    conns_each(&c->gateway->conns, close_buried, NULL);
}

static void on_mismatch(void *ctx, const char *why) {
    (void)ctx;
    fprintf(stderr, "signalbox-gateway: %s\n", why);
    exit(1);
}

static const struct bus_events bus_events = {
    .on_commands = on_commands,
    .on_commands_lost = on_commands_lost,
    .on_buried = on_buried,
    .on_forgotten = on_forgotten,
    .on_mismatch = on_mismatch,
};

/* ---- notices */

static void send_report(struct cluster *c, struct report *report, struct bytes token) {
    report_send(report, c->gateway->bus, token);
    report_deinit(report);
}

static void reload(struct cluster *c, struct bytes token) {
    struct report report = {0};
    gateway_reload(c->gateway, &report);
    send_report(c, &report, token);
}

static void drain(struct cluster *c, const struct notice_drain *n) {
    struct report report = {0};
    if (!drain_start(&c->gateway->drain, n->over_ms, n->exits ? DRAIN_ENDS : DRAIN_STAYS))
        report_error(&report, "the process is ending already");
    send_report(c, &report, n->token);
}

static void undrain(struct cluster *c, struct bytes token) {
    struct report report = {0};
    char *error = NULL;
    if (drain_stop(&c->gateway->drain, &error) < 0) {
        report_error(&report, "%s", error);
        free(error);
    }
    send_report(c, &report, token);
}

static void on_notice(void *ctx, const struct notice *n) {
    struct cluster *c = ctx;
    const char *id = bus_id(c->gateway->bus);
    if (n->kind == NOTICE_reload)
        reload(c, n->reload.token);
    else if (n->kind == NOTICE_trace)
        trace_on_notice(&c->gateway->trace, &n->trace);
    else if (n->kind == NOTICE_drain && bytes_equal_str(n->drain.id, id))
        drain(c, &n->drain);
    else if (n->kind == NOTICE_undrain && bytes_equal_str(n->undrain.id, id))
        undrain(c, n->undrain.token);
}

void cluster_init(struct cluster *c, struct gateway *g) {
    *c = (struct cluster){.gateway = g};
    bus_listen(g->bus, &bus_events, c);
    rules_on_notice(g->rules, on_notice, c);
}

void cluster_deinit(struct cluster *c) {
    struct rule *rule, *next;
    HASH_ITER (hh, c->rules, rule, next)
        forget_rule(c, rule);
    free(c->server_secret);
}
