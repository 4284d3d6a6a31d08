/* reap.c - see reap.h. entomb ─▶ SSCAN page ─▶ disc for each member ─▶ next page … ─▶ SREM gws. */
#include "common/bus/cluster/reap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/queue.h>

#include "common/base/log.h"
#include "common/bus/bus_send.h"

enum { PAGE = 500 };

struct reap {
    LIST_ENTRY(reap) link;
    struct bus *bus;
    unsigned partition;
    char gateway[40];
    char scan[24];  /* SSCAN's cursor */
    size_t pending; /* disc calls without answer */
    size_t removed;
    bool is_broken;
};

struct reaps {
    struct bus *bus;
    LIST_HEAD(, reap) running;
};

bool reap_read_member(struct bytes member, struct bytes *name_out, struct bytes *client_id_out,
                      struct bytes *value_out) {
    ptrdiff_t first = bytes_find(member, '\0');
    if (first < 0)
        return false;
    *name_out = bytes_head(member, (size_t)first);
    member = bytes_from(member, (size_t)first + 1);
    ptrdiff_t second = bytes_find(member, '\0');
    if (second < 0)
        return false;
    *client_id_out = bytes_head(member, (size_t)second);
    *value_out = bytes_from(member, (size_t)second + 1);
    return value_out->len > 0;
}

static struct bytes set_key(const struct reap *r, struct buf *out) {
    return key_of(out, r->partition, "g:", bytes_str(r->gateway));
}

static void end(struct reap *r) {
    LIST_REMOVE(r, link);
    free(r);
}

/* Whether to go on; frees the reap otherwise. */
static bool is_good(struct reap *r, const struct redisReply *reply) {
    if (reply != NULL && !reply_is_error(reply, NULL))
        return true;
    if (reply != NULL)
        bus_refused(r->bus, "reaping", reply);
    log_warn("reap", "broke_off gateway=%s partition=%u", r->gateway, r->partition);
    end(r);
    return false;
}

/* --- the end --- */

static void on_forgotten(void *ctx, struct redisReply *reply) {
    struct reap *r = ctx;
    if (!is_good(r, reply))
        return;
    if (r->removed > 0)
        log_info("reap", "reaped gateway=%s partition=%u connections=%zu", r->gateway, r->partition,
                 r->removed);
    end(r);
}

static void forget(struct reap *r) {
    struct buf key = {0};
    struct command c = command_begin("SREM");
    command_bytes(&c, key_of(&key, r->partition, "gws", BYTES_NONE));
    command_text(&c, r->gateway);
    buf_deinit(&key);
    bus_send(r->bus, r->partition, &c, on_forgotten, r);
}

/* --- a page --- */

static void scan(struct reap *r);

static void page_done(struct reap *r) {
    if (r->pending > 0)
        return;
    if (r->is_broken)
        end(r);
    else if (strcmp(r->scan, "0") == 0)
        forget(r);
    else
        scan(r);
}

static void on_removed(void *ctx, struct redisReply *reply) {
    struct reap *r = ctx;
    r->pending--;
    r->is_broken = r->is_broken || reply == NULL || reply_is_error(reply, NULL);
    if (reply_is_error(reply, NULL))
        bus_refused(r->bus, "unregister.lua", reply);
    r->removed += reply_number(reply, 0) == 1;
    page_done(r);
}

static void remove_member(struct reap *r, struct bytes member) {
    struct bytes name, client_id, value;
    struct buf key = {0};
    if (!reap_read_member(member, &name, &client_id, &value))
        return; /* the mark of fence_gateway.lua */
    struct command c = command_script(SCRIPT_unregister, 3);
    command_bytes(&c, key_of(&key, r->partition, "c:", name));
    command_bytes(&c, set_key(r, &key));
    command_bytes(&c, key_of(&key, r->partition, "in", BYTES_NONE));
    command_bytes(&c, client_id);
    command_bytes(&c, value);
    command_bytes(&c, member);
    command_bytes(&c, name);
    command_text(&c, "lost:1006:gateway");
    buf_deinit(&key);
    r->pending++;
    bus_send(r->bus, r->partition, &c, on_removed, r);
}

static void on_page(void *ctx, struct redisReply *reply) {
    struct reap *r = ctx;
    if (!is_good(r, reply))
        return;
    struct redisReply *members = reply_at(reply, 1);
    snprintf(r->scan, sizeof(r->scan), "%.*s", BYTES_FMT(reply_bytes(reply_at(reply, 0))));
    for (size_t i = 0; i < reply_count(members); i++)
        remove_member(r, reply_bytes(reply_at(members, i)));
    page_done(r);
}

static void scan(struct reap *r) {
    struct buf key = {0};
    struct command c = command_begin("SSCAN");
    command_bytes(&c, set_key(r, &key));
    command_text(&c, r->scan);
    command_text(&c, "COUNT");
    command_number(&c, PAGE);
    buf_deinit(&key);
    bus_send(r->bus, r->partition, &c, on_page, r);
}

/* --- the beginning --- */

static void on_entombed(void *ctx, struct redisReply *reply) {
    struct reap *r = ctx;
    if (is_good(r, reply))
        scan(r);
}

static bool is_running(const struct reaps *all, unsigned partition, struct bytes gateway) {
    struct reap *r;
    LIST_FOREACH (r, &all->running, link)
        if (r->partition == partition && bytes_equal_str(gateway, r->gateway))
            return true;
    return false;
}

void reap_start(struct reaps *all, unsigned partition, struct bytes gateway) {
    if (is_running(all, partition, gateway))
        return;
    struct reap *r = mem_zalloc(sizeof(*r));
    struct buf key = {0};
    *r = (struct reap){.bus = all->bus, .partition = partition, .scan = "0"};
    snprintf(r->gateway, sizeof(r->gateway), "%.*s", BYTES_FMT(gateway));
    LIST_INSERT_HEAD(&all->running, r, link);
    struct command c = command_script(SCRIPT_fence_gateway, 1);
    command_bytes(&c, set_key(r, &key));
    command_number(&c, REAP_TOMB_SECONDS);
    buf_deinit(&key);
    bus_send(r->bus, r->partition, &c, on_entombed, r);
}

struct reaps *reaps_new(struct bus *bus) {
    struct reaps *all = mem_zalloc(sizeof(*all));
    all->bus = bus;
    LIST_INIT(&all->running);
    return all;
}

void reaps_free(struct reaps *all) {
    if (all == NULL)
        return;
    while (!LIST_EMPTY(&all->running))
        end(LIST_FIRST(&all->running));
    free(all);
}
