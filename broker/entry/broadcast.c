/* broadcast.c - see broadcast.h. Read broadcast_split, then broadcast. */
#include "broker/entry/broadcast.h"

#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/entry/processing.h"
#include "broker/entry/receipt_ids.h"
#include "broker/entry/tracing.h"
#include "common/send/address.h"
#include "common/bus/bus.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/log_writer.h"
#include "common/bus/partition.h"
#include "common/bus/log/publish.h"

enum {
    NAME_TEXT = ADDRESS_BYTES_MAX + 1,
    CLOSE_REASON_MAX = 123,
    ELEMENT_BYTES = 5,   /* before a text of a list, at most */
    AROUND_BYTES = 4096, /* a connection value, ids, numbers, at most */
};

/* --- levels --- */

bool broadcast_is_for_nobody(const struct delivery *d) {
    return bytes_lists_are_nobody(d->names, d->groups, d->clients);
}

bool broadcast_is_allowed(const struct broker *b, const struct delivery *d, struct buf *error_out) {
    return broadcast_is_for_nobody(d) ||
           levels_allow(broker_registrations(b)->levels, d->names, d->groups.count > 0,
                        d->clients.count > 0, error_out);
}

/* --- what Redis takes --- */

static size_t list_bytes(struct bytes_list list) {
    size_t bytes = 0;
    for (size_t i = 0; i < list.count; i++)
        bytes += list.items[i].len + ELEMENT_BYTES;
    return bytes;
}

bool broadcast_fits(const struct broker *b, const struct delivery *d, struct buf *error_out) {
    size_t around = AROUND_BYTES + d->from.len + list_bytes(d->names) + list_bytes(d->groups) +
                    list_bytes(d->clients);
    return publish_fits(b->bus, d->data.len + around, error_out);
}

/* --- splitting --- */

static void encode_entry(struct buf *out, const struct delivery *d, const struct recipient *to,
                         struct bytes_list names) {
    struct entry e = {.kind = d->kind == MESSAGE_CLOSE ? ENTRY_CLOSE : ENTRY_SEND,
                      .ts_ms = d->ts_ms,
                      .flags = d->flags | FLAG_CHECKED,
                      .client_id = d->from,
                      .body = d->data,
                      .names = names,
                      .groups = d->groups,
                      .clients = d->clients,
                      .code = d->code};
    if (to != NULL) {
        e.name = to->name;
        e.conn = to->conn;
    } else if (names.count == 0) {
        e.flags |= FLAG_EVERY;
    }
    entry_encode(out, &e);
}

void broadcast_encode_to_one(struct buf *out, const struct recipient *to,
                             const struct delivery *d) {
    encode_entry(out, d, to, (struct bytes_list){0});
}

static void split_every(const struct delivery *d, unsigned partitions, broadcast_share_fn *fn,
                        void *ctx) {
    struct buf entry = {0};
    encode_entry(&entry, d, NULL, (struct bytes_list){0});
    for (unsigned p = 0; p < partitions; p++)
        fn(ctx, p, (struct bytes_list){0}, buf_bytes(&entry));
    buf_deinit(&entry);
}

/* The Names of the i-th Name's partition, each once, marked as taken in `parts`. */
static struct bytes_list take_share(struct bytes_list names, unsigned *parts, unsigned taken,
                                    size_t i, struct bytes *share) {
    struct bytes_list list = {share, 0};
    unsigned part = parts[i];
    for (size_t j = i; j < names.count; j++) {
        if (parts[j] != part)
            continue;
        parts[j] = taken;
        if (!bytes_list_has(list, names.items[j]))
            share[list.count++] = names.items[j];
    }
    return list;
}

void broadcast_split(const struct delivery *d, unsigned partitions, broadcast_share_fn *fn,
                     void *ctx) {
    if (broadcast_is_for_nobody(d))
        return;
    if (!bytes_list_is_given(d->names)) {
        split_every(d, partitions, fn, ctx);
        return;
    }
    struct bytes *share = mem_alloc(d->names.count * sizeof(*share));
    unsigned *parts = mem_alloc(d->names.count * sizeof(*parts));
    struct buf entry = {0};
    for (size_t i = 0; i < d->names.count; i++)
        parts[i] = partition_of(d->names.items[i], partitions);
    for (size_t i = 0; i < d->names.count; i++) {
        unsigned part = parts[i];
        if (part == partitions)
            continue;
        struct bytes_list list = take_share(d->names, parts, partitions, i, share);
        buf_clear(&entry);
        encode_entry(&entry, d, NULL, list);
        fn(ctx, part, list, buf_bytes(&entry));
    }
    buf_deinit(&entry);
    free(parts);
    free(share);
}

/* --- into the logs of this partition --- */

static bool has_history(const struct broker *b, struct bytes name) {
    const struct registrations *r = broker_registrations(b);
    char text[NAME_TEXT];
    if (r->name_options.count == 0 || name.len >= sizeof(text))
        return true;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return registrations_name_options(r, text)->has_history;
}

static void append(struct processing *p, struct bytes name, const struct message *m) {
    struct output output = {
        .name = name, .has_history = name.len == 0 || has_history(p->broker, name), .message = *m};
    struct message_id id = log_writer_add(p->writer, &output);
    if (m->kind == MESSAGE_DATA && message_id_is_none(p->first_id))
        p->first_id = id;
    tracing_output(p, name, m, id);
    receipt_ids_add(p->broker, p->slot, m, id);
    p->count++;
}

/* 2 bytes code, big endian, then the reason. */
static struct bytes close_data(const struct delivery *d, char room[2 + CLOSE_REASON_MAX]) {
    struct bytes reason = bytes_head(d->data, CLOSE_REASON_MAX);
    room[0] = (char)(d->code >> 8 & 0xff);
    room[1] = (char)(d->code & 0xff);
    if (reason.len > 0)
        memcpy(room + 2, reason.ptr, reason.len);
    return bytes_of(room, 2 + reason.len);
}

static struct message message_of(const struct delivery *d, char room[2 + CLOSE_REASON_MAX]) {
    return (struct message){.kind = d->kind,
                            .ts_ms = d->ts_ms,
                            .to_groups = d->groups,
                            .to_clients = d->clients,
                            .from = d->from,
                            .flags = d->flags & (FLAG_BINARY | FLAG_JSON | FLAG_RECEIPT),
                            .data = d->kind == MESSAGE_CLOSE ? close_data(d, room) : d->data};
}

static bool has_room(const struct processing *p, size_t more) {
    return p->count + more <= PROCESSING_OUTPUTS_MAX;
}

bool broadcast_share(struct processing *p, const struct delivery *d) {
    char room[2 + CLOSE_REASON_MAX];
    struct message m = message_of(d, room);
    if (broadcast_is_for_nobody(d))
        return true;
    if (!has_room(p, d->names.count + 1))
        return false;
    for (size_t i = 0; i < d->names.count; i++)
        append(p, d->names.items[i], &m);
    if (!bytes_list_is_given(d->names))
        append(p, BYTES_LIT(""), &m);
    return true;
}

bool broadcast_to_one(struct processing *p, const struct recipient *to, const struct delivery *d) {
    char room[2 + CLOSE_REASON_MAX];
    struct message m = message_of(d, room);
    m.to_groups = m.to_clients = (struct bytes_list){0};
    m.to_conn = to->conn;
    if (!has_room(p, 1))
        return false;
    append(p, to->name, &m);
    return true;
}

bool broadcast_message(struct processing *p, const struct recipient *to, enum message_kind kind,
                       struct bytes data) {
    struct message m = {
        .kind = kind, .ts_ms = p->entry->entry.ts_ms, .to_conn = to->conn, .data = data};
    if (!has_room(p, 1) || data.len + AROUND_BYTES > bus_largest(p->broker->bus))
        return false;
    append(p, to->name, &m);
    return true;
}

/* --- everywhere --- */

struct spreading {
    struct processing *outcome;
    const struct delivery *delivery;
};

static void forward_share(struct processing *p, const struct delivery *d, unsigned partition,
                          struct bytes_list names, struct bytes entry) {
    char seq[FORWARD_SEQ_TEXT];
    struct buf key = {0};
    struct bytes once = BYTES_NONE;
    if (d->once.len > 0)
        once = forward_once_key(&key, partition, names.count > 0 ? names.items[0] : BYTES_NONE,
                                d->once);
    forward_add(p->forward, partition, forward_seq(p->entry->id, p->count, seq), entry, once);
    p->count++;
    buf_deinit(&key);
}

static void spread(void *ctx, unsigned partition, struct bytes_list names, struct bytes entry) {
    struct spreading *s = ctx;
    if (partition != s->outcome->slot) {
        forward_share(s->outcome, s->delivery, partition, names, entry);
        return;
    }
    struct delivery share = *s->delivery;
    share.names = names;
    MUST(broadcast_share(s->outcome, &share));
}

bool broadcast(struct processing *p, const struct delivery *d) {
    struct spreading s = {p, d};
    unsigned partitions = bus_partitions(p->broker->bus);
    if (!has_room(p, (d->names.count > 0 ? d->names.count : partitions) + 1))
        return false;
    broadcast_split(d, partitions, spread, &s);
    return true;
}
