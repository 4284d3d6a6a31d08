/*
 * up.h - shared by the files of `up`.
 *
 *     cmd_up.c     the command line, the plan, what is printed
 *     up_run.c     the run: Redis first, then all daemons, restarts, the orderly end
 *     up_redis.c   the private Redis     up_listen.c   ports     child.c   one process
 *
 *     REDIS ─reached─▶ STARTING ─all ready─▶ RUNNING
 *       └────────────────┴─── signal, or given up ──▶ STOPPING: gateways, brokers, Redis
 */
#ifndef SIGNALBOX_TOOLS_UP_H
#define SIGNALBOX_TOOLS_UP_H

#include "common/bus/redis/redis_url.h"
#include "tools/child.h"
#include "tools/tool.h"

struct link;
struct up;

enum { UP_DAEMONS_MAX = 64, UP_MEMBERS_MAX = 2 * UP_DAEMONS_MAX + 1, UP_URL_MAX = 512 };

/* Stopped in this order, started in the opposite one. */
enum up_role { UP_GATEWAY, UP_BROKER, UP_REDIS, UP_ROLE_COUNT };

struct up_member {
    struct up *up;
    enum up_role role;
    struct child child;
    int admin_port, admin_argument; /* place of "127.0.0.1:PORT" among the arguments */
    char url[UP_URL_MAX];           /* a gateway: what people open; "" otherwise */
    bool is_ready, was_ready, is_asked;
    unsigned fruitless; /* how often in a row it ended before it was ready */
    unsigned delay_ms;  /* before the next start */
    uint64_t started_ms;
    uv_timer_t restart;
    char trouble[160]; /* why it is not ready */
};

enum up_state { UP_WAITS_FOR_REDIS, UP_STARTING, UP_RUNNING, UP_STOPPING };

struct up_signal {
    uv_signal_t handle;
    struct up *up;
};

struct up {
    /* options */
    int64_t gateways, brokers, admin_base;
    /* --json: the original standard output. File descriptor 1 is standard error then, so that the
     * lines of the processes are kept out of the JSON. */
    int json_fd;
    /* the plan */
    struct tool *tool;
    const char *app_path;
    char redis_url[TOOL_URL_MAX];
    const char *token_file; /* of the admin listeners */
    char fleet[FLEET_FINGERPRINT_SIZE];
    bool has_own_redis;
    struct up_member members[UP_MEMBERS_MAX];
    int member_count;
    int64_t drain_ms;
    /* the run */
    void (*on_running)(const struct up *u);
    enum up_state state;
    enum up_role stopping;
    int exit_code;
    unsigned stop_signals;
    struct redis_url parsed_url;
    struct link *redis_link;
    uint64_t begun_ms, said_ms;
    struct up_signal on_int, on_term, on_hup, on_child;
    uv_timer_t tick, kill_timer;
};

/* Runs the plan to its end and returns the exit code. on_running is called once, when all are
 * ready. */
int up_run(struct up *u, void (*on_running)(const struct up *u));

#endif
