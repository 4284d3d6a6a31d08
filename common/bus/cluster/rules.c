/* rules.c - see rules.h. The hash KEY_RULES holds the values; a notice says what changed. */
#include "common/bus/cluster/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "common/base/buf.h"
#include "common/base/table.h"
#include "common/bus/bus_send.h"
#include "common/bus/notice.h"
#include "common/bus/proof.h"
#include "common/bus/redis/feed.h"
#include "common/bus/redis/troubles.h"
#include "common/net/later.h"

enum { RELOAD_MS = 30000, AGAIN_MS = 1000 };

/* A field that is known to be set, so that a reload notices its removal. */
struct known {
    UT_hash_handle hh;
    bool is_seen;
    size_t len;
    char field[];
};

struct rules {
    struct bus *bus;
    void (*on_change)(void *ctx, struct bytes field, struct bytes value);
    void *ctx;
    void (*on_notice)(void *ctx, const struct notice *n);
    void *notice_ctx;
    struct known *known;
    uv_timer_t reload_timer;
    bool is_reading, is_stale, is_freed;
    struct trouble unread;
};

struct setting {
    struct rules *rules;
    rules_done_fn *fn;
    void *ctx;
    char *field, *value;
    size_t field_len, value_len;
};

static void apply(struct rules *r, struct bytes field, struct bytes value) {
    struct known *k;
    HASH_FIND(hh, r->known, field.ptr, field.len, k);
    if (k == NULL && value.len > 0) {
        k = mem_zalloc(sizeof(*k) + field.len);
        k->len = field.len;
        memcpy(k->field, field.ptr, field.len);
        HASH_ADD_KEYPTR(hh, r->known, k->field, k->len, k);
    }
    if (k != NULL)
        k->is_seen = true;
    r->on_change(r->ctx, field, value);
    if (k != NULL && value.len == 0) {
        HASH_DEL(r->known, k);
        free(k);
    }
}

/* --- reading --- */

static void read_all(struct rules *r);
static void on_reload_timer(uv_timer_t *timer);

static void on_all(void *ctx, struct redisReply *reply) {
    struct rules *r = ctx;
    struct known *k, *next;
    r->is_reading = false;
    if (reply == NULL || r->is_freed)
        return;
    if (reply_is_error(reply, NULL)) {
        bus_refused(r->bus, "HGETALL of the rules", reply);
        trouble_raise(&r->unread, reply_bytes(reply));
        MUST(uv_timer_start(&r->reload_timer, on_reload_timer, AGAIN_MS, RELOAD_MS) == 0);
        return;
    }
    trouble_clear(&r->unread);
    HASH_ITER (hh, r->known, k, next)
        k->is_seen = false;
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2) {
        struct bytes field = reply_bytes(reply_at(reply, i)), value;
        bool is_text = field.ptr != NULL;
        if (is_text &&
            proof_take(r->bus, "rule", field, reply_bytes(reply_at(reply, i + 1)), &value))
            apply(r, field, value);
    }
    HASH_ITER (hh, r->known, k, next) {
        if (!k->is_seen) {
            r->on_change(r->ctx, bytes_of(k->field, k->len), BYTES_NONE);
            HASH_DEL(r->known, k);
            free(k);
        }
    }
    if (r->is_stale)
        read_all(r);
}

static void read_all(struct rules *r) {
    r->is_stale = r->is_reading;
    if (r->is_reading || r->is_freed || !bus_can_send(r->bus))
        return;
    struct command c = command_begin("HGETALL");
    command_text(&c, fleet_key(KEY_RULES));
    r->is_reading = true;
    bus_send(r->bus, BUS_FLEET, &c, on_all, r);
}

static void on_reload_timer(uv_timer_t *timer) {
    read_all(container_of(timer, struct rules, reload_timer));
}

static void on_commands(void *ctx) {
    read_all(ctx);
}

/* Notices may have been missed. */
static void on_feed_skipped(void *ctx) {
    read_all(ctx);
}

static void on_commands_lost(void *ctx) {
    ((struct rules *)ctx)->is_reading = false;
}

/* --- notices: "rule" carries the value, so that a change holds as soon as it is read --- */

static void on_subscribed(void *ctx) {
    read_all(ctx);
}

static void on_message(void *ctx, struct bytes payload) {
    struct rules *r = ctx;
    struct notice n;
    if (!notice_read(r->bus, payload, &n))
        return;
    if (n.kind == NOTICE_rule) {
        r->is_stale = r->is_reading; /* what is being read may be older */
        apply(r, n.rule.field, n.rule.value);
    } else if (r->on_notice != NULL) {
        r->on_notice(r->notice_ctx, &n);
    }
}

void rules_on_notice(struct rules *r, void (*on_notice)(void *ctx, const struct notice *n),
                     void *ctx) {
    r->on_notice = on_notice;
    r->notice_ctx = ctx;
}

/* --- setting: stored, then published, then done --- */

static void free_setting(struct setting *s) {
    free(s->field);
    free(s->value);
    free(s);
}

static void end_setting(struct setting *s, int status) {
    if (s->fn != NULL)
        s->fn(s->ctx, status);
    free_setting(s);
}

static void on_told(void *ctx, bool is_sent) {
    end_setting(ctx, is_sent ? 0 : -ENOTCONN);
}

static void on_stored(void *ctx, struct redisReply *reply) {
    struct setting *s = ctx;
    struct rules *r = s->rules;
    if (reply_is_error(reply, NULL))
        bus_refused(r->bus, "a change of the rules", reply);
    if (reply == NULL || reply_is_error(reply, NULL) || !bus_can_send(r->bus)) {
        end_setting(s, reply != NULL && reply_is_error(reply, NULL) ? -EIO : -ENOTCONN);
        return;
    }
    struct bytes field = bytes_of(s->field, s->field_len), value = bytes_of(s->value, s->value_len);
    struct notice n = {.kind = NOTICE_rule, .rule = {.field = field, .value = value}};
    notice_send_then(r->bus, &n, on_told, s);
    r->is_stale = r->is_reading;
    apply(r, field, value);
}

static void fail_setting(void *setting) {
    struct setting *s = setting;
    if (s->fn != NULL)
        s->fn(s->ctx, -ENOTCONN);
    free_setting(s);
}

static void add_proven(struct command *c, const struct bus *b, struct bytes field,
                       struct bytes value) {
    struct buf text = {0};
    proof_append(b, &text, "rule", field, value);
    command_bytes(c, buf_bytes(&text));
    buf_deinit(&text);
}

void rules_set(struct rules *r, struct bytes field, struct bytes value, rules_done_fn *fn,
               void *ctx) {
    struct setting *s = mem_zalloc(sizeof(*s));
    *s = (struct setting){.rules = r, .fn = fn, .ctx = ctx};
    s->field = bytes_dup(field);
    s->field_len = field.len;
    s->value = bytes_dup(value);
    s->value_len = value.len;
    if (!bus_can_send(r->bus)) {
        later(bus_loop(r->bus), fail_setting, s);
        return;
    }
    struct command c = command_begin(value.len > 0 ? "HSET" : "HDEL");
    command_text(&c, fleet_key(KEY_RULES));
    command_bytes(&c, field);
    if (value.len > 0)
        add_proven(&c, r->bus, field, value);
    bus_send(r->bus, BUS_FLEET, &c, on_stored, s);
}

/* --- life --- */

struct rules *rules_new(struct bus *bus,
                        void (*on_change)(void *ctx, struct bytes field, struct bytes value),
                        void *ctx) {
    static const struct bus_events events = {.on_commands = on_commands,
                                             .on_commands_lost = on_commands_lost,
                                             .on_feed_skipped = on_feed_skipped};
    static const struct channel_events channel_events = {.on_subscribed = on_subscribed,
                                                         .on_message = on_message};
    struct rules *r = mem_zalloc(sizeof(*r));
    *r = (struct rules){.bus = bus, .on_change = on_change, .ctx = ctx};
    trouble_init(&r->unread, bus_troubles(bus), TROUBLE_rules, "");
    MUST(uv_timer_init(bus_loop(bus), &r->reload_timer) == 0);
    MUST(uv_timer_start(&r->reload_timer, on_reload_timer, RELOAD_MS, RELOAD_MS) == 0);
    bus_listen(bus, &events, r);
    notice_listen(bus, &channel_events, r);
    return r;
}

static void on_timer_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct rules, reload_timer));
}

void rules_free(struct rules *r) {
    struct known *k, *next;
    if (r == NULL)
        return;
    r->is_freed = true;
    notice_listen_end(r->bus);
    trouble_clear(&r->unread);
    HASH_ITER (hh, r->known, k, next) {
        HASH_DEL(r->known, k);
        free(k);
    }
    uv_close((uv_handle_t *)&r->reload_timer, on_timer_closed);
}
