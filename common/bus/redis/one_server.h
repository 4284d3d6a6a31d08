/*
 * one_server.h - for bus.c: keeps the links of a process on one server. What comes over a feed
 * means something only together with what the commands read, and neither need break when Redis
 * moves: a name leads elsewhere, a server is demoted, a proxy changes its mind.
 *
 * The commands link is the measure: every second its server is asked who it is. Of the commands
 * link and the feed the one that was made later knows where Redis is now; other links follow the
 * commands.
 */
#ifndef SIGNALBOX_BUS_REDIS_ONE_SERVER_H
#define SIGNALBOX_BUS_REDIS_ONE_SERVER_H

#include <stdbool.h>

struct link;

enum { ONE_SERVER_OTHERS = 4 };

struct one_server {
    struct link *commands, *feed; /* feed: NULL for a tool */
    struct link *others[ONE_SERVER_OTHERS];
    bool is_feed_newer;
};

/* The link, commands or feed, is READY. */
void one_server_on_ready(struct one_server *o, const struct link *link);
/* Another link of this process, a feed, which stays until the bus is closed. */
void one_server_add(struct one_server *o, struct link *link);
/* Every second; the commands link must be READY. */
void one_server_ask(struct one_server *o);
/* Whether feed and commands go to the same. */
bool one_server_holds(const struct one_server *o);

#endif
