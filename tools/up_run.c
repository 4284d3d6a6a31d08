/* up_run.c - see up.h. Read up_run, then on_tick and on_child_signal. */
#include "tools/up.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/bus/redis/link.h"
#include "tools/http_get.h"
#include "tools/verb.h"

enum {
    TICK_MS = 150,
    ASK_MS = 1000,
    SAY_MS = 5000,
    DELAY_FIRST_MS = 250,
    DELAY_LAST_MS = 10000,
    LONG_RUN_MS = 30000,
    FRUITLESS_MAX = 3,
    KILL_MS = 10000,
    GATEWAY_KILL_MS = 45000 /* a gateway waits up to 30 s for clients that still read */
};

static void set_state(struct up *u, enum up_state to) {
    static const unsigned may_follow[] = {
        [UP_WAITS_FOR_REDIS] = 1 << UP_STARTING | 1 << UP_STOPPING,
        [UP_STARTING] = 1 << UP_RUNNING | 1 << UP_STOPPING,
        [UP_RUNNING] = 1 << UP_STOPPING,
        [UP_STOPPING] = 0,
    };
    MUST(may_follow[u->state] >> to & 1);
    u->state = to;
    u->said_ms = clock_ms();
}

/* --- the end --- */

static bool is_any_running(const struct up *u, enum up_role role) {
    for (int i = 0; i < u->member_count; i++)
        if (u->members[i].role == role && child_is_running(&u->members[i].child))
            return true;
    return false;
}

static void signal_role(struct up *u, enum up_role role, int number) {
    for (int i = 0; i < u->member_count; i++)
        if (u->members[i].role == role)
            child_signal(&u->members[i].child, number);
}

static const char *const role_names[] = {"the gateways", "the brokers", "Redis"};

static void on_kill(uv_timer_t *timer) {
    struct up *u = container_of(timer, struct up, kill_timer);
    child_say("%s did not end in time: killed", role_names[u->stopping]);
    signal_role(u, u->stopping, SIGKILL);
}

/* Asks the first role from this one on that still runs to end; after the last one the run is
 * over. */
static void stop_from(struct up *u, enum up_role role) {
    while (role < UP_ROLE_COUNT && !is_any_running(u, role))
        role++;
    u->stopping = role;
    if (role == UP_ROLE_COUNT) {
        uv_timer_stop(&u->kill_timer);
        tool_end(u->tool, u->exit_code);
        return;
    }
    uint64_t patience_ms = role == UP_GATEWAY ? GATEWAY_KILL_MS + (uint64_t)u->drain_ms : KILL_MS;
    child_say("stopping %s", role_names[role]);
    signal_role(u, role, SIGTERM);
    MUST(uv_timer_start(&u->kill_timer, on_kill, patience_ms, 0) == 0);
}

static void stop(struct up *u, int exit_code) {
    if (u->state == UP_STOPPING)
        return;
    set_state(u, UP_STOPPING);
    u->exit_code = exit_code;
    uv_timer_stop(&u->tick);
    for (int i = 0; i < u->member_count; i++)
        uv_timer_stop(&u->members[i].restart);
    link_close(u->redis_link);
    u->redis_link = NULL;
    stop_from(u, UP_GATEWAY);
}

/* The second signal kills everything at once. */
static void on_stop_signal(uv_signal_t *handle, int number) {
    struct up *u = container_of(handle, struct up_signal, handle)->up;
    (void)number;
    if (++u->stop_signals > 1)
        for (int role = 0; role < UP_ROLE_COUNT; role++)
            signal_role(u, (enum up_role)role, SIGKILL);
    stop(u, TOOL_OK);
}

/* --- starting, and starting again --- */

static int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool is_bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                    getsockname(fd, (struct sockaddr *)&address, &len) == 0;
    if (fd >= 0)
        close(fd);
    return is_bound ? ntohs(address.sin_port) : 0;
}

/* At each start, since another program may have taken the last port meanwhile. */
static void choose_admin_port(struct up_member *m) {
    struct up *u = m->up;
    char text[32];
    int64_t place = m - u->members - (u->has_own_redis ? 1 : 0);
    m->admin_port = u->admin_base > 0 ? (int)(u->admin_base + place) : free_port();
    snprintf(text, sizeof(text), "127.0.0.1:%d", m->admin_port);
    free(m->child.arguments[m->admin_argument]);
    m->child.arguments[m->admin_argument] = mem_strdup(text);
}

static void start(struct up_member *m) {
    int result;
    if (m->role != UP_REDIS)
        choose_admin_port(m);
    m->is_ready = false;
    m->started_ms = clock_ms();
    snprintf(m->trouble, sizeof(m->trouble), "it has just been started");
    result = child_start(&m->child, &m->up->tool->loop);
    if (result < 0) {
        child_say("%s cannot be started: %s", m->child.name, uv_strerror(result));
        stop(m->up, TOOL_FAILED);
    }
}

static void on_restart(uv_timer_t *timer) {
    start(container_of(timer, struct up_member, restart));
}

static void start_role(struct up *u, enum up_role role) {
    for (int i = 0; i < u->member_count && u->state != UP_STOPPING; i++)
        if (u->members[i].role == role)
            start(&u->members[i]);
}

static void start_again(struct up_member *m, int status) {
    char how[80];
    child_describe_end(status, how);
    if (clock_ms() - m->started_ms >= LONG_RUN_MS)
        m->delay_ms = 0;
    m->fruitless = m->is_ready ? 0 : m->fruitless + 1;
    m->is_ready = false;
    if (m->fruitless >= FRUITLESS_MAX && !m->was_ready) {
        child_say("%s ended (%s) %d times before it was ready: giving up", m->child.name, how,
                  FRUITLESS_MAX);
        stop(m->up, TOOL_FAILED);
        return;
    }
    m->delay_ms = m->delay_ms == 0 ? DELAY_FIRST_MS : 2 * m->delay_ms;
    m->delay_ms = m->delay_ms > DELAY_LAST_MS ? DELAY_LAST_MS : m->delay_ms;
    child_say("%s ended (%s): starting it again in %g s", m->child.name, how,
              (double)m->delay_ms / 1000);
    MUST(uv_timer_start(&m->restart, on_restart, m->delay_ms, 0) == 0);
}

static void on_child_signal(uv_signal_t *handle, int number) {
    struct up *u = container_of(handle, struct up_signal, handle)->up;
    int status;
    (void)number;
    for (int i = 0; i < u->member_count; i++)
        if (child_reap(&u->members[i].child, &status) && u->state != UP_STOPPING)
            start_again(&u->members[i], status);
    if (u->state == UP_STOPPING && !is_any_running(u, u->stopping))
        stop_from(u, u->stopping);
}

/* --- which are ready --- */

static void on_ready(struct up_member *m) {
    struct up *u = m->up;
    m->is_ready = true;
    m->was_ready = true;
    m->trouble[0] = '\0';
    child_say("%s is ready", m->child.name);
    for (int i = 0; i < u->member_count; i++)
        if (u->members[i].role != UP_REDIS && !u->members[i].is_ready)
            return;
    if (u->state == UP_STARTING) {
        set_state(u, UP_RUNNING);
        u->on_running(u);
    }
}

static void on_readyz(void *ctx, int status, struct bytes body) {
    struct up_member *m = ctx;
    m->is_asked = false;
    if (m->up->state == UP_STOPPING || !child_is_running(&m->child) || m->is_ready)
        return;
    if (body.len > 0 && body.ptr[body.len - 1] == '\n')
        body.len--;
    snprintf(m->trouble, sizeof(m->trouble), "%.*s", BYTES_FMT(body));
    if (status == 200)
        on_ready(m);
}

static void ask(struct up_member *m) {
    if (m->role == UP_REDIS || m->is_ready || m->is_asked || !child_is_running(&m->child))
        return;
    m->is_asked = true;
    http_get(&m->up->tool->loop, "127.0.0.1", m->admin_port, "/readyz", ASK_MS, on_readyz, m);
}

static void say_trouble(struct up *u) {
    if (u->state == UP_WAITS_FOR_REDIS)
        child_say("waiting for Redis: %s", link_trouble(u->redis_link));
    for (int i = 0; u->state != UP_WAITS_FOR_REDIS && i < u->member_count; i++)
        if (u->members[i].trouble[0] != '\0' && u->members[i].role != UP_REDIS)
            child_say("waiting for %s: %s", u->members[i].child.name, u->members[i].trouble);
}

static void on_tick(uv_timer_t *timer) {
    struct up *u = container_of(timer, struct up, tick);
    uint64_t now = clock_ms();
    bool is_late = now - u->begun_ms > (uint64_t)u->tool->timeout_ms;
    if (u->state == UP_WAITS_FOR_REDIS && !u->has_own_redis && is_late) {
        struct buf redis = {0};
        settings_append_shown(&redis, u->redis_url);
        child_say("no Redis at %.*s: %s", BYTES_FMT(buf_bytes(&redis)),
                  link_trouble(u->redis_link));
        buf_deinit(&redis);
        stop(u, TOOL_FAILED);
        return;
    }
    for (int i = 0; i < u->member_count; i++)
        ask(&u->members[i]);
    if (now - u->said_ms >= SAY_MS) {
        u->said_ms = now;
        say_trouble(u);
    }
}

/* --- Redis first --- */

static void on_redis(void *ctx) {
    struct up *u = ctx;
    link_close(u->redis_link);
    u->redis_link = NULL;
    for (int i = 0; i < u->member_count; i++)
        if (u->members[i].role == UP_REDIS)
            u->members[i].is_ready = u->members[i].was_ready = true;
    child_say("Redis is ready");
    set_state(u, UP_STARTING);
    start_role(u, UP_BROKER);
    start_role(u, UP_GATEWAY);
}

static void on_redis_down(void *ctx, const char *why) {
    (void)ctx;
    (void)why;
}

static void begin(void *ctx) {
    static const struct link_events events = {.on_ready = on_redis, .on_down = on_redis_down};
    struct up *u = ctx;
    u->begun_ms = u->said_ms = clock_ms();
    if (u->has_own_redis)
        start_role(u, UP_REDIS);
    if (u->state == UP_STOPPING)
        return;
    u->redis_link = link_new(&u->tool->loop, &u->parsed_url, LINK_BLOCKING, "up", &events, u);
    MUST(uv_timer_start(&u->tick, on_tick, TICK_MS, TICK_MS) == 0);
}

/* --- the run --- */

static void listen_for(struct up *u, struct up_signal *s, int number, uv_signal_cb fn) {
    s->up = u;
    MUST(uv_signal_init(&u->tool->loop, &s->handle) == 0);
    MUST(uv_signal_start(&s->handle, fn, number) == 0);
}

int up_run(struct up *u, void (*on_running)(const struct up *u)) {
    uv_loop_t *loop = &u->tool->loop;
    u->on_running = on_running;
    listen_for(u, &u->on_child, SIGCHLD, on_child_signal);
    listen_for(u, &u->on_int, SIGINT, on_stop_signal);
    listen_for(u, &u->on_term, SIGTERM, on_stop_signal);
    listen_for(u, &u->on_hup, SIGHUP, on_stop_signal);
    MUST(uv_timer_init(loop, &u->tick) == 0);
    MUST(uv_timer_init(loop, &u->kill_timer) == 0);
    for (int i = 0; i < u->member_count; i++)
        MUST(uv_timer_init(loop, &u->members[i].restart) == 0);
    int exit_code = tool_run_offline(u->tool, begin, u);
    uv_handle_t *const handles[] = {(uv_handle_t *)&u->on_child.handle,
                                    (uv_handle_t *)&u->on_int.handle,
                                    (uv_handle_t *)&u->on_term.handle,
                                    (uv_handle_t *)&u->on_hup.handle,
                                    (uv_handle_t *)&u->tick,
                                    (uv_handle_t *)&u->kill_timer};
    for (size_t i = 0; i < ARRAY_LEN(handles); i++)
        uv_close(handles[i], NULL);
    for (int i = 0; i < u->member_count; i++)
        uv_close((uv_handle_t *)&u->members[i].restart, NULL);
    return exit_code;
}
