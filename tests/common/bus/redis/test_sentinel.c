/* The link through Sentinel, over a failover, and over TLS: with real servers. */
#include "common/bus/redis/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/common/bus/link_room.h"

static void open_at(struct room *room, const char *format, ...) PRINTF_LIKE(2, 3);
static void open_at(struct room *room, const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    set_url(room, "%s", text);
    open_link(room, LINK_COMMANDS);
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
    open_at(&room, "redis+sentinel://127.0.0.1:1,localhost:2,127.0.0.1:%d/main", sentinel.port);
    until(&room, &room.ready, 1, 3000);
    char server[SERVER_IDENTITY_TEXT];
    memcpy(server, room.server, sizeof(server));
    turn(&room, 1500); /* the sentinel has to hear of the replica */
    redis_server_kill(&first);
    until(&room, &room.ready, 2, 15000);
    assert_string_not_equal(room.server, server);
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
    open_at(&room, "redis+sentinel://127.0.0.1:%d/other", sentinel.port);
    until_trouble(&room, "sentinel: no master is named other", 5000);
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
    open_at(&room, "redis+sentinel://:right@127.0.0.1:%d/main", sentinel.port);
    until(&room, &room.ready, 1, 3000);
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
    open_at(&room, "rediss://localhost:%d", tls_port);
    turn(&room, 300);
    assert_int_equal(room.ready, 0);
    assert_non_null(strstr(link_trouble(room.link), "the certificate is refused"));
    link_close(room.link);
    turn(&room, 50);
    /* The file appears while the link tries. */
    open_at(&room, "rediss://localhost:%d", tls_port);
    snprintf(room.url.ca_file, sizeof(room.url.ca_file), "%s/ca", redis.dir);
    turn(&room, 300);
    assert_non_null(strstr(link_trouble(room.link), "No such file"));
    snprintf(line, sizeof(line), "cp %s/cert %s/ca", redis.dir, redis.dir);
    assert_int_equal(system(line), 0);
    until(&room, &room.ready, 1, 5000);
    redis_server_do(&redis, "CLIENT KILL TYPE normal SKIPME yes");
    until(&room, &room.ready, 2, 2000);
    /* One that is damaged is not taken, and one of others is, when the next connection is made. */
    snprintf(line, sizeof(line), "echo damaged > %s/ca", redis.dir);
    assert_int_equal(system(line), 0);
    redis_server_do(&redis, "CLIENT KILL TYPE normal SKIPME yes");
    until(&room, &room.ready, 3, 5000);
    snprintf(
        line, sizeof(line),
        "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
        "key2 -out ca -subj /CN=others -days 2 >log 2>&1",
        redis.dir);
    assert_int_equal(system(line), 0);
    redis_server_do(&redis, "CLIENT KILL TYPE normal SKIPME yes");
    until_trouble(&room, "the certificate is refused", 5000);
    assert_int_equal(room.ready, 3);
    room_deinit(&room);
    redis_server_deinit(&redis);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_master), cmocka_unit_test(unknown_master),
        cmocka_unit_test(logs_in_behind_sentinel), cmocka_unit_test(speaks_tls)};
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, nothing_is_printed, NULL);
}
