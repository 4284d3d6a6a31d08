/* registry.c - see registry.h: registering and unregistering. registry_query.c asks. */
#include "common/bus/cluster/registry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uv.h>

#include "common/bus/bus_send.h"
#include "common/bus/cluster/registry_lists.h"
#include "common/bus/redis/troubles.h"

/* A call of register.lua under way. */
struct registering {
    LIST_ENTRY(registering) link;
    struct registry *registry;
    registry_registered_fn *fn;
    void *ctx;
};

/* A call of unregister.lua that has to be answered some day. */
struct unregistering {
    TAILQ_ENTRY(unregistering) link;
    struct registry *registry;
    bool is_asked;
    struct registry_row row;
    struct bytes cause;
    char bytes[];
};

struct registry {
    struct bus *bus;
    LIST_HEAD(, registering) registering;
    TAILQ_HEAD(, unregistering) unregistering;
    size_t unregistering_count;
    uv_timer_t retry;
    struct trouble refused; /* register.lua, last time */
    struct registry_lists *lists;
};

struct bus *registry_bus(const struct registry *r) {
    return r->bus;
}

struct registry_lists *registry_lists_of(const struct registry *r) {
    return r->lists;
}

static struct bytes gateway_of(struct bytes value) {
    return bytes_split(&value, ':');
}

static void add_key(struct command *c, unsigned partition, enum partition_key what,
                    struct bytes tail) {
    struct buf key = {0};
    command_bytes(c, key_of(&key, partition, what, tail));
    buf_deinit(&key);
}

/* --- registering --- */

/* A key of the wrong type concerns one Name: no reason to keep all clients away. */
static void refused(struct registry *r, struct redisReply *reply) {
    bus_refused(r->bus, "register.lua", reply);
    if (!reply_is_error(reply, "WRONGTYPE") && !reply_is_error(reply, "DEAD"))
        trouble_raise(&r->refused, reply_bytes(reply));
}

static void on_registered(void *ctx, struct redisReply *reply) {
    struct registering *call = ctx;
    enum registered result = REGISTERED_FAILED;
    struct message_id position = MESSAGE_ID_NONE;
    if (reply != NULL && message_id_parse(reply_bytes(reply_at(reply, 1)), &position))
        result = reply_number(reply_at(reply, 0), 0) == 1 ? REGISTERED_OK : REGISTERED_ELSEWHERE;
    else if (reply != NULL)
        refused(call->registry, reply);
    if (result != REGISTERED_FAILED)
        trouble_clear(&call->registry->refused);
    LIST_REMOVE(call, link);
    if (call->fn != NULL)
        call->fn(call->ctx, result, position);
    free(call);
}

void registry_register(struct registry *r, const struct registration *what,
                       registry_registered_fn *fn, void *ctx) {
    MUST(bus_may_register(r->bus));
    unsigned p = partition_of(what->name, bus_partitions(r->bus));
    struct bytes gid = gateway_of(what->value);
    struct buf member = {0};
    struct command c = command_script(SCRIPT_register, 9);
    add_key(&c, p, KEY_CONNECTIONS, what->name);
    add_key(&c, p, KEY_GATEWAY, gid);
    add_key(&c, p, KEY_KNOWN_GATEWAYS, BYTES_NONE);
    add_key(&c, p, KEY_IN, BYTES_NONE);
    add_key(&c, p, KEY_OWN, BYTES_NONE);
    add_key(&c, p, KEY_LAST, what->name);
    add_key(&c, p, KEY_LAST_OF_ALL, BYTES_NONE);
    add_key(&c, p, KEY_CLIENT_IDS, BYTES_NONE);
    add_key(&c, p, KEY_SINCE, what->name);
    registry_member_encode(&member, &(struct registry_row){.name = what->name,
                                                           .client_id = what->client_id,
                                                           .value = what->value});
    command_bytes(&c, what->client_id);
    command_bytes(&c, what->value);
    command_bytes(&c, gid);
    command_bytes(&c, buf_bytes(&member));
    command_bytes(&c, what->name);
    command_text(&c, what->is_restore ? "1" : "0");
    command_bytes(&c, what->details);
    buf_deinit(&member);
    struct registering *call = mem_alloc(sizeof(*call));
    *call = (struct registering){.registry = r, .fn = fn, .ctx = ctx};
    LIST_INSERT_HEAD(&r->registering, call, link);
    bus_send(r->bus, p, &c, on_registered, call);
}

void registry_cancel(struct registry *r, void *ctx) {
    struct registering *call;
    LIST_FOREACH (call, &r->registering, link)
        if (call->ctx == ctx)
            call->fn = NULL;
}

/* --- unregistering --- */

static void on_unregistered(void *ctx, struct redisReply *reply) {
    struct unregistering *u = ctx;
    u->is_asked = false;
    if (reply_is_error(reply, NULL))
        bus_refused(u->registry->bus, "unregister.lua", reply);
    if (reply == NULL || reply_is_error(reply, NULL))
        return; /* asked again once the link is back, or by the timer of the next unregistration */
    TAILQ_REMOVE(&u->registry->unregistering, u, link);
    u->registry->unregistering_count--;
    free(u);
}

static void ask_unregister(struct unregistering *u) {
    struct bus *bus = u->registry->bus;
    unsigned p = partition_of(u->row.name, bus_partitions(bus));
    struct command c = registry_member_remove(bus, p, gateway_of(u->row.value), &u->row, u->cause);
    u->is_asked = true;
    bus_send(bus, p, &c, on_unregistered, u);
}

static struct bytes append_copy(char **to, struct bytes text) {
    char *copy = *to;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    *to += text.len;
    return bytes_of(copy, text.len);
}

void registry_unregister(struct registry *r, struct bytes name, struct bytes client_id,
                         struct bytes value, struct bytes cause) {
    struct unregistering *u =
        mem_zalloc(sizeof(*u) + name.len + client_id.len + value.len + cause.len);
    char *to = u->bytes;
    u->registry = r;
    u->row.name = append_copy(&to, name);
    u->row.client_id = append_copy(&to, client_id);
    u->row.value = append_copy(&to, value);
    u->cause = append_copy(&to, cause);
    TAILQ_INSERT_TAIL(&r->unregistering, u, link);
    r->unregistering_count++;
    if (bus_can_send(r->bus))
        ask_unregister(u);
}

static void ask_all(struct registry *r) {
    struct unregistering *u;
    TAILQ_FOREACH (u, &r->unregistering, link)
        if (!u->is_asked)
            ask_unregister(u);
}

static void on_commands(void *ctx) {
    ask_all(ctx);
}

/* Refused calls (Redis is busy) are repeated every second. */
static void on_retry(uv_timer_t *timer) {
    struct registry *r = container_of(timer, struct registry, retry);
    if (bus_can_send(r->bus))
        ask_all(r);
}

size_t registry_pending(const struct registry *r) {
    return r->unregistering_count;
}

/* --- life --- */

struct registry *registry_new(struct bus *bus) {
    static const struct bus_events events = {.on_commands = on_commands};
    struct registry *r = mem_zalloc(sizeof(*r));
    r->bus = bus;
    r->lists = registry_lists_new();
    trouble_init(&r->refused, bus_troubles(bus), TROUBLE_registering, "");
    LIST_INIT(&r->registering);
    TAILQ_INIT(&r->unregistering);
    MUST(uv_timer_init(bus_loop(bus), &r->retry) == 0);
    MUST(uv_timer_start(&r->retry, on_retry, 1000, 1000) == 0);
    bus_listen(bus, &events, r);
    return r;
}

static void on_timer_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct registry, retry));
}

void registry_free(struct registry *r) {
    struct unregistering *u;
    struct registering *call;
    if (r == NULL)
        return;
    while ((u = TAILQ_FIRST(&r->unregistering)) != NULL) {
        TAILQ_REMOVE(&r->unregistering, u, link);
        free(u);
    }
    while ((call = LIST_FIRST(&r->registering)) != NULL) {
        LIST_REMOVE(call, link);
        free(call);
    }
    trouble_clear(&r->refused);
    registry_lists_unref(r->lists);
    uv_close((uv_handle_t *)&r->retry, on_timer_closed);
}
