/* about.c - see about.h. */
#include "common/bus/cluster/about.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/must.h"
#include "common/base/settings.h"
#include "common/bus/bus_send.h"

struct about {
    struct bus *bus;
    char host[64];
    char *listen, *admin;
    const char *state;
    uv_timer_t timer;
    bool is_freed;
};

/* --- writing --- */

static void add_key(struct command *c, const char *id) {
    char key[FLEET_NAME_MAX + 64];
    snprintf(key, sizeof(key), "%s%s", fleet_key(KEY_ABOUT), id);
    command_text(c, key);
}

static void add_field(struct command *c, const char *field, const char *value) {
    command_text(c, field);
    command_text(c, value);
}

/* In one transaction, so that no hash is left without an expiry. */
static void write_all(struct about *a) {
    if (a->is_freed || !bus_can_send(a->bus))
        return;
    struct command begin = command_begin("MULTI"), exec = command_begin("EXEC");
    struct command set = command_begin("HSET"), expire = command_begin("EXPIRE");
    char pid[24];
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    add_key(&set, bus_id(a->bus));
    add_field(&set, "host", a->host);
    add_field(&set, "pid", pid);
    add_field(&set, "version", SIGNALBOX_VERSION);
    add_field(&set, "state", a->state);
    add_field(&set, "listen", a->listen);
    add_field(&set, "admin", a->admin);
    add_key(&expire, bus_id(a->bus));
    command_number(&expire, ABOUT_TTL_S);
    bus_send(a->bus, BUS_FLEET, &begin, NULL, NULL);
    bus_send(a->bus, BUS_FLEET, &set, NULL, NULL);
    bus_send(a->bus, BUS_FLEET, &expire, NULL, NULL);
    bus_send(a->bus, BUS_FLEET, &exec, NULL, NULL);
}

static void on_timer(uv_timer_t *timer) {
    write_all(container_of(timer, struct about, timer));
}

static void on_due(void *ctx) {
    write_all(ctx);
}

void about_set_state(struct about *a, const char *state) {
    a->state = state;
    write_all(a);
}

struct about *about_new(struct bus *bus, struct bytes listen, const char *admin) {
    static const struct bus_events events = {
        .on_commands = on_due, .on_declared_dead = on_due, .on_forgotten = on_due};
    struct about *a = mem_zalloc(sizeof(*a));
    *a = (struct about){.bus = bus, .state = "alive"};
    a->listen = bytes_dup(listen);
    a->admin = mem_strdup(admin);
    if (gethostname(a->host, sizeof(a->host)) != 0)
        a->host[0] = '\0';
    a->host[sizeof(a->host) - 1] = '\0';
    MUST(uv_timer_init(bus_loop(bus), &a->timer) == 0);
    MUST(uv_timer_start(&a->timer, on_timer, ABOUT_RENEW_MS, ABOUT_RENEW_MS) == 0);
    uv_unref((uv_handle_t *)&a->timer);
    bus_listen(bus, &events, a);
    return a;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct about *a = container_of((uv_timer_t *)handle, struct about, timer);
    free(a->listen);
    free(a->admin);
    free(a);
}

void about_free(struct about *a) {
    if (a == NULL || a->is_freed)
        return;
    a->is_freed = true;
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

/* --- reading what another process wrote --- */

struct asking {
    about_fn *fn;
    void *ctx;
};

static void read_field(struct about_row *row, struct bytes field, struct bytes value) {
    const struct {
        const char *name;
        char *text;
    } texts[] = {{"host", row->host},
                 {"version", row->version},
                 {"state", row->state},
                 {"listen", row->listen},
                 {"admin", row->admin}};
    uint64_t pid;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (bytes_equal_str(field, texts[i].name))
            snprintf(texts[i].text, ABOUT_TEXT_MAX, "%.*s",
                     BYTES_FMT(bytes_head(value, ABOUT_TEXT_MAX - 1)));
    if (bytes_equal_str(field, "pid") && bytes_to_u64(value, &pid) && pid <= INT64_MAX)
        row->pid = (int64_t)pid;
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct asking *asking = ctx;
    struct about_row row = {0};
    for (size_t i = 0; reply != NULL && i + 1 < reply_count(reply); i += 2)
        read_field(&row, reply_bytes(reply_at(reply, i)), reply_bytes(reply_at(reply, i + 1)));
    asking->fn(asking->ctx, reply == NULL ? -ENOTCONN : 0, &row);
    free(asking);
}

void about_ask(struct bus *bus, const char *id, about_fn *fn, void *ctx) {
    struct command c = command_begin("HGETALL");
    struct asking *asking = mem_alloc(sizeof(*asking));
    *asking = (struct asking){fn, ctx};
    add_key(&c, id);
    bus_send(bus, BUS_FLEET, &c, on_answer, asking);
}
