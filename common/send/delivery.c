/* delivery.c - see delivery.h. Read delivery_split first. */
#include "common/send/delivery.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/text_set.h"
#include "common/base/utf8.h"
#include "common/bus/log/publish.h"
#include "common/bus/partition.h"
#include "common/send/levels.h"

enum {
    FLAGS = FLAG_BINARY | FLAG_JSON | FLAG_RECEIPT | FLAG_UNCOMPRESSED,
    ELEMENT_BYTES = 5,   /* before a text of a list, at most */
    AROUND_BYTES = 4096, /* a connection value, ids, numbers, at most */
};

/* --- what may be sent --- */

bool delivery_check_size(size_t bytes, size_t max_message_bytes, struct buf *error_out) {
    if (bytes <= max_message_bytes)
        return true;
    buf_printf(error_out, "data: has %zu bytes, more than %zu (--max-message-bytes)", bytes,
               max_message_bytes);
    return false;
}

bool delivery_check_data(struct bytes data, bool is_binary, size_t max_message_bytes,
                         struct buf *error_out) {
    if (!delivery_check_size(data.len, max_message_bytes, error_out))
        return false;
    if (is_binary || utf8_is_valid(data))
        return true;
    buf_append_str(error_out, "data: is not valid UTF-8; send it as binary");
    return false;
}

bool delivery_check_close(int64_t code, struct bytes reason, struct buf *error_out) {
    if (!close_code_is_allowed(code))
        buf_append_str(error_out, "code: " CLOSE_CODE_RULE);
    else if (reason.len > CLOSE_TEXT_MAX)
        buf_printf(error_out, "reason: has more than %d bytes", CLOSE_TEXT_MAX);
    else if (!utf8_is_valid(reason))
        buf_append_str(error_out, "reason: is not valid UTF-8");
    else
        return true;
    return false;
}

bool delivery_check_groups(const struct delivery *d, struct buf *error_out) {
    if (delivery_is_for_nobody(d))
        return true;
    if (d->names.count != 1)
        buf_append_str(error_out, "name: must be one string");
    else if (d->clients.count != 1)
        buf_append_str(error_out, "clientId: must be one string");
    else if (d->groups.count == 0)
        buf_append_str(error_out, "group: is missing");
    else if (d->groups.count > CONN_GROUPS_MAX ||
             bytes_list_total(d->groups) > CONN_GROUPS_BYTES_MAX)
        buf_printf(error_out, "group: a connection has at most %d groups, of %d bytes together",
                   CONN_GROUPS_MAX, CONN_GROUPS_BYTES_MAX);
    else
        return true;
    return false;
}

bool delivery_is_for_nobody(const struct delivery *d) {
    return bytes_lists_are_nobody(d->names, d->groups, d->clients);
}

bool delivery_is_allowed(const struct delivery *d, const struct levels *levels,
                         struct buf *error_out) {
    return d->kind != MESSAGE_DATA || delivery_is_for_nobody(d) ||
           levels_allow(levels, d->names, d->groups.count > 0, d->clients.count > 0, error_out);
}

bool delivery_fits(const struct delivery *d, const struct bus *bus, struct buf *error_out) {
    size_t around = AROUND_BYTES + d->from.len + bytes_list_total(d->names) +
                    bytes_list_total(d->groups) + bytes_list_total(d->clients) +
                    ELEMENT_BYTES * (d->names.count + d->groups.count + d->clients.count);
    return publish_fits(bus, d->data.len + around, error_out);
}

/* --- entries --- */

static void encode(struct buf *out, const struct delivery *d, const struct recipient *to,
                   struct bytes_list names) {
    struct entry e = {.kind = d->kind == MESSAGE_CLOSE    ? ENTRY_CLOSE
                              : d->kind == MESSAGE_GROUPS ? ENTRY_GROUPS
                                                          : ENTRY_SEND,
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

void delivery_encode_to_one(struct buf *out, const struct recipient *to, const struct delivery *d) {
    encode(out, d, to, (struct bytes_list){0});
}

struct delivery delivery_of_entry(const struct entry *e) {
    return (struct delivery){.kind = e->kind == ENTRY_CLOSE    ? MESSAGE_CLOSE
                                     : e->kind == ENTRY_GROUPS ? MESSAGE_GROUPS
                                                               : MESSAGE_DATA,
                             .ts_ms = e->ts_ms,
                             .names = e->names,
                             .groups = e->groups,
                             .clients = e->clients,
                             .from = e->client_id,
                             .flags = e->flags & FLAGS,
                             .data = e->body,
                             .code = e->code};
}

/* The Names of one partition as a chain, in their order. */
#define NO_NAME UINT32_MAX
struct chain {
    uint32_t first, last;
};

struct split {
    struct bytes_list names;
    struct chain *chains; /* of each partition */
    uint32_t *next;       /* of each Name, in its chain */
    unsigned *order;      /* the partitions with a chain */
    unsigned count;
};

/* Each Name once, at the end of the chain of its partition. */
static void sort_names(struct split *s, unsigned partitions) {
    struct text_set seen = {0};
    for (unsigned p = 0; p < partitions; p++)
        s->chains[p].first = NO_NAME;
    for (uint32_t i = 0; i < s->names.count; i++) {
        if (!text_set_add(&seen, s->names.items[i]))
            continue;
        unsigned p = partition_of(s->names.items[i], partitions);
        struct chain *chain = &s->chains[p];
        s->next[i] = NO_NAME;
        if (chain->first == NO_NAME) {
            s->order[s->count++] = p;
            chain->first = i;
        } else {
            s->next[chain->last] = i;
        }
        chain->last = i;
    }
    text_set_clear(&seen);
}

static void split_names(const struct delivery *d, unsigned partitions, delivery_share_fn *fn,
                        void *ctx) {
    struct arena arena = {0};
    struct buf entry = {0};
    size_t count = d->names.count;
    struct bytes *share = arena_room(&arena, count * sizeof(*share));
    struct split s = {.names = d->names,
                      .chains = arena_room(&arena, partitions * sizeof(*s.chains)),
                      .next = arena_room(&arena, count * sizeof(*s.next)),
                      .order = arena_room(&arena, partitions * sizeof(*s.order))};
    sort_names(&s, partitions);
    for (unsigned k = 0; k < s.count; k++) {
        struct bytes_list list = {share, 0};
        for (uint32_t i = s.chains[s.order[k]].first; i != NO_NAME; i = s.next[i])
            share[list.count++] = d->names.items[i];
        buf_clear(&entry);
        encode(&entry, d, NULL, list);
        fn(ctx, s.order[k], list, buf_bytes(&entry));
    }
    buf_deinit(&entry);
    arena_clear(&arena);
}

void delivery_split(const struct delivery *d, unsigned partitions, delivery_share_fn *fn,
                    void *ctx) {
    struct buf entry = {0};
    if (delivery_is_for_nobody(d))
        return;
    if (bytes_list_is_given(d->names)) {
        split_names(d, partitions, fn, ctx);
        return;
    }
    encode(&entry, d, NULL, (struct bytes_list){0});
    for (unsigned p = 0; p < partitions; p++)
        fn(ctx, p, (struct bytes_list){0}, buf_bytes(&entry));
    buf_deinit(&entry);
}

/* --- messages --- */

/* The data of a close: 2 bytes code, big endian, then the reason. */
static struct bytes write_close(const struct delivery *d, char room[DELIVERY_CLOSE_MAX]) {
    struct bytes reason = utf8_head(d->data, CLOSE_TEXT_MAX);
    room[0] = (char)(d->code >> 8 & 0xff);
    room[1] = (char)(d->code & 0xff);
    if (reason.len > 0)
        memcpy(room + 2, reason.ptr, reason.len);
    return bytes_of(room, 2 + reason.len);
}

int delivery_read_close(const struct message *m, struct bytes *reason_out) {
    *reason_out = bytes_from(m->data, 2);
    int code = m->data.len < 2 ? close_reason_code(CLOSE_NORMAL)
                               : (unsigned char)m->data.ptr[0] << 8 | (unsigned char)m->data.ptr[1];
    if (!utf8_is_valid(*reason_out))
        *reason_out = BYTES_NONE;
    return code == 0 || close_code_is_valid(code) ? code : close_reason_code(CLOSE_NORMAL);
}

struct message delivery_message(const struct delivery *d, char room[DELIVERY_CLOSE_MAX]) {
    if (d->kind == MESSAGE_GROUPS) /* for a connection that commit.lua knows */
        return (struct message){
            .kind = d->kind, .ts_ms = d->ts_ms, .from = d->from, .flags = d->flags & FLAGS};
    return (struct message){.kind = d->kind,
                            .ts_ms = d->ts_ms,
                            .to_groups = d->groups,
                            .to_clients = d->clients,
                            .from = d->from,
                            .flags = d->flags & FLAGS,
                            .data = d->kind == MESSAGE_CLOSE ? write_close(d, room) : d->data};
}
