/* public_form.c - see public_form.h. What is added goes in behind the opening brace. */
#include "common/admin/public_form.h"

#include "common/app/json.h"

enum { ID_MAX = 256, REASON_MAX = 123 };

static int bad(struct buf *error_out, const char *member, const char *why) {
    buf_printf(error_out, "%s: %s", member, why);
    return 400;
}

static void check_text(void *ctx, struct json_value element) {
    bool *is_fine = ctx;
    if (element.kind != JSON_KIND_STRING)
        *is_fine = false;
}

static bool is_texts(struct json_value value) {
    bool is_fine = value.kind != JSON_KIND_OBJECT;
    json_each(value, check_text, &is_fine);
    return is_fine;
}

static int check_addresses(struct json_value root, struct buf *error_out) {
    static const char *const members[] = {"name", "group", "clientId"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (!is_texts(json_member(root, members[i])))
            return bad(error_out, members[i], "must be a string or a list of strings");
    return 0;
}

static int check_send(struct json_value root, int64_t max_data_bytes, struct buf *error_out) {
    struct json_value data = json_member(root, "data"), binary = json_member(root, "binary");
    struct buf text = {0};
    if (data.kind == JSON_KIND_ABSENT)
        return bad(error_out, "data", "is missing");
    if (binary.kind != JSON_KIND_ABSENT && binary.kind != JSON_KIND_TRUE &&
        binary.kind != JSON_KIND_FALSE)
        return bad(error_out, "binary", "must be true or false");
    json_append_text(&text, data);
    bool is_too_big = text.len > (size_t)max_data_bytes;
    buf_deinit(&text);
    if (!is_too_big)
        return 0;
    buf_printf(error_out, "data: is over --max-message-bytes (%lld)", (long long)max_data_bytes);
    return 413;
}

/* What a server may say of its own accord, and what is free for applications. */
static bool is_close_code(struct json_value value) {
    uint64_t code;
    return bytes_to_u64(value.text, &code) &&
           (code == 1000 || code == 1001 || (code >= 3000 && code <= 4999));
}

static int check_close(struct json_value root, struct buf *error_out) {
    struct json_value code = json_member(root, "code"), reason = json_member(root, "reason");
    struct buf text = {0};
    if (code.kind != JSON_KIND_ABSENT && (code.kind != JSON_KIND_NUMBER || !is_close_code(code)))
        return bad(error_out, "code", "must be 1000, 1001, or 3000 to 4999");
    if (reason.kind != JSON_KIND_ABSENT && reason.kind != JSON_KIND_STRING)
        return bad(error_out, "reason", "must be a string");
    json_append_text(&text, reason);
    bool is_long = text.len > REASON_MAX;
    buf_deinit(&text);
    return is_long ? bad(error_out, "reason", "must not be longer than 123 bytes") : 0;
}

static int check_op(enum public_op op, struct json_value root, struct buf *error_out) {
    struct json_value value = json_member(root, "op");
    const char *own = op == PUBLIC_OP_CLOSE ? "\"close\"" : "\"send\"";
    if (value.kind == JSON_KIND_ABSENT || bytes_equal_str(value.text, own))
        return 0;
    return bad(error_out, "op", "is another operation than the one asked for");
}

/* Sets *adds_out when the id from elsewhere is to be written into the text. */
static int check_id(struct json_value root, struct bytes id, bool *adds_out,
                    struct buf *error_out) {
    struct json_value value = json_member(root, "id");
    struct buf own = {0};
    *adds_out = id.len > 0 && value.kind == JSON_KIND_ABSENT;
    if (value.kind != JSON_KIND_ABSENT && value.kind != JSON_KIND_STRING)
        return bad(error_out, "id", "must be a string");
    json_append_text(&own, value);
    bool is_long = own.len > ID_MAX || id.len > ID_MAX;
    bool differs = own.len > 0 && id.len > 0 && !bytes_equal(buf_bytes(&own), id);
    buf_deinit(&own);
    if (is_long)
        return bad(error_out, "id", "must not be longer than 256 bytes");
    return differs ? bad(error_out, "id", "differs from the Idempotency-Key") : 0;
}

static void write(enum public_op op, struct bytes text, struct bytes id, bool adds_op,
                  struct buf *out) {
    ptrdiff_t brace = bytes_find(text, '{');
    struct bytes rest = bytes_trim(bytes_from(text, (size_t)brace + 1));
    buf_append_char(out, '{');
    if (op == PUBLIC_OP_CLOSE && adds_op)
        buf_append_str(out, "\"op\":\"close\",");
    if (id.len > 0) {
        buf_append_str(out, "\"id\":");
        json_append_string(out, id);
        buf_append_char(out, ',');
    }
    if (out->ptr[out->len - 1] == ',' && rest.ptr[0] == '}')
        out->len--;
    buf_append(out, rest);
}

static int check(enum public_op op, struct json_value root, struct bytes id, bool *adds_id_out,
                 int64_t max_data_bytes, struct buf *error_out) {
    if (root.kind != JSON_KIND_OBJECT) {
        buf_append_str(error_out, "the body must be a JSON object");
        return 400;
    }
    int status = check_op(op, root, error_out);
    if (status == 0)
        status = check_addresses(root, error_out);
    if (status == 0)
        status = op == PUBLIC_OP_SEND ? check_send(root, max_data_bytes, error_out)
                                      : check_close(root, error_out);
    return status != 0 ? status : check_id(root, id, adds_id_out, error_out);
}

int public_form_check(enum public_op op, struct bytes text, struct bytes id, int64_t max_data_bytes,
                      struct buf *out, struct buf *error_out) {
    struct json_document *document = json_open(text, error_out);
    bool adds_id = false;
    if (document == NULL)
        return 400;
    struct json_value root = json_root(document);
    int status = check(op, root, id, &adds_id, max_data_bytes, error_out);
    if (status == 0)
        write(op, root.text, adds_id ? id : BYTES_NONE,
              json_member(root, "op").kind == JSON_KIND_ABSENT, out);
    json_close(document);
    return status;
}
