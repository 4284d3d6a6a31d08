/*
 * cmd_redis_acl.c - redis-acl: users for a Redis that others can reach, each with what it needs and
 * no more. tests/tools/test_redis_acl.py runs a cluster with them: a command that the code begins
 * to use and that is missing here fails there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/json.h"
#include "tools/tool.h"
#include "tools/verb.h"

/* Connecting: log in, is it a master, the scripts, the cluster's configuration. */
#define LOGIN "+auth +hello +ping +select +role +info +script|load +client|id +hmget"
/* Connecting again: the connection before is ended. */
#define AGAIN "+client|kill"

/* What the scripts and both daemons do to keys. */
#define SHARED                                                                                     \
    "+evalsha +eval +exists +expire +pexpire +pttl +get +set +del +incrby +time +hget +hset "      \
    "+hsetnx "                                                                                     \
    "+hdel +hgetall +hscan +hmget +sadd +srem +scard +sismember +smembers +scan +xadd +xlen "      \
    "+multi +exec +xrange +xrevrange +publish +subscribe +unsubscribe"

static const struct acl_user {
    const char *name, *what, *rules;
} users[] = {
    {"signalbox-gateway", "gateways",
     "~sb:{* ~signalbox:send &sb:{* -@all " LOGIN " " AGAIN " " SHARED},
    {"signalbox-broker", "brokers",
     "~sb:{* ~signalbox:send ~signalbox:refused &sb:{* &signalbox:send -@all " LOGIN " " SHARED
     " " AGAIN " +xread +xtrim +sscan +hkeys"},
    {"signalbox-publisher", "programs that send, and `signalbox send` and `close`",
     "~signalbox:send %R~signalbox:refused %R~sb:{sb}:cfg %R~sb:{sb}:xown &signalbox:send "
     "&sb:{sb}:receipt:* -@all " LOGIN
     " +xadd +publish +hget +xrange +subscribe +unsubscribe +pubsub|numsub"},
    {"signalbox-operator", "the other verbs of the CLI",
     "~signalbox:send %R~signalbox:refused ~sb:{sb}:rules %R~sb:{* &sb:{* &signalbox:send "
     "-@all " LOGIN
     " +xadd +publish +subscribe +unsubscribe +hget +hset +hdel +hgetall +hscan +scan +scard "
     "+xrange +xread +pubsub|numsub +time +config|get " AGAIN},
};

struct acl {
    const char *password;
};

static void print_json(const char *password) {
    struct buf line = {0};
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        buf_printf(&line, "%s{\"user\":\"%s\",\"rules\":", i > 0 ? "," : "[", users[i].name);
        struct buf rules = {0};
        buf_printf(&rules, "reset on >%s %s", password, users[i].rules);
        json_append_string(&line, buf_bytes(&rules));
        buf_deinit(&rules);
        buf_append_char(&line, '}');
    }
    printf("%.*s]\n", BYTES_FMT(buf_bytes(&line)));
    buf_deinit(&line);
}

static int run(struct tool *t, void *own) {
    const char *password = ((struct acl *)own)->password;
    if (t->is_json) {
        print_json(password);
        return TOOL_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(users); i++)
        printf("# %s\nACL SETUSER %s reset on >%s %s\n", users[i].what, users[i].name, password,
               users[i].rules);
    return TOOL_OK;
}

static const struct option options[] = {
    {.name = "password",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct acl, password),
     .placeholder = "TEXT",
     .help = "to be put into the lines",
     .initial = "PASSWORD"},
};

const struct verb verb_redis_acl = {
    .name = "redis-acl",
    .arguments = "",
    .summary = "Redis users with the least they need: gateway, broker, publisher, operator",
    .details = "Feed the lines to redis-cli, or put what follows ACL SETUSER into its aclfile as "
               "`user …`.\nGive each user a password of its own."
               "",
    .flags = VERB_JSON,
    .options = options,
    .option_count = ARRAY_LEN(options),
    .size = sizeof(struct acl),
    .run = run};
