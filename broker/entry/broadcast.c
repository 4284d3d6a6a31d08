/* broadcast.c - see broadcast.h. Read append, then broadcast. */
#include "broker/entry/broadcast.h"

#include <string.h>

#include "broker/entry/receipt_ids.h"
#include "broker/entry/tracing.h"
#include "common/bus/bus.h"
#include "common/bus/log/append.h"
#include "common/bus/log/forward.h"
#include "common/bus/log/log_writer.h"
#include "common/send/address.h"

enum { REPLY_AROUND_BYTES = 4096 /* a connection value, ids, numbers, at most */ };

/* --- into the logs of this partition --- */

/* What of it is kept. name empty: the log for every Name. */
static void set_retention(struct output *output, const struct registrations *r) {
    char text[ADDRESS_BYTES_MAX + 1];
    struct bytes name = output->name;
    output->has_history = true;
    if (r->name_options.count == 0 || name.len == 0 || name.len >= sizeof(text))
        return;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    const struct name_options *options = registrations_name_options(r, text);
    output->has_history = options->has_history;
    output->keep = options->keep;
}

static void append_output(struct processing *p, struct output *output) {
    const struct message *m = &output->message;
    set_retention(output, processing_registrations(p->parts));
    struct message_id id = log_writer_add(p->batch->writer, output);
    if (m->kind == MESSAGE_DATA && message_id_is_none(p->first_id))
        p->first_id = id;
    tracing_output(p, output->name, m, id);
    receipt_ids_add(p->batch, m, id);
    p->count++;
    p->bytes += m->data.len;
}

/* name empty: the log for every Name. */
static void append(struct processing *p, struct bytes name, const struct message *m) {
    append_output(p, &(struct output){.name = name, .message = *m});
}

/* For so many more outputs or forwards of so many bytes each. The first send always has: it was
 * admitted, and no client's message may be too much. */
static bool has_room(const struct processing *p, size_t more, size_t each) {
    return p->count + more <= PROCESSING_OUTPUTS_MAX &&
           (p->bytes == 0 || p->bytes + more * each <= PROCESSING_BYTES_MAX);
}

/* The groups of one connection change with the commit (commit.lua), which has the last word on what
 * the message says: whose they are, and what they are then. */
static void append_change(struct processing *p, const struct delivery *d, const struct message *m) {
    struct buf change = {0};
    groups_change_encode(&change, (enum groups_change)d->code, d->groups);
    append_output(p, &(struct output){.name = d->names.items[0],
                                      .message = *m,
                                      .client_id = d->clients.items[0],
                                      .change = buf_bytes(&change)});
    buf_deinit(&change);
}

static void append_share(struct processing *p, const struct delivery *d) {
    char room[DELIVERY_CLOSE_MAX];
    struct message m = delivery_message(d, room);
    if (d->kind == MESSAGE_GROUPS) {
        append_change(p, d, &m);
        return;
    }
    for (size_t i = 0; i < d->names.count; i++)
        append(p, d->names.items[i], &m);
    if (!bytes_list_is_given(d->names))
        append(p, BYTES_LIT(""), &m);
}

bool broadcast_share(struct processing *p, const struct delivery *d) {
    if (delivery_is_for_nobody(d))
        return true;
    if (!has_room(p, d->names.count + 1, 0) || !has_room(p, d->names.count, d->data.len))
        return false;
    append_share(p, d);
    return true;
}

bool broadcast_to_one(struct processing *p, const struct recipient *to, const struct delivery *d) {
    char room[DELIVERY_CLOSE_MAX];
    struct message m = delivery_message(d, room);
    m.to_groups = m.to_clients = (struct bytes_list){0};
    m.to_conn = to->conn;
    if (!has_room(p, 1, d->data.len))
        return false;
    append(p, to->name, &m);
    return true;
}

bool broadcast_reply(struct processing *p, enum message_kind kind, struct bytes data) {
    const struct entry *e = &p->entry->entry;
    struct message m = {.kind = kind, .ts_ms = e->ts_ms, .to_conn = e->conn, .data = data};
    if (!has_room(p, 1, 0) || data.len + REPLY_AROUND_BYTES > bus_largest(p->parts->bus))
        return false;
    append(p, e->name, &m);
    return true;
}

/* --- everywhere --- */

struct spreading {
    struct processing *processing;
    const struct delivery *delivery;
};

static void forward_share(struct processing *p, const struct delivery *d, unsigned partition,
                          struct bytes_list names, struct bytes entry) {
    char seq[FORWARD_SEQ_TEXT];
    struct buf key = {0};
    struct bytes once = BYTES_NONE;
    if (d->once.len > 0)
        once = append_once_key(&key, partition, names.count > 0 ? names.items[0] : BYTES_NONE,
                               d->once);
    forward_add(p->batch->forward, partition, forward_seq(p->entry->id, p->count, seq), entry,
                once);
    p->count++;
    p->bytes += entry.len;
    buf_deinit(&key);
}

static void spread(void *ctx, unsigned partition, struct bytes_list names, struct bytes entry) {
    struct spreading *s = ctx;
    if (partition != s->processing->slot) {
        forward_share(s->processing, s->delivery, partition, names, entry);
        return;
    }
    struct delivery share = *s->delivery;
    share.names = names;
    append_share(s->processing, &share);
}

bool broadcast(struct processing *p, const struct delivery *d) {
    struct spreading s = {p, d};
    unsigned partitions = bus_partitions(p->parts->bus);
    size_t most = d->names.count > 0 ? d->names.count : partitions;
    if (!has_room(p, most + 1, 0) || !has_room(p, most, d->data.len))
        return false;
    delivery_split(d, partitions, spread, &s);
    return true;
}
