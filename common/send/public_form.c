/* public_form.c - see public_form.h. What is added goes in behind the opening brace. */
#include "common/send/public_form.h"

#include "common/json/json_check.h"
#include "common/send/public_message.h"
#include "common/base/utf8.h"

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

static int refuse(struct buf *error_out, const char *why) {
    buf_append_str(error_out, why);
    return 400;
}

/* The idempotency key from elsewhere, and the message's own. */
static int check_id(const struct public_message *m, struct bytes id, struct buf *error_out) {
    if (id.len > PUBLIC_ID_MAX)
        return refuse(error_out, "id: has more than 256 bytes");
    if (!utf8_is_valid(id))
        return refuse(error_out, "id: is not valid UTF-8");
    if (m->has_id && id.len > 0 && !bytes_equal(buf_bytes(&m->id), id))
        return refuse(error_out, "id: differs from the Idempotency-Key");
    return 0;
}

static int check(const struct public_message *m, enum public_fault fault, enum public_op op,
                 struct bytes id, struct buf *error_out) {
    if (fault != PUBLIC_FINE)
        return fault == PUBLIC_TOO_BIG ? 413 : 400;
    if (m->op != op)
        return refuse(error_out, "op: is another operation than the one asked for");
    return check_id(m, id, error_out);
}

int public_form_check(enum public_op op, struct bytes text, struct bytes id, int64_t max_data_bytes,
                      struct buf *out, struct buf *error_out) {
    struct public_message m;
    enum public_fault fault = public_message_read(&m, text, op, (size_t)max_data_bytes, error_out);
    int status = check(&m, fault, op, id, error_out);
    if (status == 0 && !m.is_nothing)
        write(op, json_without_mark(text), m.has_id ? BYTES_NONE : id, !m.has_op, out);
    public_message_deinit(&m);
    return status;
}
