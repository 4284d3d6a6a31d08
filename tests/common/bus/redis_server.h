/*
 * redis_server.h - a redis-server of the test's own, on a unix socket and a port in a directory of
 * its own, and a blocking client to play tricks on it with.
 */
#ifndef SIGNALBOX_TESTS_BUS_REDIS_SERVER_H
#define SIGNALBOX_TESTS_BUS_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct redisReply;

struct redis_server {
    char dir[64], path[96];
    int port;
    pid_t pid;
    struct redisContext *admin;
};

/* False, with the reason printed, when redis-server is not installed. */
bool redis_server_is_installed(void);
int redis_server_choose_port(void);
/* A directory and a port, for a _restart. */
void redis_server_prepare(struct redis_server *r);
/* options: for the command line, separated by spaces, or "". Returns when it answers. */
void redis_server_start(struct redis_server *r, const char *options);
/* kill -9, and the same again with its data directory. */
void redis_server_kill(struct redis_server *r);
void redis_server_restart(struct redis_server *r, const char *options);
/* As a sentinel, by the sentinel.conf in its directory. */
void redis_server_restart_sentinel(struct redis_server *r);
void redis_server_deinit(struct redis_server *r);
/* The reply to a command whose parts are separated by spaces; an error is one, too. */
struct redisReply *redis_server_ask(struct redis_server *r, const char *command);
/* Asks and fails the test on an error. */
void redis_server_do(struct redis_server *r, const char *command);
long long redis_server_number(struct redis_server *r, const char *command);

#endif
