/* cast.c - see cast.h. */
#include "tests/world/story/cast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/world/network.h"
#include "tests/world/redis/host.h"
#include "tests/world/redis/model.h"
#include "tests/world/story/books.h"

int gateway_main(int argc, char **argv);
int broker_main(int argc, char **argv);

struct actor {
    struct process *process;
    unsigned holds;
    bool may_end;
    struct event start;
};

static struct actor actors[CAST_MAX];
static unsigned actor_count, gateway_count;
static struct redis_host *redis;

static struct actor *actor_of(const struct process *p) {
    struct actor *a = actors;
    while (a->process != p)
        a++;
    return a;
}

static void on_start(struct event *e) {
    struct actor *a = container_of(e, struct actor, start);
    if (a->holds > 0 || process_is_alive(a->process))
        return;
    a->may_end = false;
    process_start(a->process);
    sim_log(process_name(a->process), "starts, its life %u", process_life(a->process));
}

static void start_soon(struct actor *a, uint64_t most_us) {
    event_set(&a->start, sim_now_us() + dice_between(sim_dice(), 1, most_us), on_start);
}

static void on_end(struct process *p, void *ctx) {
    struct actor *a = ctx;
    bool is_killed = process_state(p) == PROCESS_KILLED;
    if (a - actors < gateway_count)
        books.has_gateway_died[a - actors] = true;
    sim_log(process_name(p), is_killed ? "is dead" : "has ended: %d", process_exit_code(p));
    if (!is_killed && (!a->may_end || process_exit_code(p) != 0))
        violate("I8", "%s ended by itself with status %d", process_name(p), process_exit_code(p));
    if (a->holds == 0)
        start_soon(a, 500 * SIM_MS);
}

static void add(const char *app, bool is_gateway, unsigned index) {
    static const char token[] = "/admin-token", file[] = "/app.lua";
    char name[32], host[32], admin[48], app_path[512], token_path[512];
    snprintf(name, sizeof(name), "%s%u", is_gateway ? "gateway" : "broker", index + 1);
    snprintf(host, sizeof(host), "10.0.%d.%u", is_gateway ? 1 : 2, index + 1);
    snprintf(admin, sizeof(admin), "%s:9090", host);
    snprintf(app_path, sizeof(app_path), "%s%s", app, file);
    snprintf(token_path, sizeof(token_path), "%s%s", app, token);
    const char *argv[32] = {is_gateway ? "signalbox-gateway" : "signalbox-broker",
                            app_path,
                            "--redis",
                            "redis://redis:6379",
                            "--admin",
                            admin,
                            "--admin-token-file",
                            token_path};
    const char *const gateway_argv[] = {
        "--ping-ms", "5000", "--pong-timeout-ms", "4000", "--drain-ms", "1000", NULL};
    const char *const broker_argv[] = {"--lease-ms", "2000", "--dead-after-ms", "5000", NULL};
    size_t count = 8;
    for (const char *const *more = is_gateway ? gateway_argv : broker_argv; *more != NULL; more++)
        argv[count++] = *more;
    if (getenv("WORLD_DEBUG") != NULL) {
        argv[count++] = "--log-level";
        argv[count++] = "debug";
    }
    struct actor *a = &actors[actor_count++];
    *a = (struct actor){.process =
                            process_new(name, host, is_gateway ? gateway_main : broker_main, argv)};
    process_on_end(a->process, on_end, a);
    start_soon(a, 300 * SIM_MS);
}

static void on_publish(void *ctx, struct bytes channel, struct bytes payload) {
    (void)ctx;
    books_on_publish(channel.ptr, channel.len, payload.ptr, payload.len);
}

void cast_begin(const char *app, unsigned gateways, unsigned brokers) {
    actor_count = 0;
    gateway_count = gateways;
    redis = redis_host_new(REDIS_HOST);
    net_name("redis", REDIS_HOST);
    redis_model_tap(cast_redis_model(), on_publish, NULL);
    for (unsigned i = 0; i < gateways; i++)
        add(app, true, i);
    for (unsigned i = 0; i < brokers; i++)
        add(app, false, i);
}

unsigned cast_count(void) {
    return actor_count;
}

struct process *cast_process(unsigned at) {
    return actors[at].process;
}

struct process *cast_of(enum whom whom, unsigned index) {
    return actors[whom == WHOM_BROKER ? gateway_count + index : index].process;
}

void cast_hold(struct process *p) {
    actor_of(p)->holds++;
}

void cast_release(struct process *p) {
    struct actor *a = actor_of(p);
    if (--a->holds == 0)
        start_soon(a, SIM_MS);
}

bool cast_will_end(struct process *p) {
    struct actor *a = actor_of(p);
    bool is_first = process_is_alive(p) && !a->may_end;
    a->may_end = a->may_end || is_first;
    return is_first;
}

bool cast_is_up(void) {
    for (unsigned i = 0; i < actor_count; i++) {
        if (!process_is_alive(actors[i].process))
            return false;
    }
    return true;
}

struct redis_host *cast_redis(void) {
    return redis;
}

struct redis_model *cast_redis_model(void) {
    return redis_host_model(redis);
}

uint64_t cast_redis_wall_us(void) {
    return redis_host_wall_us(redis);
}
