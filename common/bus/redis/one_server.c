/* one_server.c - see one_server.h. */
#include "common/bus/redis/one_server.h"

#include <string.h>

#include "common/bus/redis/link.h"
#include "common/bus/redis/server_info.h"

static bool is_ready(const struct link *link) {
    return link != NULL && link_is_ready(link);
}

static bool are_apart(const struct link *a, const struct link *b) {
    return is_ready(a) && is_ready(b) && strcmp(link_server(a), link_server(b)) != 0;
}

static void compare(struct one_server *o) {
    if (are_apart(o->commands, o->feed))
        link_break(o->is_feed_newer ? o->commands : o->feed,
                   "commands and feed have come to different servers");
}

void one_server_on_ready(struct one_server *o, const struct link *link) {
    o->is_feed_newer = link == o->feed;
    compare(o);
}

static void break_all(struct one_server *o, const char *why) {
    link_break(o->commands, why);
    if (is_ready(o->feed))
        link_break(o->feed, why);
}

static void on_info(void *ctx, struct redisReply *reply) {
    struct one_server *o = ctx;
    struct server_info info;
    if (!is_ready(o->commands) || !server_info_read(&info, reply_bytes(reply)))
        return;
    if (!info.is_master)
        break_all(o, "this Redis is no master any more");
    else if (strcmp(info.identity, link_server(o->commands)) != 0)
        break_all(o, "this is another Redis than before, or it has other data");
    else
        compare(o);
}

void one_server_ask(struct one_server *o) {
    struct command c = command_begin("INFO");
    command_text(&c, "server");
    command_text(&c, "replication");
    link_send(o->commands, &c, on_info, o);
}

bool one_server_holds(const struct one_server *o) {
    return is_ready(o->commands) && is_ready(o->feed) && !are_apart(o->commands, o->feed);
}
