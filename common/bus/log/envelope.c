/*
 * envelope.c - see envelope.h. msgpack-c packs and unpacks; this file knows only the order of the
 * fields.
 *
 * An unpacked text points into the input, as msgpack-c does it; lists are arrays in the unpacker's
 * zone.
 */
#include "common/bus/log/envelope.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "common/base/clock.h"
#include "common/base/close_reason.h"
#include "common/base/fold.h"

/* --- ids --- */

bool message_id_parse(struct bytes text, struct message_id *id_out) {
    struct bytes rest = text;
    struct bytes term = bytes_split(&rest, '-');
    return bytes_to_u64(term, &id_out->term) && bytes_to_u64(rest, &id_out->seq);
}

const char *message_id_format(struct message_id id, char text_out[MESSAGE_ID_TEXT]) {
    snprintf(text_out, MESSAGE_ID_TEXT, "%" PRIu64 "-%" PRIu64, id.term, id.seq);
    return text_out;
}

/* --- packing --- */

static int write_buf(void *ctx, const char *data, size_t len) {
    buf_append(ctx, bytes_of(data, len));
    return 0;
}

static msgpack_packer packer(struct buf *out) {
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, write_buf);
    return pk;
}

/* Empty counts as absent, except for a payload. */
static void pack_text(msgpack_packer *pk, struct bytes text) {
    if (text.len == 0) {
        msgpack_pack_nil(pk);
        return;
    }
    msgpack_pack_str(pk, text.len);
    msgpack_pack_str_body(pk, text.ptr, text.len);
}

static void pack_payload(msgpack_packer *pk, struct bytes data) {
    msgpack_pack_bin(pk, data.len);
    if (data.len > 0)
        msgpack_pack_bin_body(pk, data.ptr, data.len);
}

static void pack_list(msgpack_packer *pk, struct bytes_list list) {
    if (!bytes_list_is_given(list)) {
        msgpack_pack_nil(pk);
        return;
    }
    msgpack_pack_array(pk, list.count);
    for (size_t i = 0; i < list.count; i++)
        pack_payload(pk, list.items[i]);
}

static void pack_id(msgpack_packer *pk, struct message_id id) {
    char text[MESSAGE_ID_TEXT];
    pack_text(pk, bytes_str(message_id_format(id, text)));
}

/* --- unpacking: a cursor over the elements of one array; once bad, it stays bad --- */

struct reader {
    const msgpack_object *at, *end;
    msgpack_zone *zone;
    bool is_bad;
};

static const msgpack_object *next(struct reader *r) {
    if (r->at == r->end) {
        r->is_bad = true;
        return NULL;
    }
    return r->at++;
}

static struct bytes as_text(const msgpack_object *o, bool *is_bad) {
    if (o == NULL || o->type == MSGPACK_OBJECT_NIL)
        return BYTES_NONE;
    if (o->type == MSGPACK_OBJECT_STR)
        return bytes_of(o->via.str.ptr, o->via.str.size);
    if (o->type == MSGPACK_OBJECT_BIN)
        return bytes_of(o->via.bin.ptr, o->via.bin.size);
    *is_bad = true;
    return BYTES_NONE;
}

static struct bytes read_text(struct reader *r) {
    return as_text(next(r), &r->is_bad);
}

/* What is there only if its writer knew it. Of a writer who put something else there: nothing. */
static struct bytes read_more(struct reader *r) {
    bool is_other = false;
    return r->at < r->end ? as_text(next(r), &is_other) : BYTES_NONE;
}

static uint64_t read_number(struct reader *r) {
    const msgpack_object *o = next(r);
    if (o != NULL && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        return o->via.u64;
    r->is_bad = true;
    return 0;
}

/* nil, one text, or an array of at most ENVELOPE_LIST_MAX texts. */
static struct bytes_list read_list(struct reader *r) {
    const msgpack_object *o = next(r);
    if (o == NULL || o->type == MSGPACK_OBJECT_NIL)
        return (struct bytes_list){NULL, 0};
    const msgpack_object *first = o->type == MSGPACK_OBJECT_ARRAY ? o->via.array.ptr : o;
    size_t count = o->type == MSGPACK_OBJECT_ARRAY ? o->via.array.size : 1;
    if (count > ENVELOPE_LIST_MAX) {
        r->is_bad = true;
        return (struct bytes_list){NULL, 0};
    }
    struct bytes *items = msgpack_zone_malloc(r->zone, sizeof(*items) * (count ? count : 1));
    MUST(items != NULL);
    for (size_t i = 0; i < count; i++)
        items[i] = as_text(&first[i], &r->is_bad);
    return (struct bytes_list){items, count};
}

static uint64_t read_time_ms(struct reader *r) {
    uint64_t ms = read_number(r);
    r->is_bad |= ms > CLOCK_WALL_LAST_MS;
    return ms;
}

static unsigned read_flags(struct reader *r) {
    uint64_t flags = read_number(r);
    r->is_bad |= flags > UINT_MAX;
    return (unsigned)flags;
}

static struct message_id read_id(struct reader *r) {
    struct message_id id = MESSAGE_ID_NONE;
    if (!message_id_parse(read_text(r), &id))
        r->is_bad = true;
    return id;
}

/* --- before unpacking: does it have what its headers claim? --- */

static uint64_t big_endian(struct bytes in, size_t bytes) {
    uint64_t number = 0;
    for (size_t i = 1; i <= bytes && i < in.len; i++)
        number = number << 8 | (unsigned char)in.ptr[i];
    return number;
}

/* The bytes of one element up to its own elements, whose number is added to *inside_out. in is not
 * empty. 0: a type that nobody writes here. */
static uint64_t element_size(struct bytes in, uint64_t *inside_out) {
    static const unsigned char fixed[] = {5, 9, 2, 3, 5, 9, 2, 3, 5, 9}; /* 0xca to 0xd3 */
    unsigned type = (unsigned char)in.ptr[0];
    if (type < 0x80 || type >= 0xe0 || type == 0xc0 || type == 0xc2 || type == 0xc3)
        return 1;
    if (type >= 0xa0 && type <= 0xbf)
        return 1 + (type & 0x1f);
    if (type >= 0x90 && type <= 0x9f)
        *inside_out += type & 0x0f;
    if (type >= 0x90 && type <= 0x9f)
        return 1;
    if (type >= 0xc4 && type <= 0xc6)
        return 1 + (1u << (type - 0xc4)) + big_endian(in, 1u << (type - 0xc4));
    if (type >= 0xca && type <= 0xd3)
        return fixed[type - 0xca];
    if (type >= 0xd9 && type <= 0xdb)
        return 1 + (1u << (type - 0xd9)) + big_endian(in, 1u << (type - 0xd9));
    if (type != 0xdc && type != 0xdd)
        return 0;
    *inside_out += big_endian(in, type == 0xdc ? 2 : 4);
    return type == 0xdc ? 3 : 5;
}

static bool is_plausible(struct bytes in) {
    uint64_t seen = 0, expected = 1;
    for (; seen < expected; seen++) {
        uint64_t size = in.len == 0 ? 0 : element_size(in, &expected);
        if (size == 0 || size > in.len || expected > ENVELOPE_ELEMENTS_MAX)
            return false;
        in = bytes_from(in, size);
    }
    return in.len == 0;
}

/* Opens an array of at least `elements`; the zone goes to *zone_out, which the decoded struct owns.
 */
static bool open_array(struct bytes in, size_t elements, struct reader *r, void **zone_out) {
    msgpack_object root;
    size_t used = 0;
    *zone_out = NULL;
    if (!is_plausible(in))
        return false;
    msgpack_zone *zone = msgpack_zone_new(512);
    MUST(zone != NULL);
    if (msgpack_unpack(in.ptr, in.len, &used, zone, &root) != MSGPACK_UNPACK_SUCCESS ||
        used != in.len || root.type != MSGPACK_OBJECT_ARRAY || root.via.array.size < elements) {
        msgpack_zone_free(zone);
        return false;
    }
    *zone_out = zone;
    *r = (struct reader){root.via.array.ptr, root.via.array.ptr + root.via.array.size, zone, false};
    return true;
}

static void free_zone(void **zone) {
    if (*zone != NULL)
        msgpack_zone_free(*zone);
    *zone = NULL;
}

/* --- entries --- */

enum { ENTRY_FIELDS = 14, MESSAGE_FIELDS = 11, SESSION_FIELDS = 7 };

const char *message_kind_text(enum message_kind kind) {
    switch (kind) {
#define ENTRY(NAME, number, text)
#define MESSAGE(NAME, number, text)                                                                \
    case MESSAGE_##NAME:                                                                           \
        return text;
#include "common/bus/log/envelope.def"
#undef ENTRY
#undef MESSAGE
    }
    return "unknown";
}

const char *entry_kind_text(enum entry_kind kind) {
    switch (kind) {
#define ENTRY(NAME, number, text)                                                                  \
    case ENTRY_##NAME:                                                                             \
        return text;
#define MESSAGE(NAME, number, text)
#include "common/bus/log/envelope.def"
#undef ENTRY
#undef MESSAGE
    }
    return "unknown";
}

static bool is_entry_kind(uint64_t kind) {
    return kind >= ENTRY_CLIENT && kind <= ENTRY_GROUPS;
}

static int64_t read_code(struct reader *r, enum entry_kind kind) {
    uint64_t code = read_number(r);
    r->is_bad |= code > CLOCK_WALL_LAST_MS / 1000;
    r->is_bad |= kind == ENTRY_CLOSE && code != 0 && !close_code_is_valid((int64_t)code);
    return (int64_t)code;
}

void entry_encode(struct buf *out, const struct entry *e) {
    msgpack_packer pk = packer(out);
    unsigned more = e->once.len > 0 ? 2 : e->reply.len > 0 ? 1 : 0;
    msgpack_pack_array(&pk, ENTRY_FIELDS + more);
    msgpack_pack_uint64(&pk, ENVELOPE_VERSION);
    msgpack_pack_uint64(&pk, (uint64_t)e->kind);
    msgpack_pack_uint64(&pk, e->ts_ms);
    msgpack_pack_uint64(&pk, e->flags);
    pack_text(&pk, e->name);
    pack_text(&pk, e->group);
    pack_text(&pk, e->client_id);
    pack_text(&pk, e->conn);
    pack_text(&pk, e->session);
    pack_payload(&pk, e->body);
    pack_list(&pk, e->names);
    pack_list(&pk, e->groups);
    pack_list(&pk, e->clients);
    msgpack_pack_uint64(&pk, (uint64_t)e->code);
    if (more > 0)
        pack_text(&pk, e->reply);
    if (more > 1)
        pack_text(&pk, e->once);
}

enum parse entry_decode(struct bytes in, struct entry *e_out) {
    struct reader r;
    *e_out = (struct entry){0};
    if (!open_array(in, ENTRY_FIELDS, &r, &e_out->zone))
        return PARSE_BAD;
    uint64_t version = read_number(&r), kind = read_number(&r);
    e_out->kind = (enum entry_kind)kind;
    e_out->ts_ms = read_time_ms(&r);
    e_out->flags = read_flags(&r);
    e_out->name = read_text(&r);
    e_out->group = read_text(&r);
    e_out->client_id = read_text(&r);
    e_out->conn = read_text(&r);
    e_out->session = read_text(&r);
    e_out->body = read_text(&r);
    e_out->names = read_list(&r);
    e_out->groups = read_list(&r);
    e_out->clients = read_list(&r);
    e_out->code = read_code(&r, e_out->kind);
    e_out->reply = read_more(&r);
    e_out->once = read_more(&r);
    if (!r.is_bad && version <= ENVELOPE_VERSION && is_entry_kind(kind))
        return PARSE_OK;
    entry_free(e_out);
    return PARSE_BAD;
}

void entry_free(struct entry *e) {
    free_zone(&e->zone);
}

/* --- messages --- */

static bool is_message_kind(uint64_t kind) {
    return kind >= MESSAGE_DATA && kind <= MESSAGE_GROUPS;
}

void message_encode(struct buf *out, const struct message *m) {
    msgpack_packer pk = packer(out);
    msgpack_pack_array(&pk, MESSAGE_FIELDS);
    msgpack_pack_uint64(&pk, ENVELOPE_VERSION);
    pack_id(&pk, m->id);
    pack_id(&pk, m->prev);
    msgpack_pack_uint64(&pk, (uint64_t)m->kind);
    msgpack_pack_uint64(&pk, m->ts_ms);
    pack_list(&pk, m->to_groups);
    pack_list(&pk, m->to_clients);
    pack_text(&pk, m->to_conn);
    pack_text(&pk, m->from);
    msgpack_pack_uint64(&pk, m->flags);
    if (m->kind != MESSAGE_GROUPS)
        pack_payload(&pk, m->data);
}

enum parse message_decode(struct bytes in, struct message *m_out) {
    struct reader r;
    *m_out = (struct message){0};
    if (!open_array(in, MESSAGE_FIELDS, &r, &m_out->zone))
        return PARSE_BAD;
    uint64_t version = read_number(&r);
    m_out->id = read_id(&r);
    m_out->prev = read_id(&r);
    uint64_t kind = read_number(&r);
    m_out->kind = (enum message_kind)kind;
    m_out->ts_ms = read_time_ms(&r);
    m_out->to_groups = read_list(&r);
    m_out->to_clients = read_list(&r);
    m_out->to_conn = read_text(&r);
    m_out->from = read_text(&r);
    m_out->flags = read_flags(&r);
    m_out->data = read_text(&r);
    if (!r.is_bad && version <= ENVELOPE_VERSION && is_message_kind(kind))
        return PARSE_OK;
    message_free(m_out);
    return PARSE_BAD;
}

void message_free(struct message *m) {
    free_zone(&m->zone);
}

/* --- sessions --- */

void session_encode(struct buf *out, const struct session *s) {
    msgpack_packer pk = packer(out);
    msgpack_pack_array(&pk, SESSION_FIELDS + (s->data.len > 0));
    pack_text(&pk, s->path);
    pack_text(&pk, s->url);
    pack_text(&pk, s->protocol);
    pack_text(&pk, s->address);
    pack_text(&pk, s->endpoint);
    pack_text(&pk, s->remote_address);
    msgpack_pack_array(&pk, s->header_count * 2);
    for (size_t i = 0; i < s->header_count; i++) {
        pack_payload(&pk, s->headers[i].name);
        pack_payload(&pk, s->headers[i].value);
    }
    if (s->data.len > 0)
        pack_text(&pk, s->data);
}

enum parse session_decode(struct bytes in, struct session *s_out) {
    struct reader r;
    *s_out = (struct session){0};
    if (!open_array(in, SESSION_FIELDS, &r, &s_out->zone))
        return PARSE_BAD;
    s_out->path = read_text(&r);
    s_out->url = read_text(&r);
    s_out->protocol = read_text(&r);
    s_out->address = read_text(&r);
    s_out->endpoint = read_text(&r);
    s_out->remote_address = read_text(&r);
    struct bytes_list pairs = read_list(&r);
    s_out->data = read_more(&r);
    if (r.is_bad || pairs.count % 2 != 0) {
        session_free(s_out);
        return PARSE_BAD;
    }
    struct session_header *headers =
        msgpack_zone_malloc(r.zone, sizeof(*headers) * (pairs.count / 2 + 1));
    MUST(headers != NULL);
    for (size_t i = 0; i < pairs.count / 2; i++)
        headers[i] = (struct session_header){pairs.items[2 * i], pairs.items[2 * i + 1]};
    s_out->headers = headers;
    s_out->header_count = pairs.count / 2;
    return PARSE_OK;
}

void session_free(struct session *s) {
    free_zone(&s->zone);
}

/* --- connection values --- */

void conn_value_encode(struct buf *out, const struct conn_value *v) {
    buf_append(out, v->gateway);
    buf_printf(out, ":%" PRIu64 ":%" PRIu64, v->number, v->connected_ms);
    if (v->transport.len > 0)
        buf_printf(out, ":%.*s", BYTES_FMT(v->transport));
    buf_append_char(out, '|');
    buf_append(out, v->group);
}

bool conn_value_parse(struct bytes text, struct conn_value *v_out) {
    struct bytes group = text;
    struct bytes rest = bytes_split(&group, '|');
    v_out->gateway = bytes_split(&rest, ':');
    struct bytes number = bytes_split(&rest, ':'), connected_ms = bytes_split(&rest, ':');
    v_out->transport = bytes_split(&rest, ':');
    v_out->group = group;
    return group.ptr != NULL && bytes_to_u64(number, &v_out->number) &&
           bytes_to_u64(connected_ms, &v_out->connected_ms) &&
           v_out->connected_ms <= CLOCK_WALL_LAST_MS;
}

/* --- details --- */

enum { DETAILS_FIELDS = 3, CHANGE_FIELDS = 3 };

static bool is_ascii(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 0x80)
            return false;
    return true;
}

bool conn_details_are_needed(const struct conn_details *d) {
    struct conn_value v;
    struct bytes group = conn_value_parse(d->value, &v) ? v.group : BYTES_NONE;
    if (d->data.len > 0 || !message_id_is_none(d->changed) || d->groups.count > 1)
        return true;
    /* The scripts can fold ASCII. */
    return d->groups.count == 0
               ? group.len > 0
               : !bytes_equal(group, d->groups.items[0]) || !is_ascii(d->groups.items[0]);
}

static void pack_string(msgpack_packer *pk, struct bytes text) {
    msgpack_pack_str(pk, text.len);
    if (text.len > 0)
        msgpack_pack_str_body(pk, text.ptr, text.len);
}

static void pack_groups(msgpack_packer *pk, struct bytes_list groups) {
    struct buf folded = {0};
    for (size_t i = 0; i < groups.count; i++) {
        buf_clear(&folded);
        fold_append(&folded, groups.items[i]);
        pack_string(pk, buf_bytes(&folded));
        pack_string(pk, groups.items[i]);
    }
    buf_deinit(&folded);
}

void conn_details_encode(struct buf *out, const struct conn_details *d) {
    msgpack_packer pk = packer(out);
    msgpack_pack_array(&pk, DETAILS_FIELDS + 2 * d->groups.count);
    pack_string(&pk, d->value);
    pack_id(&pk, d->changed);
    pack_string(&pk, d->data);
    pack_groups(&pk, d->groups);
}

void groups_change_encode(struct buf *out, enum groups_change change, struct bytes_list groups) {
    msgpack_packer pk = packer(out);
    msgpack_pack_array(&pk, CHANGE_FIELDS + 2 * groups.count);
    pack_string(&pk, change == GROUPS_JOIN ? BYTES_LIT("+") : BYTES_LIT("-"));
    msgpack_pack_uint64(&pk, CONN_GROUPS_MAX);
    msgpack_pack_uint64(&pk, CONN_GROUPS_BYTES_MAX);
    pack_groups(&pk, groups);
}

static void read_groups(struct reader *r, struct conn_details *d) {
    size_t count = (size_t)(r->end - r->at) / 2;
    if (count > CONN_GROUPS_MAX) {
        r->is_bad = true;
        return;
    }
    struct bytes *items = msgpack_zone_malloc(r->zone, sizeof(*items) * (count + 1));
    MUST(items != NULL);
    d->groups = (struct bytes_list){items, 0};
    while (d->groups.count < count && !r->is_bad) {
        (void)read_text(r);
        items[d->groups.count] = read_text(r);
        r->is_bad |= items[d->groups.count++].len == 0;
    }
}

bool conn_details_decode(struct bytes details, struct conn_details *d_out) {
    struct reader r;
    *d_out = (struct conn_details){0};
    if (!open_array(details, DETAILS_FIELDS, &r, &d_out->zone))
        return false;
    d_out->value = read_text(&r);
    d_out->changed = read_id(&r);
    d_out->data = read_text(&r);
    read_groups(&r, d_out);
    if (!r.is_bad && d_out->value.len > 0)
        return true;
    conn_details_free(d_out);
    return false;
}

void conn_details_read(struct bytes value, struct bytes details, struct conn_details *d_out) {
    struct conn_value v;
    if (details.len > 0 && conn_details_decode(details, d_out)) {
        if (bytes_equal(d_out->value, value))
            return;
        conn_details_free(d_out);
    }
    *d_out = (struct conn_details){.value = value};
    d_out->only = conn_value_parse(value, &v) ? v.group : BYTES_NONE;
    d_out->groups = (struct bytes_list){&d_out->only, d_out->only.len > 0};
}

void conn_details_free(struct conn_details *d) {
    free_zone(&d->zone);
}
