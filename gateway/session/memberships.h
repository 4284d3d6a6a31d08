/*
 * memberships.h - the groups of a client that is in more than one, or whose groups have changed.
 *
 * Most clients are in one group or none, for good: who.group says it, and client->memberships is
 * NULL. clients.h has the index of groups; this is what a client with others adds to it.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_MEMBERSHIPS_H
#define SIGNALBOX_GATEWAY_SESSION_MEMBERSHIPS_H

#include <sys/queue.h>

#include "common/bus/log/envelope.h"

struct client;
struct group;

/* A client's place in one of its groups. */
struct membership {
    struct client *client;
    struct group *group; /* NULL: the client is not attached */
    TAILQ_ENTRY(membership) link;
};
TAILQ_HEAD(membership_list, membership);

struct memberships {
    struct message_id changed; /* the message that changed them last, or none */
    size_t count;
    struct bytes *groups;    /* the oldest first, each once without case */
    struct membership all[]; /* one for each; the texts lie behind */
};

/* Copies the groups, at most CONN_GROUPS_MAX. Free it with free(). */
struct memberships *memberships_new(struct client *client, struct bytes_list groups,
                                    struct message_id changed);

/* All groups of a client. It borrows from the client. */
struct bytes_list client_groups(const struct client *c);
/* The oldest of them, which is what one group is to a plain client; or empty. */
struct bytes client_group(const struct client *c);

/* What the app keeps with it, as JSON; or empty. It borrows from the client. */
struct bytes client_data(const struct client *c);

/* Takes the groups that a message GROUPS says, or the registry, if these details are the client's,
 * which is not attached (clients_regroup). False: they are not. */
bool client_take_groups(struct client *c, const struct conn_details *d);

/* Appends the encoded details of a client (envelope.h), unless its value says it all. */
void client_details(const struct client *c, struct buf *out);

#endif
