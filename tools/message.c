/* message.c - see message.h. */
#include "tools/message.h"

#include "common/send/public_message.h"
#include "common/base/settings.h"
#include "common/base/utf8.h"

static bool append_text(struct buf *out, const char *what, struct bytes text,
                        struct buf *error_out) {
    if (!utf8_is_valid(text)) {
        buf_printf(error_out, "%s is no UTF-8", what);
        return false;
    }
    json_append_string(out, text);
    return true;
}

bool message_list_write(struct buf *out, const char *member, const struct settings_list *list,
                        struct buf *error_out) {
    if (list->count == 0)
        return true;
    buf_printf(out, "\"%s\":[", member);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        if (*list->items[i] == '\0') {
            buf_printf(error_out, "%s: is empty", member);
            return false;
        }
        if (!append_text(out, member, bytes_str(list->items[i]), error_out))
            return false;
    }
    buf_append_str(out, "],");
    return true;
}

static bool append_member(struct buf *out, const char *member, const char *text,
                          struct buf *error_out) {
    if (text == NULL)
        return true;
    buf_printf(out, "\"%s\":", member);
    bool is_fine = append_text(out, member, bytes_str(text), error_out);
    buf_append_char(out, ',');
    return is_fine;
}

bool message_head_write(const struct message_head *h, struct buf *out, struct buf *error_out) {
    buf_append_char(out, '{');
    if (!append_member(out, "name", h->name, error_out) ||
        !message_list_write(out, "group", h->groups, error_out) ||
        !message_list_write(out, "clientId", h->clients, error_out) ||
        !append_member(out, "id", h->id, error_out))
        return false;
    if (h->is_binary)
        buf_append_str(out, "\"binary\":true,");
    buf_append_str(out, "\"data\":");
    return true;
}

/* The size is the daemons' matter: they know --max-message-bytes. */
enum message_check message_check(struct bytes text, struct buf *error_out) {
    struct public_message m;
    bool is_fine =
        public_message_read(&m, text, PUBLIC_OP_SEND, SIZE_MAX, error_out) == PUBLIC_FINE;
    bool is_nothing = m.is_nothing;
    public_message_deinit(&m);
    if (!is_fine)
        return MESSAGE_BAD;
    if (is_nothing)
        buf_append_str(error_out, "nothing to send: DATA is empty");
    return is_nothing ? MESSAGE_EMPTY : MESSAGE_FINE;
}

bool message_write(struct bytes head, struct bytes data, bool is_json, struct buf *out,
                   struct buf *error_out) {
    buf_append(out, head);
    if (is_json) {
        struct json_document *document = json_open(data, error_out);
        if (document == NULL)
            return false;
        buf_append(out, json_root(document).text);
        json_close(document);
    } else if (!append_text(out, "the data", data, error_out)) {
        return false;
    }
    buf_append_char(out, '}');
    return true;
}
