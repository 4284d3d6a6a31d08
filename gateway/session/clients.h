/*
 * clients.h - which connections of this process belong to which followed Name.
 *
 * A Name with at least one connection here (or one that is joining) has a name_entry, which follows
 * its log. The attached connections lie in a dense array, which is what a message walks along. The
 * entry outlives its last connection by LINGER_MS, since clients often come back.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_CLIENTS_H
#define SIGNALBOX_GATEWAY_SESSION_CLIENTS_H

#include <sys/queue.h>

#include "common/app/registrations/registrations.h"
#include "common/base/buf.h"
#include "common/base/table.h"
#include "common/bus/log/envelope.h"
#include "gateway/session/memberships.h"
#include "gateway/session/wire.h"

struct app;
struct bus;
struct client;
struct clients;
struct conn;
struct follow;
struct follower;
struct join;

struct client_slot {
    struct conn *conn;
    struct client *client;
    enum wire wire;
    uint8_t skips; /* SKIPS_…: messages of this log up to client->skip_until are not for it */
};
enum { SKIPS_OWN = 1, SKIPS_EVERY = 2 };

static inline bool client_slot_skips(const struct client_slot *slot, const struct message *m) {
    return (slot->skips & (m->is_to_every ? SKIPS_EVERY : SKIPS_OWN)) != 0;
}

LIST_HEAD(join_list, join);
TAILQ_HEAD(client_list, client);

/* The attached connections of a Name that have the same group, without case. One of the lists is
 * not empty. */
struct group {
    UT_hash_handle hh;
    struct client_list members;     /* by_group: those that are in no other group */
    struct membership_list further; /* those with memberships */
    uint64_t mark;                  /* the last message that named it (clients_new_mark) */
    size_t key_len;
    char key[]; /* folded */
};

struct name_entry {
    struct clients *owner;
    struct follow *follow;
    unsigned partition;
    enum slow_policy slow;
    bool continues_on_gap;
    bool is_uncompressed; /* nothing of it is compressed */
    bool is_placed;       /* the first registration has said where the log stands */
    uint64_t empty_ms;    /* since when it has no client; 0: it has one */
    struct client_slot *slots;
    size_t count, cap;
    struct join_list joins;
    struct client *by_id;   /* uthash over client ids */
    struct group *by_group; /* uthash over folded groups */
    UT_hash_handle hh;
    size_t name_len;
    char name[];
};

struct clients {
    struct bus *bus;
    struct follower *follower;
    struct app *const *app;   /* the current one */
    struct name_entry *names; /* uthash */
    struct client_list all;   /* those not restored yet before the others */
    struct client *by_number; /* uthash over connection numbers */
    size_t count;             /* attached connections */
    uint64_t last_mark;       /* of clients_new_mark */
    struct buf folded;        /* room for one group */
};

void clients_init(struct clients *c, struct bus *bus, struct follower *follower,
                  struct app *const *app);
/* No connection may be attached any more. Stops following. */
void clients_deinit(struct clients *c);

/* The entry of a Name, or NULL. */
struct name_entry *clients_find(struct clients *c, struct bytes name);
/* The entry of a Name; the log is followed from now on. */
struct name_entry *clients_enter(struct clients *c, struct bytes name);
static inline struct bytes name_entry_name(const struct name_entry *e) {
    return bytes_of(e->name, e->name_len);
}
/* How what is in its log looks to this client. */
enum wire name_entry_wire(const struct name_entry *e, const struct client *client);
/* A join or a connection that used the entry is gone. */
void clients_left(struct name_entry *e);

void clients_attach(struct name_entry *e, struct client *client);
void clients_detach(struct client *client);
/* The groups of the connection whose details these are have changed. It does nothing if that is not
 * here. Not while the groups of a Name are walked. */
void clients_regroup(struct clients *c, const struct conn_details *d);

/* The connection with this number, or NULL. */
struct client *clients_by_number(struct clients *c, uint64_t number);
/* The connection with this value, or NULL. */
struct client *clients_by_value(struct clients *c, struct bytes value);
/* The first connection of a Name with this client id; client->same_id leads to others. */
struct client *clients_by_id(struct name_entry *e, struct bytes client_id);

/* The connections of a Name with this group, or NULL. */
struct group *clients_by_group(struct name_entry *e, struct bytes group);
/* Whether the connection is in a group that is marked so. */
bool clients_has_mark(const struct client *client, uint64_t mark);
/* A number for one walk over lists of groups and ids: what was met is marked with it, so that a
 * text that is listed twice counts once. */
static inline uint64_t clients_new_mark(struct clients *c) {
    return ++c->last_mark;
}

/* Whether a message is for this connection. It searches the lists of the message: for a question
 * about one connection (addressees.h: about many). */
bool clients_is_for(const struct message *m, const struct client *client);

/* Every second: stops following the Names to which no client came back. */
void clients_sweep(struct clients *c);
/* The app was loaded anew: the options of the Names may have changed. */
void clients_reload(struct clients *c);

#endif
