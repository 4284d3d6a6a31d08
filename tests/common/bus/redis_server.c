/* redis_server.c - see redis_server.h. */
#include "tests/common/bus/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/buf.h"

bool redis_server_is_installed(void) {
    if (system("redis-server --version >/dev/null 2>&1") == 0)
        return true;
    print_message("SKIPPED: redis-server is not installed\n");
    return false;
}

/* One that is free now. */
int redis_server_choose_port(void) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(any);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
    close(fd);
    return ntohs(any.sin_port);
}

static void run_server(const struct redis_server *r, const char *config, const char *options) {
    char line[900];
    snprintf(line, sizeof(line),
             "exec redis-server %s --dir %s --unixsocket %s --port %d --bind 127.0.0.1 %s "
             ">>%s/log 2>&1",
             config, r->dir, r->path, r->port, options, r->dir);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that aborts */
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

static void start(struct redis_server *r, const char *config, const char *options) {
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0)
        run_server(r, config, options);
    for (int i = 0; i < 500 && r->admin == NULL; i++) {
        r->admin = redisConnectUnix(r->path);
        if (r->admin != NULL && r->admin->err == 0)
            return;
        redisFree(r->admin);
        r->admin = NULL;
        usleep(10000);
    }
    fail_msg("redis-server does not start, see %s/log", r->dir);
}

void redis_server_restart(struct redis_server *r, const char *options) {
    char all[600];
    snprintf(all, sizeof(all), "--save '' %s", options);
    start(r, "", all);
}

void redis_server_restart_sentinel(struct redis_server *r) {
    char config[100];
    snprintf(config, sizeof(config), "%s/sentinel.conf", r->dir);
    start(r, config, "--sentinel");
}

void redis_server_prepare(struct redis_server *r) {
    memset(r, 0, sizeof(*r));
    snprintf(r->dir, sizeof(r->dir), "/tmp/test_link.XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->path, sizeof(r->path), "%s/sock", r->dir);
    r->port = redis_server_choose_port();
    signal(SIGPIPE, SIG_IGN); /* as the programs do: connections break in the midst of a write */
}

void redis_server_start(struct redis_server *r, const char *options) {
    redis_server_prepare(r);
    redis_server_restart(r, options);
}

void redis_server_kill(struct redis_server *r) {
    if (r->admin != NULL)
        redisFree(r->admin);
    r->admin = NULL;
    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        waitpid(r->pid, NULL, 0);
    }
    r->pid = 0;
    unlink(r->path);
}

void redis_server_deinit(struct redis_server *r) {
    char line[100];
    redis_server_kill(r);
    snprintf(line, sizeof(line), "rm -rf %s", r->dir);
    assert_int_equal(system(line), 0);
}

/* redisCommand takes a format: a % in the text is one. */
struct redisReply *redis_server_ask(struct redis_server *r, const char *command) {
    struct buf format = {0};
    for (const char *c = command; *c != '\0'; c++) {
        buf_append_char(&format, *c);
        if (*c == '%')
            buf_append_char(&format, '%');
    }
    buf_append_char(&format, '\0');
    redisReply *reply = redisCommand(r->admin, format.ptr);
    buf_deinit(&format);
    assert_non_null(reply);
    return reply;
}

static redisReply *ask(struct redis_server *r, const char *command) {
    redisReply *reply = redis_server_ask(r, command);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, reply->str);
    return reply;
}

void redis_server_do(struct redis_server *r, const char *command) {
    freeReplyObject(ask(r, command));
}

long long redis_server_number(struct redis_server *r, const char *command) {
    redisReply *reply = ask(r, command);
    long long number = reply->integer;
    freeReplyObject(reply);
    return number;
}
