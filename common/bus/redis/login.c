/* login.c - see login.h. */
#include "common/bus/redis/login.h"

#include <stdio.h>
#include <string.h>

#include "common/bus/redis/command.h"
#include "common/bus/redis/redis_access.h"
#include "common/bus/redis/reply.h"
#include "common/bus/redis/scripts.h"

static PRINTF_LIKE(2, 3) enum login_result fail(struct login *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(l->why, sizeof(l->why), format, args);
    va_end(args);
    return LOGIN_FAILED;
}

static enum login_result fail_reply(struct login *l, const char *what,
                                    const struct redisReply *reply) {
    return fail(l, "%s: %.*s", what, BYTES_FMT(bytes_head(reply_bytes(reply), 150)));
}

static void send_command(struct login *l, struct command *c) {
    struct buf text = command_finish(c);
    l->replies++;
    buf_append(&l->out, buf_bytes(&text));
    buf_deinit(&text);
}

static void send_words(struct login *l, const char *name, const char *first, const char *second) {
    struct command c = command_begin(name);
    command_text(&c, first);
    if (second != NULL)
        command_text(&c, second);
    send_command(l, &c);
}

static void send_auth(struct login *l) {
    struct redis_login login;
    if (!redis_access_login(l->url, l->step == LOGIN_ASK, &login))
        return;
    if (login.user[0] != '\0')
        send_words(l, "AUTH", login.user, login.password);
    else
        send_words(l, "AUTH", login.password, NULL);
}

/* ---- LOAD ---- */

static enum login_result enter_load(struct login *l) {
    l->step = LOGIN_LOAD;
    for (int s = 0; s < SCRIPT_COUNT && l->loads_scripts; s++) {
        struct command c = command_begin("SCRIPT");
        command_text(&c, "LOAD");
        command_bytes(&c, script_text((enum script)s));
        send_command(l, &c);
    }
    send_words(l, "INFO", "server", "replication");
    return LOGIN_MORE;
}

/* What the connection before this one sent may still wait in Redis' socket, to run after what is
 * sent now. So it is ended first; then our own number is asked for, the last reply of LOAD. */
static void end_predecessor(struct login *l) {
    if (l->client_id != 0) {
        struct command c = command_begin("CLIENT");
        command_text(&c, "KILL");
        command_text(&c, "ID");
        command_number(&c, l->client_id);
        send_command(l, &c);
    }
    l->client_id = 0;
    send_words(l, "CLIENT", "ID", NULL);
}

/* Another server, or one that was restarted, gives other connections these numbers. */
static bool read_server(struct login *l, struct bytes info) {
    char before[SERVER_RUN_ID_TEXT];
    memcpy(before, l->server.run_id, sizeof(before));
    bool is_good = server_info_read(&l->server, info);
    if (strcmp(before, l->server.run_id) != 0)
        l->client_id = 0;
    return is_good;
}

static enum login_result on_load_reply(struct login *l, const struct redisReply *reply) {
    bool is_info = reply_bytes(reply).len > 64;
    if (is_info) {
        if (!read_server(l, reply_bytes(reply)))
            return fail(l, "INFO server names no run_id");
        end_predecessor(l);
        return LOGIN_MORE;
    }
    if (l->replies > 0)
        return LOGIN_MORE;
    l->client_id = reply_number(reply, 0);
    return LOGIN_DONE;
}

/* ---- ROLE ---- */

static enum login_result enter_role(struct login *l) {
    struct command c = command_begin("ROLE");
    l->step = LOGIN_ROLE;
    send_command(l, &c);
    return LOGIN_MORE;
}

/* ---- AUTH ---- */

static enum login_result enter_auth(struct login *l) {
    l->step = LOGIN_AUTH;
    send_auth(l);
    if (l->url->db != 0) {
        struct command c = command_begin("SELECT");
        command_number(&c, l->url->db);
        send_command(l, &c);
    }
    return l->replies == 0 ? enter_role(l) : LOGIN_MORE;
}

static enum login_result on_auth_reply(struct login *l, const struct redisReply *reply) {
    bool is_select = l->replies == 0 && l->url->db != 0;
    if (is_select && reply_is_error(reply, NULL))
        return fail(l, "login: database %d cannot be used: %.*s", l->url->db,
                    BYTES_FMT(bytes_head(reply_bytes(reply), 150)));
    if (reply_is_error(reply, NULL))
        return fail_reply(l, "login", reply);
    return l->replies == 0 ? enter_role(l) : LOGIN_MORE;
}

/* ---- ASK ---- */

static enum login_result on_ask_reply(struct login *l, const struct redisReply *reply) {
    struct bytes host = reply_bytes(reply_at(reply, 0));
    int64_t port = reply_number(reply_at(reply, 1), 0);
    /* The reply to AUTH: a sentinel without a password refuses the servers', which is no matter. */
    if (l->replies > 0 && l->url->has_sentinel_login && reply_is_error(reply, NULL))
        return fail_reply(l, "sentinel login", reply);
    if (l->replies > 0)
        return LOGIN_MORE;
    if (reply_is_error(reply, NULL))
        return fail_reply(l, "sentinel", reply);
    if (reply_is_nil(reply))
        return fail(l, "sentinel: no master is named %s", l->url->master);
    if (host.len == 0 || host.len >= sizeof(l->master.host) || port < 1 || port > 65535)
        return fail(l, "sentinel: the answer makes no sense");
    memcpy(l->master.host, host.ptr, host.len);
    l->master.host[host.len] = '\0';
    l->master.port = (int)port;
    return LOGIN_MASTER;
}

/* ---- the whole ---- */

enum login_result login_begin(struct login *l, bool is_sentinel) {
    buf_clear(&l->out);
    l->replies = 0;
    if (!is_sentinel)
        return enter_auth(l);
    l->step = LOGIN_ASK;
    send_auth(l);
    send_words(l, "SENTINEL", "get-master-addr-by-name", l->url->master);
    return LOGIN_MORE;
}

enum login_result login_reply(struct login *l, const struct redisReply *reply) {
    if (l->replies == 0)
        return fail(l, "an answer came to no question");
    l->replies--;
    if (l->step == LOGIN_ASK)
        return on_ask_reply(l, reply);
    if (l->step == LOGIN_AUTH)
        return on_auth_reply(l, reply);
    if (reply_is_error(reply, NULL))
        return fail_reply(l, "login", reply);
    if (l->step == LOGIN_LOAD)
        return on_load_reply(l, reply);
    struct bytes role = reply_bytes(reply_at(reply, 0));
    if (bytes_equal_str(role, "master"))
        return enter_load(l);
    return fail(l, "this Redis is no master but a %.*s", BYTES_FMT(bytes_head(role, 20)));
}
