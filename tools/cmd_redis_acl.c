/*
 * cmd_redis_acl.c - redis-acl: users for a Redis that others can reach, each with the rights that
 * it needs and no more. tests/tools/test_redis_acl.py runs a cluster with these users, and fails
 * when the code begins to use a command that is missing here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json_text.h"
#include "common/bus/partition.h"
#include "common/bus/redis/redis_url.h"
#include "tools/tool.h"
#include "tools/verb.h"
#include "tools/where.h"

/* For connecting: the login, the role of the server, the scripts, the cluster's configuration. */
#define LOGIN "+auth +hello +ping +select +role +info +script|load +client|id +hmget"
/* For connecting again: the connection before is ended. */
#define AGAIN "+client|kill"

/* What the scripts and both daemons do with keys. */
#define SHARED                                                                                     \
    "+evalsha +eval +type +exists +expire +pexpire +pttl +get +set +del +incrby +time +hget "      \
    "+hset +hsetnx "                                                                               \
    "+hdel +hgetall +hscan +hmget +sadd +srem +scard +sismember +smembers +scan +xadd +xlen "      \
    "+multi +exec +xrange +xrevrange +publish +subscribe +unsubscribe"

/* In the rules, K stands for the prefix of the fleet's keys, and C for that of its channels. */
static const struct acl_user {
    const char *name, *what, *rules;
} users[] = {
    {"signalbox-gateway", "gateways",
     "~Ksb:{* ~Ksignalbox:send &Csb:{* -@all " LOGIN " " AGAIN " " SHARED},
    {"signalbox-broker", "brokers",
     "~Ksb:{* ~Ksignalbox:send ~Ksignalbox:refused &Csb:{* &Csignalbox:send -@all " LOGIN " " SHARED
     " " AGAIN " +xread +xtrim +sscan +hkeys"},
    {"signalbox-publisher", "programs that send, and `signalbox send` and `close`",
     "~Ksignalbox:send %R~Ksignalbox:refused %R~Ksb:{sb}:cfg %R~Ksb:{sb}:xown &Csignalbox:send "
     "&Csb:{sb}:receipt:* -@all " LOGIN
     " +xadd +xlen +publish +hget +xrange +subscribe +unsubscribe +pubsub|numsub"},
    {"signalbox-operator", "the other verbs of the CLI",
     "~Ksignalbox:send %R~Ksignalbox:refused ~Ksb:{sb}:rules %R~Ksb:{* &Csb:{* &Csignalbox:send "
     "-@all " LOGIN
     " +xadd +xlen +publish +subscribe +unsubscribe +hget +hset +hdel +hgetall +hscan +scan +scard "
     "+exists "
     "+xrange +xread +pubsub|numsub +time +config|get " AGAIN},
};

struct acl {
    const char *password;
};

static void append_rules(struct buf *out, const char *password, const struct acl_user *user) {
    buf_printf(out, "reset on >%s ", password);
    for (const char *c = user->rules; *c != '\0'; c++) {
        if (*c == 'K')
            buf_append_str(out, fleet_key_prefix());
        else if (*c == 'C')
            buf_append_str(out, fleet_channel_prefix());
        else
            buf_append_char(out, *c);
    }
}

static void append_json(struct buf *out, const char *password, const struct acl_user *user) {
    struct buf rules = {0};
    buf_printf(out, "{\"user\":\"%s\",\"rules\":", user->name);
    append_rules(&rules, password, user);
    json_append_string(out, buf_bytes(&rules));
    buf_deinit(&rules);
    buf_append_char(out, '}');
}

static void append_line(struct buf *out, const char *password, const struct acl_user *user) {
    buf_printf(out, "# %s\nACL SETUSER %s ", user->what, user->name);
    append_rules(out, password, user);
    buf_append_char(out, '\n');
}

/* The rules name keys and channels of one fleet: those of --redis (its database) and
 * --redis-prefix. */
static bool choose_fleet(struct tool *t) {
    struct redis_url url;
    char error[200];
    bool is_fine = fleet_check(t->settings.redis_prefix, error) == 0;
    const char *text = *t->settings.redis != '\0' ? t->settings.redis : WHERE_DEFAULT;
    if (is_fine && redis_url_parse(&url, text, error) == 0) {
        fleet_init(t->settings.redis_prefix, url.db);
        return true;
    }
    tool_complain(t, "%s", error);
    return false;
}

static int run(struct tool *t, void *own) {
    const char *password = ((struct acl *)own)->password;
    struct buf out = {0};
    if (!choose_fleet(t))
        return TOOL_USAGE;
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        if (t->is_json)
            buf_append_str(&out, i == 0 ? "[" : ",");
        (t->is_json ? append_json : append_line)(&out, password, &users[i]);
    }
    printf("%.*s%s", BYTES_FMT(buf_bytes(&out)), t->is_json ? "]\n" : "");
    buf_deinit(&out);
    return TOOL_OK;
}

static const struct option options[] = {
    {.name = "password",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct acl, password),
     .placeholder = "TEXT",
     .help = "the password to write into the lines",
     .initial = "PASSWORD"},
};

const struct verb verb_redis_acl = {
    .name = "redis-acl",
    .arguments = "",
    .summary = "print Redis users with the least rights: gateway, broker, publisher, operator",
    .details =
        "Feed the lines to redis-cli, or write what follows ACL SETUSER into its aclfile as "
        "`user …`.\nGive each user a password of its own. Keys and channels are those of the "
        "fleet that the database\nin --redis and --redis-prefix name.",
    .flags = VERB_JSON,
    .options = options,
    .option_count = ARRAY_LEN(options),
    .size = sizeof(struct acl),
    .run = run};
