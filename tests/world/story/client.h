/*
 * client.h - the clients of a story: each has a place in the network, an id, a Name, a format and
 * habits, and connects again when it was cut off. What it sees goes to the books.
 *
 * A client is one of these, and talks or not:
 *
 *     plain      no ids, no resume
 *     v1         signalbox.v1: acknowledged messages; resumes where it stopped
 *     grouped    plain or v1, in the group red or blue; its id is new with each connection
 *     local      connects to a Local route, reads its five messages and comes again
 *
 * A passenger comes and goes by itself: with a Close, with the end of its stream, with a reset, or
 * by connecting again before it has left.
 */
#ifndef SIGNALBOX_WORLD_CLIENT_H
#define SIGNALBOX_WORLD_CLIENT_H

#include "tests/world/dice.h"
#include "tests/world/sim.h"
#include "tests/world/story/books.h"

/* A listener is plain, and what it hears is not looked at. */
enum client_manner { CLIENT_PLAIN, CLIENT_V1, CLIENT_LOCAL, CLIENT_LISTENER };

struct client_options {
    enum client_manner manner;
    const char *route; /* "n", "hop", "wait", "g" */
    int name;
    const char *group; /* red, blue, or "" */
    bool is_passenger;
    uint64_t talk_us; /* between two of its messages; 0: it is silent */
};

struct line; /* one connection */

struct client {
    struct client_options options;
    unsigned number, life;
    char id[TOKEN_MAX], host[24];
    struct dice dice;
    struct line *line; /* the one it uses; NULL: it is away */
    struct message_id position;
    bool has_position, is_hushed, is_absent /* until client_return */;
    struct event next, talk;
};

enum { CLIENT_MAX = 1800 };
extern struct client clients[CLIENT_MAX];
extern unsigned client_count;

/* gateways: how many there are to choose from. */
void clients_begin(unsigned gateways);
/* All but the first so many. Before the story runs. */
void clients_forget(unsigned count);
/* Those that talk begin to, at some time from now on. */
void clients_talk(void);
struct client *client_add(const struct client_options *options);
/* The address of a gateway, for clients. */
const char *gateway_address(unsigned gateway);

bool client_is_settled(const struct client *c);               /* connected, and for v1 greeted */
const struct meeting *client_meeting(const struct client *c); /* NULL: away */
/* No more talk, no more coming and going. A passenger stays where it is, or comes back. */
void client_hush(struct client *c);

/* --- faults --- */
void client_pause(struct client *c, bool is_paused); /* it does not read */
void client_drop(struct client *c);                  /* its connection is reset */
void client_vanish(struct client *c);                /* it is gone, without a word from now on */
void client_return(struct client *c);
void client_take_over(struct client *c); /* connects again, while it is connected */

#endif
