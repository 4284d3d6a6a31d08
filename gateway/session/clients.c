/* clients.c - see clients.h. */
#include "gateway/session/clients.h"

#include <stdlib.h>

#include "common/app/app.h"
#include "common/base/fold.h"
#include "common/base/metrics.h"
#include "common/base/must.h"
#include "common/bus/bus.h"
#include "common/bus/log/follower.h"
#include "common/bus/partition.h"
#include "gateway/conn/conn.h"
#include "gateway/session/client.h"

enum { LINGER_MS = 30000, FOLDED_KEPT_BYTES = 64 * 1024 };

void clients_init(struct clients *c, struct bus *bus, struct follower *follower,
                  struct app *const *app) {
    *c = (struct clients){.bus = bus, .follower = follower, .app = app};
    TAILQ_INIT(&c->all);
}

static void read_options(struct name_entry *e) {
    const struct registrations *r = app_registrations(*e->owner->app);
    const struct name_options *options = registrations_name_options(r, e->name);
    e->slow = options->slow;
    e->continues_on_gap = options->continues_on_gap;
    e->is_uncompressed = options->is_uncompressed;
}

struct name_entry *clients_find(struct clients *c, struct bytes name) {
    struct name_entry *e;
    HASH_FIND(hh, c->names, name.ptr, name.len, e);
    return e;
}

struct name_entry *clients_enter(struct clients *c, struct bytes name) {
    struct name_entry *e = clients_find(c, name);
    if (e != NULL) {
        e->empty_ms = 0;
        return e;
    }
    e = mem_zalloc(sizeof(*e) + name.len + 1);
    memcpy(e->name, name.ptr, name.len);
    e->name_len = name.len;
    e->owner = c;
    e->partition = partition_of(name, bus_partitions(c->bus));
    LIST_INIT(&e->joins);
    read_options(e);
    HASH_ADD_KEYPTR(hh, c->names, e->name, e->name_len, e);
    e->follow = follower_follow(c->follower, name_entry_name(e), e);
    metrics_set(METRIC_names_followed, HASH_COUNT(c->names));
    return e;
}

static void forget(struct name_entry *e) {
    struct clients *c = e->owner;
    follower_stop(c->follower, e->follow);
    HASH_DEL(c->names, e);
    free(e->slots);
    free(e);
    metrics_set(METRIC_names_followed, HASH_COUNT(c->names));
}

void clients_deinit(struct clients *c) {
    struct name_entry *e, *next;
    MUST(c->count == 0);
    HASH_ITER (hh, c->names, e, next)
        forget(e);
    buf_deinit(&c->folded);
}

void clients_left(struct name_entry *e) {
    if (e->count == 0 && LIST_EMPTY(&e->joins))
        e->empty_ms = uv_now(bus_loop(e->owner->bus)) + 1;
}

void clients_sweep(struct clients *c) {
    struct name_entry *e, *next;
    uint64_t now_ms = uv_now(bus_loop(c->bus));
    HASH_ITER (hh, c->names, e, next) {
        if (e->empty_ms != 0 && now_ms > e->empty_ms + LINGER_MS)
            forget(e);
    }
}

enum wire name_entry_wire(const struct name_entry *e, const struct client *client) {
    return e->is_uncompressed ? wire_uncompressed(client->wire) : client->wire;
}

/* The policy is the conn's where it carries no others. */
static void apply_options(const struct name_entry *e, struct client_slot *slot) {
    if (slot->client->wire != WIRE_CHANNEL)
        slot->conn->policy = e->slow;
    slot->wire = name_entry_wire(e, slot->client);
}

void clients_reload(struct clients *c) {
    struct name_entry *e, *next;
    HASH_ITER (hh, c->names, e, next) {
        read_options(e);
        for (size_t i = 0; i < e->count; i++)
            apply_options(e, &e->slots[i]);
    }
}

/* Several connections may have one client id for a moment, when one takes over from another: the
 * first is in the table and leads to the others. */
static void index_id(struct name_entry *e, struct client *client) {
    struct client *first = clients_by_id(e, client->who.client_id);
    client->same_id = client->same_id_before = NULL;
    if (first == NULL) {
        HASH_ADD_KEYPTR(hh_id, e->by_id, client->who.client_id.ptr, client->who.client_id.len,
                        client);
        return;
    }
    client->same_id = first->same_id;
    client->same_id_before = first;
    if (first->same_id != NULL)
        first->same_id->same_id_before = client;
    first->same_id = client;
}

static void unindex_id(struct name_entry *e, struct client *client) {
    struct client *before = client->same_id_before, *next = client->same_id;
    if (next != NULL)
        next->same_id_before = before;
    if (before != NULL) {
        before->same_id = next;
        return;
    }
    HASH_DELETE(hh_id, e->by_id, client);
    if (next != NULL)
        HASH_ADD_KEYPTR(hh_id, e->by_id, next->who.client_id.ptr, next->who.client_id.len, next);
}

static struct group *add_group(struct name_entry *e, struct bytes folded) {
    struct group *g = mem_zalloc(sizeof(*g) + folded.len);
    TAILQ_INIT(&g->members);
    TAILQ_INIT(&g->further);
    memcpy(g->key, folded.ptr, folded.len);
    g->key_len = folded.len;
    HASH_ADD_KEYPTR(hh, e->by_group, g->key, g->key_len, g);
    return g;
}

static struct group *enter_group(struct name_entry *e, struct bytes group) {
    struct group *g = clients_by_group(e, group);
    return g != NULL ? g : add_group(e, buf_bytes(&e->owner->folded));
}

static void index_groups(struct name_entry *e, struct client *client) {
    struct memberships *m = client->memberships;
    for (size_t i = 0; m != NULL && i < m->count; i++) {
        m->all[i].group = enter_group(e, m->groups[i]);
        TAILQ_INSERT_TAIL(&m->all[i].group->further, &m->all[i], link);
    }
    if (m != NULL || client->who.group.len == 0)
        return;
    client->group = enter_group(e, client->who.group);
    TAILQ_INSERT_TAIL(&client->group->members, client, by_group);
}

static void drop_if_empty(struct name_entry *e, struct group *g) {
    if (!TAILQ_EMPTY(&g->members) || !TAILQ_EMPTY(&g->further))
        return;
    HASH_DEL(e->by_group, g);
    free(g);
}

static void unindex_groups(struct name_entry *e, struct client *client) {
    struct memberships *m = client->memberships;
    for (size_t i = 0; m != NULL && i < m->count; i++) {
        struct group *g = m->all[i].group;
        m->all[i].group = NULL;
        TAILQ_REMOVE(&g->further, &m->all[i], link);
        drop_if_empty(e, g);
    }
    if (client->group == NULL)
        return;
    struct group *g = client->group;
    client->group = NULL;
    TAILQ_REMOVE(&g->members, client, by_group);
    drop_if_empty(e, g);
}

void clients_attach(struct name_entry *e, struct client *client) {
    struct clients *c = e->owner;
    if (e->count == e->cap) {
        e->cap = e->cap == 0 ? 4 : e->cap * 2;
        e->slots = mem_realloc(e->slots, e->cap * sizeof(*e->slots));
    }
    client->entry = e;
    client->partition = e->partition;
    client->slot = (uint32_t)e->count;
    e->empty_ms = 0;
    e->slots[e->count++] = (struct client_slot){
        .conn = client->conn,
        .client = client,
        .skips = message_id_is_none(client->skip_until) ? 0 : SKIPS_OWN | SKIPS_EVERY};
    apply_options(e, &e->slots[client->slot]);
    index_id(e, client);
    index_groups(e, client);
    HASH_ADD_KEYPTR(hh_number, c->by_number, &client->who.number, sizeof(client->who.number),
                    client);
    TAILQ_INSERT_HEAD(&c->all, client, by_restore);
    c->count++;
}

void clients_detach(struct client *client) {
    struct name_entry *e = client->entry;
    if (e == NULL)
        return;
    struct client_slot last = e->slots[--e->count];
    e->slots[client->slot] = last;
    last.client->slot = client->slot;
    unindex_id(e, client);
    unindex_groups(e, client);
    HASH_DELETE(hh_number, e->owner->by_number, client);
    TAILQ_REMOVE(&e->owner->all, client, by_restore);
    e->owner->count--;
    client->entry = NULL;
    clients_left(e);
}

struct client *clients_by_number(struct clients *c, uint64_t number) {
    struct client *client = NULL;
    HASH_FIND(hh_number, c->by_number, &number, sizeof(number), client);
    return client;
}

struct client *clients_by_value(struct clients *c, struct bytes value) {
    struct conn_value v;
    if (!conn_value_parse(value, &v))
        return NULL;
    struct client *client = clients_by_number(c, v.number);
    return client != NULL && bytes_equal(client->who.value, value) ? client : NULL;
}

struct client *clients_by_id(struct name_entry *e, struct bytes client_id) {
    struct client *client = NULL;
    HASH_FIND(hh_id, e->by_id, client_id.ptr, client_id.len, client);
    return client;
}

void clients_regroup(struct clients *c, const struct conn_details *d) {
    struct client *client = clients_by_value(c, d->value);
    if (client == NULL)
        return;
    unindex_groups(client->entry, client);
    MUST(client_take_groups(client, d));
    index_groups(client->entry, client);
}

/* What is left in `folded` is the key. */
struct group *clients_by_group(struct name_entry *e, struct bytes group) {
    struct buf *folded = &e->owner->folded;
    struct group *g;
    buf_clear(folded);
    if (folded->cap > FOLDED_KEPT_BYTES)
        buf_release(folded);
    fold_append(folded, group);
    HASH_FIND(hh, e->by_group, folded->ptr, folded->len, g);
    return g;
}

bool clients_has_mark(const struct client *client, uint64_t mark) {
    const struct memberships *m = client->memberships;
    for (size_t i = 0; m != NULL && i < m->count; i++)
        if (m->all[i].group->mark == mark)
            return true;
    return client->group != NULL && client->group->mark == mark;
}

static bool is_for_groups(const struct message *m, struct bytes_list groups) {
    for (size_t i = 0; bytes_list_is_given(m->to_groups) && i < groups.count; i++)
        if (fold_list_has(m->to_groups, groups.items[i]))
            return true;
    return !bytes_list_is_given(m->to_groups);
}

bool clients_is_for(const struct message *m, const struct client *client) {
    const struct identity *who = &client->who;
    if (m->to_conn.len > 0 && !bytes_equal(m->to_conn, who->value))
        return false;
    return is_for_groups(m, client_groups(client)) &&
           (!bytes_list_is_given(m->to_clients) || bytes_list_has(m->to_clients, who->client_id));
}
