/*
 * one_server.h - for bus.c: keeps the links of a process on one server. What comes over a feed
 * means something only together with what the commands read, and neither need break when Redis
 * moves: a name leads elsewhere, a server is demoted, a proxy changes its mind.
 *
 * The commands link is the measure: every second its server is asked who it is. Of the two
 * links the one that was made later knows where Redis is now, and the other is made anew.
 */
#ifndef SIGNALBOX_BUS_REDIS_ONE_SERVER_H
#define SIGNALBOX_BUS_REDIS_ONE_SERVER_H

#include <stdbool.h>

struct link;

struct one_server {
    struct link *commands, *feed; /* feed: NULL for a tool without one */
    bool is_feed_newer;
};

/* The link, commands or feed, is READY. */
void one_server_on_ready(struct one_server *o, const struct link *link);
/* Every second; the commands link must be READY. */
void one_server_ask(struct one_server *o);
/* Whether feed and commands go to the same. */
bool one_server_holds(const struct one_server *o);

#endif
