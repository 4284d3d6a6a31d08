/* The link through Sentinel, over a failover, and over TLS: with real servers. */
#include "common/bus/link.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/bus/redis_url.h"
#include "tests/common/bus/redis_server.h"

struct room {
    uv_loop_t loop;
    uv_timer_t timer;
    struct redis_url url;
    struct link *link;
    bool is_over;
    unsigned ready;
    char run_id[64];
};

static void on_ready(void *ctx) {
    struct room *room = ctx;
    room->ready++;
    snprintf(room->run_id, sizeof(room->run_id), "%s", link_run_id(room->link));
}

static void on_down(void *ctx, const char *why) {
    (void)ctx, (void)why;
}

static const struct link_events events = {on_ready, on_down, NULL};

static void on_time_up(uv_timer_t *timer) {
    container_of(timer, struct room, timer)->is_over = true;
}

static void turn(struct room *room, unsigned ms, unsigned until_ready) {
    room->is_over = false;
    uv_update_time(&room->loop);
    uv_timer_start(&room->timer, on_time_up, ms, 0);
    while (!room->is_over && (until_ready == 0 || room->ready < until_ready))
        uv_run(&room->loop, UV_RUN_ONCE);
    if (until_ready > 0 && room->ready < until_ready)
        fail_msg("the link says: %s", link_trouble(room->link));
}

static void room_init(struct room *room) {
    memset(room, 0, sizeof(*room));
    assert_int_equal(uv_loop_init(&room->loop), 0);
    uv_timer_init(&room->loop, &room->timer);
}

static void room_deinit(struct room *room) {
    link_close(room->link);
    uv_close((uv_handle_t *)&room->timer, NULL);
    uv_run(&room->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&room->loop), 0);
}

static void open_link(struct room *room, const char *format, ...) PRINTF_LIKE(2, 3);
static void open_link(struct room *room, const char *format, ...) {
    char text[300], error[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert_int_equal(redis_url_parse(&room->url, text, error), 0);
    room->link = link_new(&room->loop, &room->url, LINK_COMMANDS, "test", &events, room);
}

/* A sentinel that needs no other to agree. `password`: its own and Redis'. */
static void start_sentinel(struct redis_server *s, const struct redis_server *master,
                           const char *password) {
    redis_server_prepare(s);
    char line[400];
    snprintf(line, sizeof(line),
             "printf '%%s\\n' 'sentinel monitor main 127.0.0.1 %d 1' "
             "'sentinel down-after-milliseconds main 400' 'sentinel failover-timeout main 3000' "
             "%s%s%s >%s/sentinel.conf",
             master->port, password[0] != '\0' ? "'sentinel auth-pass main " : "", password,
             password[0] != '\0' ? "'" : "", s->dir);
    assert_int_equal(system(line), 0);
    redis_server_restart_sentinel(s);
}

static void follows_the_master(void **state) {
    (void)state;
    struct redis_server first, second, sentinel;
    struct room room;
    char options[100];
    redis_server_start(&first, "");
    snprintf(options, sizeof(options), "--replicaof 127.0.0.1 %d", first.port);
    redis_server_start(&second, options);
    start_sentinel(&sentinel, &first, "");
    room_init(&room);
    /* The first two sentinels are none: the third is asked at once. */
    open_link(&room, "redis+sentinel://127.0.0.1:1,localhost:2,127.0.0.1:%d/main", sentinel.port);
    turn(&room, 3000, 1);
    char run_id[64];
    memcpy(run_id, room.run_id, sizeof(run_id));
    turn(&room, 1500, 0); /* the sentinel has to hear of the replica */
    redis_server_kill(&first);
    turn(&room, 15000, 2);
    assert_string_not_equal(room.run_id, run_id);
    room_deinit(&room);
    redis_server_deinit(&sentinel);
    redis_server_deinit(&second);
    redis_server_deinit(&first);
}

static void unknown_master(void **state) {
    (void)state;
    struct redis_server first, sentinel;
    struct room room;
    redis_server_start(&first, "");
    start_sentinel(&sentinel, &first, "");
    room_init(&room);
    open_link(&room, "redis+sentinel://127.0.0.1:%d/other", sentinel.port);
    turn(&room, 100, 0);
    assert_string_equal(link_trouble(room.link), "sentinel: no master is named other");
    room_deinit(&room);
    redis_server_deinit(&sentinel);
    redis_server_deinit(&first);
}

/* The password is Redis'; the sentinel has none, which its refusal of AUTH must not disturb. */
static void logs_in_behind_sentinel(void **state) {
    (void)state;
    struct redis_server first, sentinel;
    struct room room;
    redis_server_start(&first, "--requirepass right");
    start_sentinel(&sentinel, &first, "right");
    room_init(&room);
    open_link(&room, "redis+sentinel://:right@127.0.0.1:%d/main", sentinel.port);
    turn(&room, 3000, 1);
    room_deinit(&room);
    redis_server_deinit(&sentinel);
    redis_server_deinit(&first);
}

static void speaks_tls(void **state) {
    (void)state;
    struct redis_server redis;
    struct room room;
    char line[400], options[500];
    redis_server_prepare(&redis);
    snprintf(
        line, sizeof(line),
        "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
        "key -out cert -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2 "
        ">log 2>&1",
        redis.dir);
    assert_int_equal(system(line), 0);
    int tls_port = redis_server_choose_port();
    snprintf(options, sizeof(options),
             "--tls-port %d --tls-cert-file %s/cert --tls-key-file %s/key --tls-auth-clients no",
             tls_port, redis.dir, redis.dir);
    redis_server_restart(&redis, options);
    room_init(&room);
    open_link(&room, "rediss://localhost:%d", tls_port);
    turn(&room, 300, 0);
    assert_int_equal(room.ready, 0);
    assert_non_null(strstr(link_trouble(room.link), "the certificate is refused"));
    link_close(room.link);
    turn(&room, 50, 0);
    /* The file appears while the link tries. */
    open_link(&room, "rediss://localhost:%d", tls_port);
    snprintf(room.url.ca_file, sizeof(room.url.ca_file), "%s/ca", redis.dir);
    turn(&room, 300, 0);
    assert_non_null(strstr(link_trouble(room.link), "No such file"));
    snprintf(line, sizeof(line), "cp %s/cert %s/ca", redis.dir, redis.dir);
    assert_int_equal(system(line), 0);
    turn(&room, 5000, 1);
    redis_server_do(&redis, "CLIENT KILL TYPE normal SKIPME yes");
    turn(&room, 2000, 2);
    room_deinit(&room);
    redis_server_deinit(&redis);
}

static int nothing_is_printed(void **state) {
    (void)state;
    log_init("test");
    log_set_level(LOG_ERROR);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_master), cmocka_unit_test(unknown_master),
        cmocka_unit_test(logs_in_behind_sentinel), cmocka_unit_test(speaks_tls)};
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, nothing_is_printed, NULL);
}
