/*
 * login.h - what is said on a new connection before it may be used. It reads replies and writes
 * commands, and knows no connection.
 *
 *     to a sentinel   [AUTH]  SENTINEL get-master-addr-by-name          → LOGIN_MASTER
 *     to Redis        AUTH    AUTH and SELECT, when the URL has them
 *                     ROLE    refuses a replica
 *                     LOAD    SCRIPT LOAD for all scripts, INFO, then CLIENT KILL of the
 *                             connection before and CLIENT ID           → LOGIN_DONE
 *
 * A step sends its commands at once and ends with the last of their replies; an error reply ends
 * the attempt.
 */
#ifndef SIGNALBOX_BUS_REDIS_LOGIN_H
#define SIGNALBOX_BUS_REDIS_LOGIN_H

#include "common/base/buf.h"
#include "common/bus/redis/redis_url.h"
#include "common/bus/redis/server_info.h"

struct redisReply;

enum login_step { LOGIN_ASK, LOGIN_AUTH, LOGIN_ROLE, LOGIN_LOAD };

enum login_result {
    LOGIN_MORE,   /* replies are to come */
    LOGIN_DONE,   /* the connection may be used */
    LOGIN_MASTER, /* from a sentinel: `master` is known */
    LOGIN_FAILED  /* `why` says why */
};

/* Lives as long as its link, over all connections. */
struct login {
    const struct redis_url *url;
    bool loads_scripts;
    enum login_step step;
    unsigned replies; /* still to come in this step */
    struct buf out;   /* to be sent: the owner takes it after each call */
    struct redis_host master;
    struct server_info server;
    int64_t client_id; /* Redis' number of this connection, or of the one before it; 0: none */
    char why[256];
};

/* The connection is open: to a sentinel, or to Redis. */
enum login_result login_begin(struct login *l, bool is_sentinel);
enum login_result login_reply(struct login *l, const struct redisReply *reply);

#endif
