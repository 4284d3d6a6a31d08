/*
 * link_login.c - from an open stream to READY: ASK, AUTH, ROLE, LOAD. Each state sends its commands
 * at once and ends with the last of their replies; any error reply ends the attempt.
 */
#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "common/bus/redis/link_internal.h"
#include "common/bus/redis/scripts.h"

static void send_command(struct link *l, struct command *c) {
    l->login_replies++;
    link_queue(l, c);
}

/* ---- ASK ---- */

static void send_auth(struct link *l) {
    struct redis_login login;
    if (!redis_access_login(l->url, l->state == LINK_ASK, &login))
        return;
    struct command c = command_begin("AUTH");
    if (login.user[0] != '\0')
        command_text(&c, login.user);
    command_text(&c, login.password);
    send_command(l, &c);
}

static void enter_ask(struct link *l) {
    link_set_state(l, LINK_ASK);
    send_auth(l);
    struct command c = command_begin("SENTINEL");
    command_text(&c, "get-master-addr-by-name");
    command_text(&c, l->url->master);
    send_command(l, &c);
}

static void on_ask_reply(struct link *l, const struct redisReply *reply) {
    /* To AUTH: a sentinel without a password refuses the servers', which does not matter. */
    if (l->login_replies > 0 && l->url->has_sentinel_login && reply_is_error(reply, NULL))
        link_fail(l, "sentinel login: %.*s", BYTES_FMT(bytes_head(reply_bytes(reply), 150)));
    if (l->state != LINK_ASK || l->login_replies > 0)
        return;
    struct bytes host = reply_bytes(reply_at(reply, 0));
    int64_t port = reply_number(reply_at(reply, 1), 0);
    if (reply_is_error(reply, NULL)) {
        link_fail(l, "sentinel: %.*s", BYTES_FMT(bytes_head(reply_bytes(reply), 150)));
    } else if (reply_is_nil(reply)) {
        link_fail(l, "sentinel: no master is named %s", l->url->master);
    } else if (host.len == 0 || host.len >= sizeof(l->master.host) || port < 1 || port > 65535) {
        link_fail(l, "sentinel: the answer makes no sense");
    } else {
        memcpy(l->master.host, host.ptr, host.len);
        l->master.host[host.len] = '\0';
        l->master.port = (int)port;
        link_go_to_master(l);
    }
}

/* ---- LOAD ---- */

static void enter_load(struct link *l) {
    link_set_state(l, LINK_LOAD);
    for (int s = 0; s < SCRIPT_COUNT && l->kind == LINK_COMMANDS; s++) {
        struct command c = command_begin("SCRIPT");
        command_text(&c, "LOAD");
        command_bytes(&c, script_text((enum script)s));
        send_command(l, &c);
    }
    struct command c = command_begin("INFO");
    command_text(&c, "server");
    command_text(&c, "replication");
    send_command(l, &c);
}

/* Numbers of connections mean others on another server, or after a restart. */
static bool read_server(struct link *l, struct bytes info) {
    char before[SERVER_RUN_ID_TEXT];
    memcpy(before, l->server.run_id, sizeof(before));
    bool is_good = server_info_read(&l->server, info);
    if (strcmp(before, l->server.run_id) != 0)
        l->client_id = 0;
    return is_good;
}

/* What the connection before this one sent may still wait in Redis' socket, to run after what we
 * send now. It ends first; then our own number is asked, the last reply of LOAD. */
static void end_predecessor(struct link *l) {
    if (l->client_id != 0) {
        struct command c = command_begin("CLIENT");
        command_text(&c, "KILL");
        command_text(&c, "ID");
        command_number(&c, l->client_id);
        send_command(l, &c);
    }
    l->client_id = 0;
    struct command c = command_begin("CLIENT");
    command_text(&c, "ID");
    send_command(l, &c);
}

static void on_load_reply(struct link *l, const struct redisReply *reply) {
    bool is_info = reply_bytes(reply).len > 64;
    if (is_info) {
        if (read_server(l, reply_bytes(reply)))
            end_predecessor(l);
        else
            link_fail(l, "INFO server names no run_id");
    } else if (l->login_replies == 0) {
        l->client_id = reply_number(reply, 0);
        link_became_ready(l);
    }
}

/* ---- ROLE ---- */

static void enter_role(struct link *l) {
    link_set_state(l, LINK_ROLE);
    struct command c = command_begin("ROLE");
    send_command(l, &c);
}

static void on_role_reply(struct link *l, const struct redisReply *reply) {
    struct bytes role = reply_bytes(reply_at(reply, 0));
    if (bytes_equal_str(role, "master"))
        enter_load(l);
    else
        link_fail(l, "this Redis is no master but a %.*s", BYTES_FMT(bytes_head(role, 20)));
}

/* ---- AUTH ---- */

static void enter_auth(struct link *l) {
    link_set_state(l, LINK_AUTH);
    send_auth(l);
    if (l->url->db != 0) {
        struct command c = command_begin("SELECT");
        command_number(&c, l->url->db);
        send_command(l, &c);
    }
    if (l->login_replies == 0)
        enter_role(l);
}

void link_login(struct link *l) {
    if (l->url->master[0] != '\0' && !l->is_master_known)
        enter_ask(l);
    else
        enter_auth(l);
}

/* A const table would need one signature for all; the states are few. */
static void on_reply_in_state(struct link *l, const struct redisReply *reply) {
    if (l->state == LINK_ASK)
        on_ask_reply(l, reply);
    else if (l->state == LINK_AUTH && l->login_replies == 0)
        enter_role(l);
    else if (l->state == LINK_ROLE)
        on_role_reply(l, reply);
    else if (l->state == LINK_LOAD)
        on_load_reply(l, reply);
}

void link_login_reply(struct link *l, struct redisReply *reply) {
    if (l->login_replies == 0) {
        link_fail(l, "an answer came to no question");
        return;
    }
    l->login_replies--;
    bool is_select = l->state == LINK_AUTH && l->login_replies == 0 && l->url->db != 0;
    if (is_select && reply_is_error(reply, NULL))
        link_fail(l, "login: database %d cannot be used: %.*s", l->url->db,
                  BYTES_FMT(bytes_head(reply_bytes(reply), 150)));
    else if (l->state != LINK_ASK && reply_is_error(reply, NULL))
        link_fail(l, "login: %.*s", BYTES_FMT(bytes_head(reply_bytes(reply), 150)));
    else
        on_reply_in_state(l, reply);
}
