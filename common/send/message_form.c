/* message_form.c - see message_form.h. */
#include "common/send/message_form.h"

#include <stdlib.h>

#include "common/base/utf8.h"

enum { SHOWN_BYTES = 64 };

static const struct known_key {
    const char *name, *second;
    unsigned forms;
} known[MESSAGE_KEYS] = {
#define KEY(NAME, key, second, forms) {key, second, forms},
#include "common/send/message_keys.def"
#undef KEY
};

bool message_form_refuse(enum message_key key, const char *why, struct buf *error_out) {
    buf_printf(error_out, "%s: %s", known[key].name, why);
    return false;
}

/* --- keys --- */

static bool is_spelled(const char *name, struct bytes key) {
    return name != NULL && bytes_equal_nocase(bytes_str(name), key);
}

enum message_key message_form_find(struct bytes key, unsigned form) {
    unsigned i = 0;
    while (i < MESSAGE_KEYS &&
           ((known[i].forms & form) == 0 ||
            (!is_spelled(known[i].name, key) && !is_spelled(known[i].second, key))))
        i++;
    return (enum message_key)i;
}

const char *message_form_key(enum message_key key) {
    return known[key].name;
}

/* The key of a text with its quotes and escapes. */
static enum message_key find(struct bytes key_text, unsigned form) {
    char room[JSON_KEY_ROOM];
    struct bytes key = json_key(bytes_of(key_text.ptr + 1, key_text.len - 2), room);
    return key.ptr == NULL ? MESSAGE_KEYS : message_form_find(key, form);
}

static void append_shown(struct buf *out, struct bytes key_text) {
    struct bytes shown = utf8_head(key_text, SHOWN_BYTES);
    buf_append(out, shown);
    if (shown.len < key_text.len)
        buf_append_str(out, "…\"");
}

static void refuse_unknown(struct bytes key_text, unsigned form, struct buf *error_out) {
    const char *separator = "; known are ";
    buf_append_str(error_out, "unknown key ");
    append_shown(error_out, key_text);
    for (size_t i = 0; i < MESSAGE_KEYS; i++) {
        if ((known[i].forms & form) == 0 || (known[i].forms & FORM_HIDDEN) != 0)
            continue;
        buf_printf(error_out, "%s%s", separator, known[i].name);
        separator = ", ";
    }
}

static void refuse_twice(enum message_key key, struct bytes key_text, struct buf *error_out) {
    buf_printf(error_out, "%s: is given twice", known[key].name);
    if (!bytes_equal_str(bytes_of(key_text.ptr + 1, key_text.len - 2), known[key].name)) {
        buf_append_str(error_out, ", the second time as ");
        append_shown(error_out, key_text);
    }
}

struct reading {
    struct message_form *f;
    unsigned form;
    struct buf *error_out;
    enum form_fault fault;
};

static bool break_off(struct reading *r) {
    r->fault = FORM_BROKEN;
    return false;
}

static bool read_member(void *ctx, struct bytes key_text, struct json_value value) {
    struct reading *r = ctx;
    enum message_key key = find(key_text, r->form);
    if (++r->f->keys > FORM_KEYS_MAX) {
        buf_clear(r->error_out);
        buf_append_str(r->error_out, FORM_TOO_MANY_KEYS);
        return break_off(r);
    }
    if (key == MESSAGE_KEYS) {
        if (r->fault == FORM_FINE)
            refuse_unknown(key_text, r->form, r->error_out);
        r->fault = FORM_UNKNOWN;
    } else if (r->f->values[key].kind != JSON_KIND_ABSENT) {
        buf_clear(r->error_out);
        refuse_twice(key, key_text, r->error_out);
        return break_off(r);
    } else {
        r->f->values[key] = value;
    }
    return true;
}

enum form_fault message_form_read(struct message_form *f, const struct json_document *document,
                                  struct json_value object, unsigned form, struct buf *error_out) {
    struct reading r = {.f = f, .form = form, .error_out = error_out};
    *f = (struct message_form){.document = document, .keys = f->keys};
    json_each_member(object, read_member, &r);
    return r.fault;
}

/* --- values --- */

bool message_form_is_utf8(const struct message_form *f, enum message_key key,
                          struct json_value value, struct buf *error_out) {
    size_t where = json_half_character(value);
    if (where == 0)
        return true;
    buf_printf(error_out, "%s: the escape at byte %zu is half of a character, which has no UTF-8",
               known[key].name, json_position(f->document, value.text.ptr + where));
    return false;
}

static bool add_text(const struct message_form *f, enum message_key key, struct texts *t,
                     struct json_value value, struct buf *error_out) {
    struct buf text = {0};
    if (!message_form_is_utf8(f, key, value, error_out))
        return false;
    if (t->count == ADDRESS_LIST_MAX)
        return message_form_refuse(key, ADDRESS_TOO_MANY, error_out);
    json_append_text(&text, value);
    const char *fault = address_fault(buf_bytes(&text));
    if (fault == NULL && text.len > 0)
        texts_add(t, buf_bytes(&text));
    buf_deinit(&text);
    return fault == NULL || message_form_refuse(key, fault, error_out);
}

static bool is_text(struct json_value value, unsigned flags) {
    return value.kind == JSON_KIND_STRING ||
           (value.kind == JSON_KIND_NUMBER && (flags & TEXTS_NUMBERS) != 0);
}

static bool add_list(const struct message_form *f, enum message_key key, unsigned flags,
                     struct texts *t, struct buf *error_out) {
    size_t at = 0;
    texts_give(t);
    for (size_t i = 0;; i++) {
        struct json_value element = json_next_element(f->values[key].text, &at);
        if (element.kind == JSON_KIND_ABSENT)
            return true;
        if (i == ADDRESS_LIST_MAX)
            return message_form_refuse(key, ADDRESS_TOO_MANY, error_out);
        if (element.kind == JSON_KIND_NULL)
            continue;
        if (!is_text(element, flags))
            return message_form_refuse(key, ADDRESS_NO_TEXTS, error_out);
        if (!add_text(f, key, t, element, error_out))
            return false;
    }
}

bool message_form_texts(const struct message_form *f, enum message_key key, unsigned flags,
                        struct texts *t, struct buf *error_out) {
    struct json_value value = f->values[key];
    bool is_one = (flags & TEXTS_ONE) != 0;
    if (value.kind == JSON_KIND_ABSENT || value.kind == JSON_KIND_NULL)
        return true;
    if (value.kind == JSON_KIND_ARRAY && !is_one)
        return add_list(f, key, flags, t, error_out);
    if (!is_text(value, flags))
        return message_form_refuse(key, is_one ? ADDRESS_NO_TEXT : ADDRESS_NO_TEXTS, error_out);
    return add_text(f, key, t, value, error_out);
}
