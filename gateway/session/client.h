/*
 * client.h - one Signal connection, whatever carries it: who it is, its place in its Name, its
 * registration, and why it ended.
 *
 *     client_new ─▶ client_register (joins) ─▶ client_carry ─▶ clients_attach ─▶ … ─▶ left ─▶ freed
 *
 * A join makes it before there is a 101; from client_carry on a transport (conn/transport.h) holds
 * it and reports to it. It leaves its Name and the registry exactly once, with a cause that the
 * Disconnect event reports. A Local connection has neither Name entry nor registration; it belongs
 * to the request that made it.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_CLIENT_H
#define SIGNALBOX_GATEWAY_SESSION_CLIENT_H

#include <sys/queue.h>

#include "common/base/close_reason.h"
#include "common/base/table.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/log/envelope.h"
#include "common/bus/log/sender_queue.h"
#include "gateway/conn/transport.h"
#include "gateway/session/wire.h"

struct blocked;
struct client;
struct conn;
struct memberships;
struct message_frames;
struct name_entry;
struct request;
struct settings;

LIST_HEAD(passage_list, passage);

/* A message of a client. */
struct said {
    bool is_binary;
    struct bytes body;
    struct bytes
        session;       /* encoded struct session: of the request that brought it, or the client's */
    struct bytes once; /* its own id, if it is not in its body; or empty */
    struct bytes reply; /* whom its outcome is reported to (bus/log/publish.h); empty: nobody */
};

/* Where a client's messages go. */
struct client_events {
    /* A message; it may be held within. */
    void (*on_message)(void *ctx, struct client *c, const struct said *said);
    /* Forgets its message that is held for want of room. False: there is none. */
    bool (*take_back)(void *ctx, struct client *c);
    /* Sends an entry BYE after its messages; client_on_bye when it is back. False: not possible. */
    bool (*ask_for_bye)(void *ctx, struct client *c);
    /* It has left its Name. */
    void (*on_left)(void *ctx, struct client *c);
};

/* What all Signal connections of a process have in common. */
struct client_host {
    const struct settings *settings;
    struct registry *registry;
    struct message_frames *frames;
    const struct client_events *events;
    void *ctx; /* of the events */
};

/* Made once, at the conversion; never changes. */
struct identity {
    struct bytes name, group, client_id; /* group: the first one then, or empty (memberships.h) */
    struct bytes value;                  /* connection value; empty for a Local one */
    struct bytes session;                /* encoded struct session; empty for a Local one */
    uint64_t number;                     /* of the connection in this process */
    uint64_t connected_ms;               /* wall clock */
    bool is_local;
};

struct client {
    const struct client_host *host;
    unsigned refs;
    enum wire wire;
    const struct transport *transport; /* NULL until client_carry */
    void *carrier;
    struct conn *conn;       /* where its frames are queued */
    struct request *request; /* the route that made it, while that runs */
    bool is_registered, has_left;
    char *cause; /* for the Disconnect; NULL while it is open */

    unsigned partition; /* of its Name, where its messages go */

    /* clients.c */
    struct name_entry *entry; /* NULL: Local, or not attached */
    uint32_t slot;
    struct message_id skip_until; /* messages up to this one are not for it */
    struct client *same_id, *same_id_before;
    struct memberships *memberships; /* NULL: who.group says all of it, and then: */
    struct group *group;             /* NULL: none, or not attached */
    TAILQ_ENTRY(client) by_group;
    uint64_t mark; /* the last message with a list that reached it (clients_new_mark) */
    UT_hash_handle hh_id, hh_number;
    TAILQ_ENTRY(client) by_restore;
    uint64_t restored; /* the round of restores it was part of */

    /* uplink.c */
    struct blocked *blocked;      /* its message that waits for room on the way to Redis */
    struct sender sender;         /* its place among those who append */
    struct passage_list passages; /* its messages that Redis has not confirmed, */
    size_t unaccepted_bytes;      /* and their size */

    struct identity who; /* its texts follow the struct */
};

/* Copies everything of `who`; wire is that of what will carry it. One reference. */
struct client *client_new(const struct client_host *host, const struct identity *who,
                          enum wire wire);
/* While it is not attached: all of its groups. */
void client_set_groups(struct client *c, struct bytes_list groups);
struct client *client_ref(struct client *c);
void client_unref(struct client *c); /* NULL is legal */

/* From now on this carries it; the carrier takes a reference, and gives it back by on_gone. */
void client_carry(struct client *c, const struct transport *transport, void *carrier,
                  struct conn *conn);
/* What its transport reports. */
extern const struct transport_events client_transport_events;

/* Registers it, or registers it again; from now on it will be unregistered when it leaves. */
void client_register(struct client *c, bool is_restore, registry_registered_fn *fn, void *ctx);
/* Its registration is gone without us: the gateway expired, or somebody took its id over. */
void client_forget_registration(struct client *c);
/* It was lost before a transport carried it. */
void client_lose(struct client *c);

/* From where it may resume; none for a Local one. False: as far as the position event
 * (conn/transport.h) tells nothing. */
bool client_position(const struct client *c, uint64_t since_ms, struct message_id *id_out);
/* Whether neither side has begun to end it. */
static inline bool client_is_open(const struct client *c) {
    return c->cause == NULL;
}
/* Queues what was made for its wire; is_initial: past the bound, as the first messages after its
 * hello. */
enum conn_sent client_send_frame(struct client *c, struct frame f, bool is_initial);
/* What its wire begins with, if anything (wire_hello). Of the hello, what the connection knows of
 * itself is filled in here. */
void client_send_hello(struct client *c, const struct hello *of_this_join);
/* signalbox.v1: what hello announced as replayed has been sent. Past the bound. */
void client_send_live(struct client *c);
/* A message that has no place in a log. flags: FLAG_BINARY, FLAG_JSON. */
void client_send(struct client *c, unsigned flags, struct bytes data);

/* We close. No effect when it ends already. client_close_with: somebody has decided that, so it is
 * for good. */
void client_close(struct client *c, enum close_reason reason);
void client_close_with(struct client *c, int code, struct bytes reason);
/* BYE is back. */
void client_on_bye(struct client *c);
void client_hold(struct client *c, enum hold why);
void client_release(struct client *c, enum hold why);

#endif
