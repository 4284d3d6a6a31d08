/* The link against a real redis-server that is killed, paused, restarted and locked. */
#include "common/bus/redis/link.h"

#include <dlfcn.h>
#include <netdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/bus/redis/connector.h"
#include "common/bus/redis/reply_reader.h"
#include "common/bus/redis/scripts.h"
#include "tests/common/bus/link_room.h"

enum { LARGE = 16 * 1024 * 1024 };

static void answers_in_order(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    assert_non_null(strchr(room.server, '/'));
    for (int i = 0; i < 1000; i++) {
        send_words(&room, "INCR n", on_reply);
        assert_int_equal(room.replies, 0);
    }
    assert_true(link_backlog(room.link) > 1000);
    until(&room, &room.replies, 1000, 5000);
    assert_int_equal(room.last_number, 1000);
    assert_int_equal(link_backlog(room.link), 0);
    send_words(&room, "GET n", on_reply);
    send_words(&room, "GET n", NULL);
    until(&room, &room.replies, 1001, 5000);
    expect_last(&room, "1000");
    assert_int_equal(room.down, 0);
    room_deinit(&room);
}

/* A thousand commands in one turn are one read for Redis, or few. */
static void one_turn_is_one_write(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    redis_server_do(&room.redis, "CONFIG RESETSTAT");
    for (int i = 0; i < 300; i++)
        send_words(&room, "INCR n", on_reply);
    until(&room, &room.replies, 300, 5000);
    buf_clear(&room.last);
    send_words(&room, "INFO stats", on_reply);
    until(&room, &room.replies, 301, 5000);
    buf_append_char(&room.last, '\0');
    const char *reads = strstr(room.last.ptr, "total_reads_processed:");
    assert_non_null(reads);
    assert_in_range(atoi(reads + strlen("total_reads_processed:")), 1, 10);
    room_deinit(&room);
}

/* Also from a prepare handle, after which the loop would go to sleep. */
static void on_prepare(uv_prepare_t *prepare) {
    struct room *room = prepare->data;
    uv_prepare_stop(prepare);
    send_words(room, "PING", on_reply);
}

static void sends_from_a_prepare_handle(void **state) {
    (void)state;
    struct room room;
    uv_prepare_t prepare;
    room_init_ready(&room, LINK_COMMANDS);
    uv_prepare_init(&room.loop, &prepare);
    prepare.data = &room;
    uv_prepare_start(&prepare, on_prepare);
    until(&room, &room.replies, 1, 100);
    expect_last(&room, "PONG");
    uv_close((uv_handle_t *)&prepare, NULL);
    room_deinit(&room);
}

static void reaches_redis_over_tcp(void **state) {
    (void)state;
    struct room room;
    room_init_redis(&room, "--databases 8");
    set_url(&room, "redis://localhost:%d/5", room.redis.port);
    open_link(&room, LINK_COMMANDS);
    until(&room, &room.ready, 1, 5000);
    send_words(&room, "SET here 1", on_reply);
    until(&room, &room.replies, 1, 5000);
    redis_server_do(&room.redis, "SELECT 5");
    assert_int_equal(redis_server_number(&room.redis, "EXISTS here"), 1);
    room_deinit(&room);
}

static void calls_scripts(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    struct command c = command_script(SCRIPT_heartbeat, 2);
    command_text(&c, "gw");
    command_text(&c, "dead:1");
    command_text(&c, "1");
    command_number(&c, 7);
    command_text(&c, "probe");
    link_send(room.link, &c, on_reply, &room);
    until(&room, &room.replies, 1, 5000);
    assert_int_equal(room.last_number, 2); /* the first beat of this id */
    assert_int_equal(redis_server_number(&room.redis, "HLEN gw"), 1);
    /* All are there. */
    c = command_begin("SCRIPT");
    command_text(&c, "EXISTS");
    for (int s = 0; s < SCRIPT_COUNT; s++)
        command_text(&c, script_sha((enum script)s));
    link_send(room.link, &c, on_reply, &room);
    until(&room, &room.replies, 2, 5000);
    assert_int_equal(room.last_number, -1);
    room_deinit(&room);
}

static void lost_scripts_are_loaded_again(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    redis_server_do(&room.redis, "SCRIPT FLUSH");
    struct command c = command_script(SCRIPT_heartbeat, 0);
    link_send(room.link, &c, on_reply, &room);
    until(&room, &room.down, 1, 5000);
    assert_int_equal(room.nulls, 1);
    assert_int_equal(room.replies, 0);
    assert_non_null(strstr(room.why, "NOSCRIPT"));
    until(&room, &room.ready, 2, 5000);
    room_deinit(&room);
}

static void errors_go_to_the_caller(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    send_words(&room, "SET s text", on_reply);
    send_words(&room, "INCR s", on_reply);
    send_words(&room, "NOSUCHCOMMAND", on_reply);
    until(&room, &room.replies, 3, 5000);
    assert_int_equal(room.errors, 2);
    assert_int_equal(room.down, 0);
    assert_int_equal(metrics_get(METRIC_redis_errors), 2);
    room_deinit(&room);
}

static void heals_when_killed(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    for (unsigned i = 1; i <= 5; i++) {
        redis_server_do(&room.redis, "CLIENT KILL TYPE normal SKIPME yes");
        until(&room, &room.down, i, 1000);
        until(&room, &room.ready, i + 1, 1000);
    }
    assert_int_equal(metrics_get(METRIC_redis_reconnects), 5);
    room_deinit(&room);
}

/* Every command that is not answered gets its NULL, in order, then on_down. */
static void unanswered_commands_get_null(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    char *server = mem_strdup(room.server);
    kill(room.redis.pid, SIGSTOP);
    for (int i = 0; i < 10; i++)
        send_words(&room, "PING", on_reply);
    turn(&room, 50);
    redis_server_kill(&room.redis);
    until(&room, &room.down, 1, 2000);
    assert_int_equal(room.nulls, 10);
    assert_int_equal(room.replies, 0);
    turn(&room, 300);
    assert_int_equal(room.ready, 1);
    redis_server_restart(&room.redis, "");
    until(&room, &room.ready, 2, 5000);
    assert_string_not_equal(room.server, server);
    room.down = 0;
    send_words(&room, "PING", on_reply);
    until(&room, &room.replies, 1, 2000);
    free(server);
    room_deinit(&room);
}

static void silence_is_noticed(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    redis_server_do(&room.redis, "CLIENT PAUSE 5000 ALL");
    send_words(&room, "GET x", on_reply);
    turn(&room, 1500);
    assert_int_equal(room.down, 0);
    until(&room, &room.down, 1, 1500);
    assert_int_equal(room.nulls, 1);
    assert_non_null(strstr(room.why, "no answer"));
    until(&room, &room.ready, 2, 8000);
    room_deinit(&room);
}

/* Nobody asks anything: the PING finds out. */
static void silence_is_noticed_when_idle(void **state) {
    (void)state;
    static const enum link_kind kinds[] = {LINK_COMMANDS, LINK_FEED};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct room room;
        room_init_ready(&room, kinds[i]);
        turn(&room, 3500);
        assert_int_equal(room.down, 0);
        assert_int_equal(room.pushes, 0); /* our own PINGs are nobody's business */
        kill(room.redis.pid, SIGSTOP);
        until(&room, &room.down, 1, 4500);
        kill(room.redis.pid, SIGCONT);
        until(&room, &room.ready, 2, 4000);
        room_deinit(&room);
    }
}

/* Time in which we did not run is no silence of Redis'. */
static void own_sleep_is_no_silence(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    for (unsigned i = 1; i <= 2; i++) {
        send_words(&room, "PING", on_reply);
        turn(&room, i == 1 ? 0 : 20);
        usleep(5000 * 1000); /* as if stopped */
        until(&room, &room.replies, i, 2000);
        turn(&room, 600);
        assert_int_equal(room.down, 0);
    }
    room_deinit(&room);
}

/* It takes longer than the deadline, but it moves. */
static void slow_large_value_is_no_silence(void **state) {
    (void)state;
    struct room room;
    char *large = mem_alloc(LARGE);
    memset(large, 'x', LARGE);
    room_init_ready(&room, LINK_COMMANDS);
    struct command c = command_begin("SET");
    command_text(&c, "large");
    command_bytes(&c, bytes_of(large, LARGE));
    link_send(room.link, &c, on_reply, &room);
    send_words(&room, "GET large", on_reply);
    assert_true(link_backlog(room.link) > LARGE);
    /* Redis gets 2 ms of every 150: about 4 s for the value. */
    for (int i = 0; i < 30 && room.replies == 0; i++) {
        kill(room.redis.pid, SIGSTOP);
        turn(&room, 148);
        kill(room.redis.pid, SIGCONT);
        turn(&room, 2);
    }
    until(&room, &room.replies, 2, 10000);
    assert_int_equal(room.down, 0);
    assert_int_equal(room.last.len, LARGE);
    assert_memory_equal(room.last.ptr, large, LARGE);
    room_deinit(&room);
    free(large);
}

static void refused_at_start(void **state) {
    (void)state;
    struct room room;
    room_init_redis(&room, "");
    redis_server_kill(&room.redis);
    open_link(&room, LINK_COMMANDS);
    turn(&room, 300);
    assert_int_equal(room.ready + room.down, 0);
    assert_non_null(strstr(link_trouble(room.link), "no such file"));
    redis_server_restart(&room.redis, "");
    until(&room, &room.ready, 1, 4000);
    assert_int_equal(metrics_get(METRIC_redis_reconnects), 0);
    link_close(room.link);
    redis_server_kill(&room.redis);
    set_url(&room, "redis://127.0.0.1:%d", room.redis.port);
    open_link(&room, LINK_COMMANDS);
    turn(&room, 100);
    assert_non_null(strstr(link_trouble(room.link), "connection refused"));
    room_deinit(&room);
}

static void unknown_host(void **state) {
    (void)state;
    struct room room;
    room_init_redis(&room, "");
    set_url(&room, "redis://no-such-host.invalid:1");
    open_link(&room, LINK_COMMANDS);
    until_trouble(&room, "look up no-such-host.invalid", 10000);
    room_deinit(&room);
}

/* Whoever listens there says nothing. */
static void a_login_that_is_not_answered_ends(void **state) {
    (void)state;
    struct room room;
    room_init(&room);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/test_link_%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    set_url(&room, "unix://%s", address.sun_path);
    open_link(&room, LINK_COMMANDS);
    turn(&room, 1500);
    assert_null(strstr(link_trouble(room.link), "login"));
    until_trouble(&room, "login: no answer for", 2000);
    room_deinit(&room);
    close(fd);
    unlink(address.sun_path);
}

static void logs_in(void **state) {
    (void)state;
    struct room room;
    room_init_redis(&room, "--requirepass right --databases 8");
    redis_server_do(&room.redis, "AUTH right");
    redis_server_do(&room.redis, "ACL SETUSER joe on >joespass ~* &* +@all");
    static const char *const good[] = {"password=right", "user=joe&password=joespass",
                                       "password=right&db=3"};
    static const char *const bad[] = {"", "password=wrong", "user=joe&password=right",
                                      "user=jim&password=right", "password=right&db=9"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        set_url(&room, "unix://%s?%s", room.redis.path, good[i]);
        open_link(&room, LINK_COMMANDS);
        until(&room, &room.ready, (unsigned)i + 1, 2000);
        link_close(room.link);
        turn(&room, 20);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        set_url(&room, "unix://%s?%s", room.redis.path, bad[i]);
        open_link(&room, LINK_COMMANDS);
        turn(&room, 150);
        assert_int_equal(room.ready, ARRAY_LEN(good));
        assert_non_null(strstr(link_trouble(room.link), "login: "));
        assert_null(strstr(link_trouble(room.link), "right"));
        if (strstr(bad[i], "db=") != NULL)
            assert_non_null(strstr(link_trouble(room.link), "database 9 cannot be used: ERR DB"));
        link_close(room.link);
        turn(&room, 20);
    }
    room.link = NULL;
    room_deinit(&room);
}

static void replica_is_refused(void **state) {
    (void)state;
    struct room room;
    room_init_redis(&room, "--replicaof 127.0.0.1 1");
    open_link(&room, LINK_COMMANDS);
    turn(&room, 200);
    assert_int_equal(room.ready, 0);
    assert_non_null(strstr(link_trouble(room.link), "no master but a slave"));
    redis_server_do(&room.redis, "REPLICAOF NO ONE");
    until(&room, &room.ready, 1, 3000);
    redis_server_do(&room.redis, "REPLICAOF 127.0.0.1 1");
    send_words(&room, "SET a b", on_reply);
    until(&room, &room.down, 1, 3000);
    assert_int_equal(room.replies, 0);
    room_deinit(&room);
}

static void feed_hears_what_is_published(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_FEED);
    send_words(&room, "SUBSCRIBE a b", NULL);
    until(&room, &room.pushes, 2, 2000);
    expect_last(&room, "subscribe b ");
    redis_server_do(&room.redis, "PUBLISH a first");
    redis_server_do(&room.redis, "PUBLISH b second");
    until(&room, &room.pushes, 4, 2000);
    expect_last(&room, "message b second");
    turn(&room, 2500); /* two PINGs */
    assert_int_equal(room.pushes, 4);
    redis_server_do(&room.redis, "CLIENT KILL TYPE pubsub");
    until(&room, &room.ready, 2, 2000);
    assert_int_equal(redis_server_number(&room.redis, "PUBLISH a third"), 0);
    room_deinit(&room);
}

static void blocking_link_blocks_beyond_pings(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_BLOCKING);
    send_words(&room, "BLPOP queue 3", on_reply);
    until(&room, &room.replies, 1, 4000);
    assert_int_equal(room.down, 0);
    send_words(&room, "BLPOP queue 3", on_reply);
    turn(&room, 50);
    redis_server_do(&room.redis, "RPUSH queue it");
    until(&room, &room.replies, 2, 500);
    expect_last(&room, "queue it");
    send_words(&room, "BLPOP queue 0", on_reply);
    until(&room, &room.down, 1, 5500);
    assert_int_equal(room.nulls, 1);
    room_deinit(&room);
}

/* Neither within the callback nor after it may anything of the link be touched. */
static void may_be_closed_in_a_callback(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    room.closes_link = true;
    for (int i = 0; i < 10; i++)
        send_words(&room, "PING", on_reply);
    until(&room, &room.replies, 1, 2000);
    turn(&room, 100);
    assert_int_equal(room.replies, 1);
    assert_int_equal(room.down + room.nulls, 0);
    room_deinit(&room);
}

static void on_null_close(void *ctx, struct redisReply *reply) {
    struct room *room = ctx;
    assert_null(reply);
    room->nulls++;
    link_close(room->link);
    room->link = NULL;
}

static void may_be_closed_while_it_breaks(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    kill(room.redis.pid, SIGSTOP);
    for (int i = 0; i < 10; i++)
        send_words(&room, "PING", on_null_close);
    turn(&room, 20);
    redis_server_kill(&room.redis);
    until(&room, &room.nulls, 1, 2000);
    turn(&room, 200);
    assert_int_equal(room.nulls, 1);
    assert_int_equal(room.down, 0);
    room_deinit(&room);
}

static void may_be_closed_at_any_time(void **state) {
    (void)state;
    for (unsigned turns = 0; turns < 20; turns++) {
        struct room room;
        room_init_redis(&room, "");
        if (turns % 2 == 1)
            set_url(&room, "redis://localhost:%d", room.redis.port);
        open_link(&room, LINK_COMMANDS);
        for (unsigned i = 0; i < turns / 2; i++)
            uv_run(&room.loop, UV_RUN_NOWAIT);
        room_deinit(&room);
    }
}

static void may_be_broken_in_a_callback(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    room.breaks_link = true;
    for (int i = 0; i < 10; i++)
        send_words(&room, "PING", on_reply);
    until(&room, &room.down, 1, 2000);
    assert_int_equal(room.replies, 1);
    assert_int_equal(room.nulls, 9);
    assert_string_equal(room.why, "the test wants it");
    room.breaks_link = false;
    until(&room, &room.ready, 2, 2000);
    link_break(room.link, "again");
    assert_int_equal(room.down, 1); /* not within the call */
    assert_false(link_is_ready(room.link));
    until(&room, &room.down, 2, 100);
    link_break(room.link, "too late"); /* nothing to break */
    until(&room, &room.ready, 3, 2000);
    room_deinit(&room);
}

/* Each callback that is owed gets its NULL, within the call; the end is not reported. */
static void hanging_up_answers_all(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    for (int i = 0; i < 3; i++)
        send_words(&room, "PING", on_reply);
    send_words(&room, "PING", NULL);
    link_hang_up(room.link);
    assert_int_equal(room.nulls, 3);
    link_hang_up(room.link);
    link_hang_up(NULL);
    room.link = NULL;
    turn(&room, 50);
    assert_int_equal(room.nulls, 3);
    assert_int_equal(room.replies + room.down, 0);
    room_deinit(&room);
}

/* The socket takes a part of a value, of any share, and more is queued behind the rest. */
static void what_is_queued_behind_a_rest_follows_it(void **state) {
    (void)state;
    struct room room;
    room_init_ready(&room, LINK_COMMANDS);
    unsigned sent = 0;
    for (size_t len = 64 * 1024; len <= 640 * 1024; len += 64 * 1024) {
        char *value = mem_alloc(len);
        memset(value, 'x', len);
        kill(room.redis.pid, SIGSTOP);
        struct command c = command_begin("STRLEN");
        command_bytes(&c, bytes_of(value, len));
        link_send(room.link, &c, on_reply, &room);
        turn(&room, 10); /* what the socket has room for is gone */
        send_words(&room, "INCR n", on_reply);
        turn(&room, 10);
        send_words(&room, "INCR n", on_reply);
        kill(room.redis.pid, SIGCONT);
        until(&room, &room.replies, sent += 3, 2000);
        free(value);
    }
    assert_int_equal(room.last_number, 20);
    assert_int_equal(room.errors + room.down, 0);
    room_deinit(&room);
}

/* After these errors it is not, or no longer, the Redis that we want: the caller gets NULL and the
 * link begins anew. Any other is the caller's. What Redis says is printable in any case. */
static void some_errors_end_the_connection(void **state) {
    static const struct {
        const char *error, *why; /* NULL: it goes on */
    } rows[] = {
        {"READONLY\tx", "READONLY x"},
        {"UNBLOCKED\tx", "UNBLOCKED x"},
        {"LOADING\tx", "LOADING x"},
        {"MASTERDOWN\tx", "MASTERDOWN x"},
        {"CLUSTERDOWN\tx", "CLUSTERDOWN x"},
        {"MOVED\tx", "MOVED x"},
        {"NOSCRIPT\tx\1\x7fy~", "NOSCRIPT x??y~"},
        {"NOAUTH\tx", "NOAUTH x"},
        {"ERR\tProtocol\terror:x", "ERR Protocol error:x"},
        {"ERR\tx", NULL},
        {"OOM\tx", NULL},
        {"MISCONF\tx", NULL},
        {"READONLYX\tx", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct room room;
        room_init_ready(&room, LINK_COMMANDS);
        struct command c = command_begin("EVAL");
        command_text(&c, "return redis.error_reply((string.gsub(ARGV[1], '\\t', ' ')))");
        command_text(&c, "0");
        command_text(&c, rows[i].error);
        link_send(room.link, &c, on_reply, &room);
        until(&room, rows[i].why != NULL ? &room.down : &room.errors, 1, 2000);
        assert_int_equal(room.errors, rows[i].why == NULL);
        assert_int_equal(room.nulls, rows[i].why != NULL);
        assert_string_equal(room.why, rows[i].why != NULL ? rows[i].why : "");
        assert_int_equal(link_is_ready(room.link), rows[i].why == NULL);
        room_deinit(&room);
    }
}

/* A feed of a Redis that cannot save gets an error for its PING, and is alive. */
static void a_redis_that_cannot_save_is_alive(void **state) {
    (void)state;
    struct room room;
    char dump[100];
    room_init_redis(&room, "--save 3600 1000");
    snprintf(dump, sizeof(dump), "%s/dump.rdb", room.redis.dir);
    redis_server_do(&room.redis, "PING");   /* it looked for the file */
    assert_int_equal(mkdir(dump, 0700), 0); /* in the place of the file */
    redis_server_do(&room.redis, "BGSAVE");
    open_link(&room, LINK_FEED);
    until(&room, &room.ready, 1, 2000);
    for (bool is_error = false; !is_error; turn(&room, 10)) {
        struct redisReply *reply = redis_server_ask(&room.redis, "PING");
        is_error = reply_is_error(reply, "MISCONF ");
        reply_free(reply);
    }
    turn(&room, 2500); /* two PINGs */
    assert_int_equal(room.pushes + room.down, 0);
    room_deinit(&room);
    assert_int_equal(rmdir(dump), -1); /* gone with the folder */
}

/* ---- the host many.test: so many addresses at which nobody listens, then the real one ---- */

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);
static unsigned dead_addresses;

/* In place of libc's. */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out) {
    look_up *theirs = (look_up *)dlsym(RTLD_NEXT, "getaddrinfo");
    if (node == NULL || strcmp(node, "many.test") != 0)
        return theirs(node, service, hints, out);
    for (unsigned i = 0; i <= dead_addresses; i++) {
        int r = theirs(i < dead_addresses ? "127.0.0.2" : "127.0.0.1", service, hints, out);
        if (r != 0)
            return r;
        while (*out != NULL)
            out = &(*out)->ai_next;
    }
    return 0;
}

/* All of its addresses are tried up to the bound. */
static void a_name_has_so_many_addresses(void **state) {
    (void)state;
    struct room room;
    room_init_redis(&room, "");
    set_url(&room, "redis://many.test:%d", room.redis.port);
    dead_addresses = CONNECTOR_ADDRESSES_MAX;
    open_link(&room, LINK_COMMANDS);
    until_trouble(&room, "refused", 5000);
    turn(&room, 200);
    assert_int_equal(room.ready, 0);
    dead_addresses = CONNECTOR_ADDRESSES_MAX - 1;
    until(&room, &room.ready, 1, 5000);
    room_deinit(&room);
}

static void reads_replies(void **state) {
    (void)state;
    assert_false(reply_is_error(NULL, NULL));
    assert_false(reply_is_nil(NULL));
    assert_null(reply_bytes(NULL).ptr);
    assert_int_equal(reply_number(NULL, 5), 5);
    assert_int_equal(reply_count(NULL), 0);
    assert_null(reply_at(NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_replies),
                                       cmocka_unit_test(answers_in_order),
                                       cmocka_unit_test(one_turn_is_one_write),
                                       cmocka_unit_test(sends_from_a_prepare_handle),
                                       cmocka_unit_test(reaches_redis_over_tcp),
                                       cmocka_unit_test(calls_scripts),
                                       cmocka_unit_test(lost_scripts_are_loaded_again),
                                       cmocka_unit_test(errors_go_to_the_caller),
                                       cmocka_unit_test(heals_when_killed),
                                       cmocka_unit_test(unanswered_commands_get_null),
                                       cmocka_unit_test(silence_is_noticed),
                                       cmocka_unit_test(silence_is_noticed_when_idle),
                                       cmocka_unit_test(own_sleep_is_no_silence),
                                       cmocka_unit_test(slow_large_value_is_no_silence),
                                       cmocka_unit_test(refused_at_start),
                                       cmocka_unit_test(unknown_host),
                                       cmocka_unit_test(a_login_that_is_not_answered_ends),
                                       cmocka_unit_test(a_name_has_so_many_addresses),
                                       cmocka_unit_test(logs_in),
                                       cmocka_unit_test(replica_is_refused),
                                       cmocka_unit_test(feed_hears_what_is_published),
                                       cmocka_unit_test(blocking_link_blocks_beyond_pings),
                                       cmocka_unit_test(may_be_closed_in_a_callback),
                                       cmocka_unit_test(may_be_closed_while_it_breaks),
                                       cmocka_unit_test(may_be_closed_at_any_time),
                                       cmocka_unit_test(may_be_broken_in_a_callback),
                                       cmocka_unit_test(hanging_up_answers_all),
                                       cmocka_unit_test(what_is_queued_behind_a_rest_follows_it),
                                       cmocka_unit_test(some_errors_end_the_connection),
                                       cmocka_unit_test(a_redis_that_cannot_save_is_alive)};
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, nothing_is_printed, NULL);
}
