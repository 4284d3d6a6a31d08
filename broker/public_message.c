/* public_message.c - see public_message.h. */
#include "broker/public_message.h"

#include <ctype.h>

#include "common/base/utf8.h"

enum { CODE_NORMAL = 1000, REASON_MAX = 123, RECEIPT_MAX = 64 };

static bool refuse(struct buf *error, const char *text) {
    buf_append_str(error, text);
    return false;
}

static bool read_address(struct public_message *m, struct json_value root, struct buf *error) {
    if (!texts_add(&m->names, json_member(root, "name")))
        return refuse(error, "name must be a text or a list of texts");
    if (!texts_add(&m->groups, json_member(root, "group")))
        return refuse(error, "group must be a text or a list of texts");
    if (!texts_add(&m->clients, json_member(root, "clientId")))
        return refuse(error, "clientId must be a text or a list of texts");
    if (!texts_add(&m->id, json_member(root, "id")) || m->id.count > 1)
        return refuse(error, "id must be one text");
    return true;
}

static bool read_code(struct json_value value, int64_t *code_out) {
    struct buf text = {0};
    uint64_t code = CODE_NORMAL;
    bool is_number = true;
    if (value.kind != JSON_KIND_ABSENT && value.kind != JSON_KIND_NULL) {
        json_append_text(&text, value);
        is_number = bytes_to_u64(buf_bytes(&text), &code);
    }
    buf_deinit(&text);
    *code_out = (int64_t)code;
    return is_number && (code == CODE_NORMAL || code == 1001 || (code >= 3000 && code <= 4999));
}

static bool read_close(struct public_message *m, struct json_value root, struct buf *error) {
    struct json_value reason = json_member(root, "reason");
    m->delivery.kind = MESSAGE_CLOSE;
    if (!read_code(json_member(root, "code"), &m->delivery.code))
        return refuse(error, "code must be 1000, 1001 or 3000 to 4999");
    if (reason.kind != JSON_KIND_ABSENT && reason.kind != JSON_KIND_NULL)
        json_append_text(&m->data, reason);
    if (m->data.len > REASON_MAX)
        return refuse(error, "reason has at most 123 bytes");
    return true;
}

static bool read_data(struct public_message *m, struct json_value root, size_t max_bytes,
                      struct buf *error) {
    struct json_value data = json_member(root, "data");
    if (data.kind == JSON_KIND_ABSENT)
        return refuse(error, "data is missing");
    m->is_nothing = json_is_empty(data);
    if (data.kind == JSON_KIND_STRING) {
        json_append_text(&m->data, data);
    } else {
        json_append_compact(&m->data, data);
        m->delivery.flags |= FLAG_JSON;
    }
    if (json_is_truthy(json_member(root, "binary")))
        m->delivery.flags |= FLAG_BINARY;
    else if (!utf8_is_valid(buf_bytes(&m->data)))
        return refuse(error, "data is no valid UTF-8");
    if (m->data.len > max_bytes)
        return refuse(error, "data is larger than --max-message-bytes");
    return true;
}

/* The token becomes part of a channel's name. */
static bool read_receipt(struct public_message *m, struct json_value root, struct buf *error) {
    if (!texts_add(&m->receipt, json_member(root, "receipt")) || m->receipt.count > 1)
        return refuse(error, "receipt must be one text");
    if (m->receipt.count == 0)
        return true;
    struct bytes token = m->receipt.items[0];
    for (size_t i = 0; i < token.len; i++)
        if (!isalnum((unsigned char)token.ptr[i]) && token.ptr[i] != '-')
            return refuse(error, "receipt must be letters, digits and dashes");
    if (token.len > RECEIPT_MAX)
        return refuse(error, "receipt has at most 64 characters");
    m->delivery.from = token;
    m->delivery.flags |= FLAG_RECEIPT;
    return true;
}

static bool read_root(struct public_message *m, struct json_value root, size_t max_bytes,
                      struct buf *error) {
    struct texts op = {0};
    if (root.kind != JSON_KIND_OBJECT)
        return refuse(error, "it must be a JSON object");
    bool has_op = texts_add(&op, json_member(root, "op")) && op.count > 0;
    bool is_close = has_op && bytes_equal_nocase(op.items[0], BYTES_LIT("close"));
    bool is_send = !has_op || bytes_equal_nocase(op.items[0], BYTES_LIT("send"));
    texts_deinit(&op);
    if (!is_close && !is_send)
        return refuse(error, "op must be \"send\" or \"close\"");
    return read_address(m, root, error) && read_receipt(m, root, error) &&
           (is_close ? read_close(m, root, error) : read_data(m, root, max_bytes, error));
}

bool public_message_init(struct public_message *m, struct bytes text, uint64_t ts_ms,
                         size_t max_bytes, struct buf *error_out) {
    *m = (struct public_message){.delivery = {.kind = MESSAGE_DATA, .ts_ms = ts_ms}};
    struct json_document *document = json_open(text, error_out);
    if (document == NULL)
        return false;
    bool is_good = read_root(m, json_root(document), max_bytes, error_out);
    json_close(document);
    m->delivery.names = texts_list(&m->names);
    m->delivery.groups = texts_list(&m->groups);
    m->delivery.clients = texts_list(&m->clients);
    m->delivery.once = m->id.count > 0 ? m->id.items[0] : BYTES_NONE;
    m->delivery.data = buf_bytes(&m->data);
    return is_good;
}

void public_message_deinit(struct public_message *m) {
    texts_deinit(&m->names);
    texts_deinit(&m->groups);
    texts_deinit(&m->clients);
    texts_deinit(&m->id);
    texts_deinit(&m->receipt);
    buf_deinit(&m->data);
}
