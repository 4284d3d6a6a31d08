/* public_message.c - see public_message.h. Read public_message_read first. */
#include "common/send/public_message.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/base/utf8.h"
#include "common/json/json_check.h"

enum { RECEIPT_MAX = 64 };

static const struct {
    const char *name;
    unsigned form;
} ops[] = {[PUBLIC_OP_SEND] = {"send", FORM_SEND},
           [PUBLIC_OP_CLOSE] = {"close", FORM_CLOSE},
           [PUBLIC_OP_JOIN] = {"join", FORM_GROUPS},
           [PUBLIC_OP_LEAVE] = {"leave", FORM_GROUPS}};

static enum message_kind kind_of(enum public_op op) {
    return op == PUBLIC_OP_SEND    ? MESSAGE_DATA
           : op == PUBLIC_OP_CLOSE ? MESSAGE_CLOSE
                                   : MESSAGE_GROUPS;
}

static bool is_given(const struct message_form *f, enum message_key key) {
    enum json_kind kind = f->values[key].kind;
    return kind != JSON_KIND_ABSENT && kind != JSON_KIND_NULL;
}

/* A key's one string, "" when it is absent. */
static bool read_text(const struct message_form *f, enum message_key key, size_t max_bytes,
                      struct buf *out, struct buf *error_out) {
    struct json_value value = f->values[key];
    if (!is_given(f, key))
        return true;
    if (value.kind != JSON_KIND_STRING)
        return message_form_refuse(key, ADDRESS_NO_TEXT, error_out);
    if (!message_form_is_utf8(f, key, value, error_out))
        return false;
    json_append_text(out, value);
    if (out->len <= max_bytes)
        return true;
    char why[48];
    snprintf(why, sizeof(why), "has more than %zu bytes", max_bytes);
    return message_form_refuse(key, why, error_out);
}

static bool read_id(struct public_message *m, const struct message_form *f, struct buf *error_out) {
    if (!read_text(f, KEY_ID, SIZE_MAX, &m->id, error_out))
        return false;
    const char *fault = public_message_id_fault(buf_bytes(&m->id));
    return fault == NULL || message_form_refuse(KEY_ID, fault, error_out);
}

/* The token becomes a part of a channel's name, so its characters are limited. */
static bool read_receipt(struct public_message *m, const struct message_form *f,
                         struct buf *error_out) {
    if (!read_text(f, KEY_RECEIPT, RECEIPT_MAX, &m->receipt, error_out))
        return false;
    for (size_t i = 0; i < m->receipt.len; i++)
        if (!isalnum((unsigned char)m->receipt.ptr[i]) && m->receipt.ptr[i] != '-')
            return message_form_refuse(KEY_RECEIPT, "must be letters, digits and dashes",
                                       error_out);
    return true;
}

/* --- close --- */

static bool read_close(struct public_message *m, const struct message_form *f,
                       struct buf *error_out) {
    struct json_value code = f->values[KEY_CODE];
    uint64_t number = (uint64_t)close_reason_code(CLOSE_NORMAL);
    if (is_given(f, KEY_CODE) &&
        (code.kind != JSON_KIND_NUMBER || !bytes_to_u64(code.text, &number) || number > INT_MAX))
        number = 0; /* no code */
    m->code = (int)number;
    return read_text(f, KEY_REASON, SIZE_MAX, &m->data, error_out) &&
           delivery_check_close(m->code, buf_bytes(&m->data), error_out);
}

/* --- send --- */

static bool read_bool(const struct message_form *f, enum message_key key, bool fallback,
                      bool *value_out, struct buf *error_out) {
    enum json_kind kind = f->values[key].kind;
    *value_out = is_given(f, key) ? kind == JSON_KIND_TRUE : fallback;
    return !is_given(f, key) || kind == JSON_KIND_TRUE || kind == JSON_KIND_FALSE ||
           message_form_refuse(key, "must be true or false", error_out);
}

static enum public_fault read_send(struct public_message *m, const struct message_form *f,
                                   size_t max_bytes, struct buf *error_out) {
    struct json_value data = f->values[KEY_DATA];
    bool is_compressed;
    if (data.kind == JSON_KIND_ABSENT) {
        message_form_refuse(KEY_DATA, "is missing", error_out);
        return PUBLIC_BAD;
    }
    if (!read_bool(f, KEY_BINARY, false, &m->is_binary, error_out) ||
        !read_bool(f, KEY_COMPRESS, true, &is_compressed, error_out) ||
        !message_form_is_utf8(f, KEY_DATA, data, error_out))
        return PUBLIC_BAD;
    m->is_uncompressed = !is_compressed;
    m->is_nothing = json_is_empty(data);
    m->is_json = data.kind != JSON_KIND_STRING;
    json_append_text(&m->data, data);
    return delivery_check_size(m->data.len, max_bytes, error_out) ? PUBLIC_FINE : PUBLIC_TOO_BIG;
}

/* --- all together --- */

/* `op` decides which keys are known, so it is read first. */
static bool read_op(struct public_message *m, struct json_value root, struct buf *error_out) {
    struct json_value op = json_member(root, "op");
    struct buf text = {0};
    m->has_op = op.kind != JSON_KIND_ABSENT;
    if (!m->has_op)
        return true;
    if (op.kind == JSON_KIND_STRING)
        json_append_text(&text, op);
    size_t i = 0;
    while (i < ARRAY_LEN(ops) && !bytes_equal_nocase(buf_bytes(&text), bytes_str(ops[i].name)))
        i++;
    buf_deinit(&text);
    m->op = i < ARRAY_LEN(ops) ? (enum public_op)i : PUBLIC_OP_SEND;
    return i < ARRAY_LEN(ops) ||
           message_form_refuse(KEY_OP, "must be \"send\", \"close\", \"join\" or \"leave\"",
                               error_out);
}

static enum public_fault read_form(struct public_message *m, const struct message_form *f,
                                   const struct public_limits *limits, struct buf *error_out) {
    enum public_fault fault = PUBLIC_BAD;
    m->has_id = f->values[KEY_ID].kind != JSON_KIND_ABSENT;
    if (!message_form_texts(f, KEY_NAME, 0, &m->names, error_out) ||
        !message_form_texts(f, KEY_GROUP, 0, &m->groups, error_out) ||
        !message_form_texts(f, KEY_CLIENT_ID, 0, &m->clients, error_out) ||
        !read_id(m, f, error_out) || !read_receipt(m, f, error_out))
        return fault;
    struct delivery d;
    if (m->op == PUBLIC_OP_SEND)
        fault = read_send(m, f, limits->max_bytes, error_out);
    else if (m->op == PUBLIC_OP_CLOSE)
        fault = read_close(m, f, error_out) ? PUBLIC_FINE : PUBLIC_BAD;
    d = public_message_delivery(m, 0);
    if (d.kind == MESSAGE_GROUPS)
        fault = delivery_check_groups(&d, error_out) ? PUBLIC_FINE : PUBLIC_BAD;
    if (fault == PUBLIC_FINE &&
        (!address_is_affordable(d.names, d.groups, d.clients, d.data.len, error_out) ||
         (limits->bus != NULL && !delivery_fits(&d, limits->bus, error_out))))
        fault = PUBLIC_TOO_BIG;
    m->is_nothing = m->is_nothing || delivery_is_for_nobody(&d);
    return fault;
}

enum public_fault public_message_read(struct public_message *m, struct bytes text,
                                      enum public_op op, const struct public_limits *limits,
                                      struct buf *error_out) {
    struct message_form form = {0};
    enum public_fault fault = PUBLIC_BAD;
    *m = (struct public_message){.op = op};
    struct json_document *document = json_open(text, error_out);
    if (document == NULL)
        return PUBLIC_BAD;
    struct json_value root = json_root(document);
    if (root.kind != JSON_KIND_OBJECT)
        buf_append_str(error_out, "it must be a JSON object");
    else if (read_op(m, root, error_out) &&
             message_form_read(&form, document, root, ops[m->op].form, error_out) == FORM_FINE)
        fault = read_form(m, &form, limits, error_out);
    json_close(document);
    return fault;
}

/* --- requests of the HTTP API --- */

/* Appends the sender's text, with the members that it lacks behind the opening brace. */
static void complete(enum public_op op, struct bytes text, struct bytes id, bool adds_op,
                     struct buf *out) {
    ptrdiff_t brace = bytes_find(text, '{');
    struct bytes rest = bytes_trim(bytes_from(text, (size_t)brace + 1));
    while (strchr(" \t\r\n", rest.ptr[0]) != NULL) /* it ends with a brace */
        rest = bytes_from(rest, 1);
    buf_append_char(out, '{');
    if (op != PUBLIC_OP_SEND && adds_op)
        buf_printf(out, "\"op\":\"%s\",", ops[op].name);
    if (id.len > 0) {
        buf_append_str(out, "\"id\":");
        json_append_string(out, id);
        buf_append_char(out, ',');
    }
    if (out->ptr[out->len - 1] == ',' && rest.ptr[0] == '}')
        out->len--;
    buf_append(out, rest);
}

const char *public_message_id_fault(struct bytes id) {
    if (id.len > PUBLIC_ID_MAX)
        return "has more than 256 bytes";
    return utf8_is_valid(id) ? NULL : "is not valid UTF-8";
}

/* The idempotency key of the request's head must agree with the message's own. */
static int check(const struct public_message *m, enum public_op op, struct bytes id,
                 struct buf *error_out) {
    const char *fault = public_message_id_fault(id);
    if (m->op != op)
        buf_append_str(error_out, "op: is another operation than the one asked for");
    else if (fault != NULL)
        (void)message_form_refuse(KEY_ID, fault, error_out);
    else if (m->has_id && id.len > 0 && !bytes_equal(buf_bytes(&m->id), id))
        (void)message_form_refuse(KEY_ID, "differs from the Idempotency-Key", error_out);
    else
        return 0;
    return 400;
}

int public_message_admit(enum public_op op, struct bytes text, struct bytes id,
                         const struct public_limits *limits, struct buf *out,
                         struct buf *error_out) {
    struct public_message m;
    enum public_fault fault = public_message_read(&m, text, op, limits, error_out);
    int status = fault == PUBLIC_TOO_BIG ? 413 : fault == PUBLIC_BAD ? 400 : 0;
    if (status == 0)
        status = check(&m, op, id, error_out);
    if (status == 0 && !m.is_nothing)
        complete(op, json_without_mark(text), m.has_id ? BYTES_NONE : id, !m.has_op, out);
    public_message_deinit(&m);
    return status;
}

/* --- writing --- */

void public_message_write_list(struct buf *out, enum message_key key, struct bytes_list list) {
    if (!bytes_list_is_given(list))
        return;
    buf_printf(out, "\"%s\":", message_form_key(key));
    json_append_strings(out, list);
    buf_append_char(out, ',');
}

static void write_text(struct buf *out, enum message_key key, struct bytes text) {
    buf_printf(out, "\"%s\":", message_form_key(key));
    json_append_string(out, text);
    buf_append_char(out, ',');
}

size_t public_message_write(struct buf *out, const struct delivery *d) {
    size_t before = out->len, data_at;
    buf_append_char(out, '{');
    if ((d->flags & FLAG_RECEIPT) != 0)
        write_text(out, KEY_RECEIPT, d->from);
    if (d->kind == MESSAGE_CLOSE)
        write_text(out, KEY_OP, BYTES_LIT("close"));
    if (d->kind == MESSAGE_GROUPS)
        write_text(out, KEY_OP,
                   bytes_str(ops[d->code == GROUPS_JOIN ? PUBLIC_OP_JOIN : PUBLIC_OP_LEAVE].name));
    if (d->names.count == 1)
        write_text(out, KEY_NAME, d->names.items[0]);
    else
        public_message_write_list(out, KEY_NAME, d->names);
    public_message_write_list(out, KEY_GROUP, d->groups);
    public_message_write_list(out, KEY_CLIENT_ID, d->clients);
    if (d->once.len > 0)
        write_text(out, KEY_ID, d->once);
    if ((d->flags & FLAG_BINARY) != 0)
        buf_append_str(out, "\"binary\":true,");
    if ((d->flags & FLAG_UNCOMPRESSED) != 0)
        buf_append_str(out, "\"compress\":false,");
    if (d->kind == MESSAGE_GROUPS) {
        out->ptr[out->len - 1] = '}';
        return out->len - before;
    }
    if (d->kind == MESSAGE_CLOSE)
        buf_printf(out, "\"code\":%" PRId64 ",\"reason\":", d->code);
    else
        buf_append_str(out, "\"data\":");
    data_at = out->len;
    if ((d->flags & FLAG_JSON) != 0)
        buf_append(out, d->data);
    else
        json_append_string(out, d->data);
    buf_append_char(out, '}');
    return data_at - before;
}

struct delivery public_message_delivery(const struct public_message *m, uint64_t ts_ms) {
    return (struct delivery){.kind = kind_of(m->op),
                             .ts_ms = ts_ms,
                             .names = texts_list(&m->names),
                             .groups = texts_list(&m->groups),
                             .clients = texts_list(&m->clients),
                             .from = buf_bytes(&m->receipt),
                             .flags = (m->is_json ? FLAG_JSON : 0u) |
                                      (m->is_binary ? FLAG_BINARY : 0u) |
                                      (m->is_uncompressed ? FLAG_UNCOMPRESSED : 0u) |
                                      (m->receipt.len > 0 ? FLAG_RECEIPT : 0u),
                             .data = buf_bytes(&m->data),
                             .code = m->op == PUBLIC_OP_JOIN    ? GROUPS_JOIN
                                     : m->op == PUBLIC_OP_LEAVE ? GROUPS_LEAVE
                                                                : m->code,
                             .once = buf_bytes(&m->id)};
}

void public_message_deinit(struct public_message *m) {
    texts_deinit(&m->names);
    texts_deinit(&m->groups);
    texts_deinit(&m->clients);
    buf_deinit(&m->id);
    buf_deinit(&m->receipt);
    buf_deinit(&m->data);
}
