/*
 * cmd_redis_acl.c - redis-acl: users for a Redis that others can reach, each with the rights that
 * it needs and no more. tests/tools/test_redis_acl.py runs a cluster with these users, and fails
 * when the code begins to use a command that is missing here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/secret_file.h"
#include "common/json/json_text.h"
#include "common/bus/partition.h"
#include "common/bus/redis/redis_url.h"
#include "tools/tool.h"
#include "tools/verb.h"
#include "tools/where.h"

/* For connecting: the login, the role of the server, the cluster's configuration. */
#define LOGIN "+auth +hello +ping +select +role +info +client|id +hmget"
/* For connecting again: the connection before is ended. */
#define AGAIN "+client|kill"

/* What the scripts and both daemons do with keys. */
#define SHARED                                                                                     \
    "+script|load +evalsha +eval +type +exists +expire +pexpire +pttl +get +set +del +incrby "     \
    "+time +hget "                                                                                 \
    "+hset +hsetnx +hdel +hgetall +hscan +hmget +sadd +srem +scard +sismember +smembers +sscan "   \
    "+scan +zadd +zrem +zrangebylex +persist "                                                     \
    "+xadd +xlen +memory|usage "                                                                   \
    "+multi +exec +xrange +xrevrange +publish +subscribe +unsubscribe"

/* In the order of keys.def's access letters. */
enum { GATEWAY, BROKER, PUBLISHER, OPERATOR, USERS };

static const struct acl_user {
    const char *name, *what, *commands;
} users[USERS] = {
    [GATEWAY] = {"signalbox-gateway", "gateways", LOGIN " " AGAIN " " SHARED},
    [BROKER] = {"signalbox-broker", "brokers",
                LOGIN " " SHARED " " AGAIN " +xread +xtrim +hkeys +hlen"},
    [PUBLISHER] = {"signalbox-publisher", "programs that send, and `signalbox send` and `close`",
                   LOGIN " +publish +hget +xrange +subscribe +unsubscribe +pubsub|numsub"},
    [OPERATOR] = {"signalbox-operator", "the other verbs of the CLI",
                  LOGIN " +publish +subscribe +unsubscribe +hget +hset +hdel +hgetall "
                        "+hscan +scan +scard +exists +zrangebylex "
                        "+xrange +xread +pubsub|numsub +time +config|get "
                        "+multi +exec +xrevrange +get " AGAIN},
};

static const struct named {
    bool is_channel;
    const char *text, *access;
} named[] = {
#define KEY_OF_PARTITION(name, text, tail, type, ends, access, content)                            \
    {false, "sb:{*}:" text, access},
#define CHANNEL_OF_PARTITION(name, text, tail, access, content) {true, "sb:{*}:" text, access},
#define KEY(name, text, tail, type, ends, access, content)      {false, text, access},
#define CHANNEL(name, text, tail, access, content)              {true, text, access},
#include "common/bus/keys.def"
};

struct acl {
    const char *password, *password_file;
    char password_text[SECRET_FILE_MAX + 1];
};

/* What the code appends is a * of the pattern; a name that itself ends with one has it in brackets.
 */
static void append_pattern(struct buf *out, const char *what, const struct named *n) {
    size_t len = strlen(n->text);
    char last = n->text[len - 1];
    buf_append_str(out, what);
    buf_append_str(out, n->is_channel ? fleet_channel_prefix() : fleet_key_prefix());
    buf_append(out, bytes_of(n->text, len - (last == '*')));
    buf_append_str(out, last == '*' ? "[*]" : last == ':' ? "*" : "");
}

/* Those to which the user has this access. */
static void append_patterns(struct buf *out, const struct acl_user *user, char access,
                            const char *before, const char *after) {
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        bool is_meant = named[i].is_channel == (*before == '&');
        if (!is_meant || named[i].access[user - users] != access)
            continue;
        append_pattern(out, before, &named[i]);
        buf_append_str(out, after);
    }
}

/* Where somebody only adds he has no other command: a selector. */
static void append_rules(struct buf *out, const char *password, const struct acl_user *user) {
    buf_printf(out, "reset on >%s ", password);
    append_patterns(out, user, 'w', "~", " ");
    append_patterns(out, user, 'r', "%R~", " ");
    append_patterns(out, user, 'w', "&", " ");
    buf_printf(out, "-@all %s", user->commands);
    append_patterns(out, user, 'a', " (%W~", " +xadd +xlen)");
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
    return tool_complain(t, "%s", error);
}

/* A rule ends at a space, and a line at a line end. */
static bool read_password(struct tool *t, struct acl *a) {
    char why[SECRET_FILE_WHY];
    if (a->password_file != NULL && secret_file_read(a->password_file, a->password_text, why) != 0)
        return tool_complain(t, "--password-file=%s: %s", a->password_file, why);
    if (a->password_file != NULL)
        a->password = a->password_text;
    return a->password[strcspn(a->password, " \t\r\n\"'\\")] == '\0' ||
           tool_complain(t, "the password has a blank, a quote or a backslash, with which Redis "
                            "would not read the line");
}

static int run(struct tool *t, void *own) {
    struct acl *a = own;
    struct buf out = {0};
    if (!read_password(t, a) || !choose_fleet(t))
        return TOOL_USAGE;
    const char *password = a->password;
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
    {"password", OPTION_TEXT, offsetof(struct acl, password), "TEXT",
     "the password to write into the lines", .initial = "PASSWORD"},
    {"password-file", OPTION_TEXT, offsetof(struct acl, password_file), "FILE",
     "the same from the first line of a file"},
};

const struct verb verb_redis_acl = {
    .name = "redis-acl",
    .arguments = "",
    .summary = "print Redis users with the least rights: gateway, broker, publisher, operator",
    .details =
        "Feed the lines to redis-cli, or write what follows ACL SETUSER into its aclfile as\n"
        "`user …`. Give each user a password of its own. Keys and channels are those of the\n"
        "fleet that the database in --redis and --redis-prefix name.",
    .flags = VERB_JSON,
    VERB_OPTIONS(options),
    VERB_RUN(struct acl, run)};
