/* client_message.c - see client_message.h. Read client_message_new first. */
#include "broker/handlers/client_message.h"

#include <stdlib.h>

#include "common/base/percent.h"
#include "common/bus/log/answers.h"

static bool read_path(struct client_message *m, const struct message_form *f,
                      struct buf *error_out) {
    struct json_value path = f->values[KEY_PATH];
    struct buf text = {0}, decoded = {0};
    if (path.kind == JSON_KIND_ABSENT || path.kind == JSON_KIND_NULL)
        return true;
    if (path.kind != JSON_KIND_STRING && path.kind != JSON_KIND_NUMBER)
        return message_form_refuse(KEY_PATH, ADDRESS_NO_TEXT, error_out);
    if (!message_form_is_utf8(f, KEY_PATH, path, error_out))
        return false;
    json_append_text(&text, path);
    (void)percent_decode(buf_bytes(&text), true, &decoded);
    const char *fault = address_fault(buf_bytes(&decoded));
    if (fault == NULL && m->names.count > 0)
        fault = "is given by several objects";
    if (fault == NULL && decoded.len > 0)
        texts_add(&m->names, buf_bytes(&decoded));
    buf_deinit(&text);
    buf_deinit(&decoded);
    return fault == NULL || message_form_refuse(KEY_PATH, fault, error_out);
}

static bool read_id(struct client_message *m, const struct message_form *f, struct buf *error_out) {
    struct json_value id = f->values[KEY_ID];
    if (id.kind == JSON_KIND_ABSENT || id.kind == JSON_KIND_NULL)
        return true;
    if (id.kind != JSON_KIND_STRING && id.kind != JSON_KIND_NUMBER)
        return message_form_refuse(KEY_ID, ANSWER_ID_RULE, error_out);
    if (!message_form_is_utf8(f, KEY_ID, id, error_out))
        return false;
    json_append_text(&m->id, id);
    if (answer_id_is_valid(buf_bytes(&m->id)))
        return true;
    buf_clear(&m->id);
    return message_form_refuse(KEY_ID, ANSWER_ID_RULE, error_out);
}

static bool read_compress(struct client_message *m, const struct message_form *f,
                          struct buf *error_out) {
    enum json_kind kind = f->values[KEY_COMPRESS].kind;
    m->is_uncompressed = m->is_uncompressed || kind == JSON_KIND_FALSE;
    return kind == JSON_KIND_ABSENT || kind == JSON_KIND_NULL || kind == JSON_KIND_TRUE ||
           kind == JSON_KIND_FALSE ||
           message_form_refuse(KEY_COMPRESS, "must be true or false", error_out);
}

/* To whom, of the object or of one of several, and how. */
static bool read_fields(struct client_message *m, const struct message_form *f,
                        struct buf *error_out) {
    m->is_direct = m->is_direct || json_is_truthy(f->values[KEY_DIRECT]);
    return read_path(m, f, error_out) && read_compress(m, f, error_out) &&
           message_form_texts(f, KEY_GROUP, TEXTS_NUMBERS, &m->groups, error_out) &&
           message_form_texts(f, KEY_CLIENT_ID, TEXTS_NUMBERS, &m->clients, error_out);
}

static bool has_own_key(const struct message_form *f) {
    static const enum message_key keys[] = {KEY_MESSAGE, KEY_PATH, KEY_GROUP, KEY_CLIENT_ID,
                                            KEY_DIRECT};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (f->values[keys[i]].kind != JSON_KIND_ABSENT)
            return true;
    return false;
}

/* What was found in the object, or in all of several. */
struct finding {
    bool is_meant;    /* for us; otherwise it is the application's own, for its signal route */
    bool is_broken;   /* a key is there twice, its value makes no sense, or there are too many */
    bool has_unknown; /* a key is not known */
};

/* The first thing that is broken is what the sender learns. */
static void mark_broken(struct client_message *m, struct finding *found, struct bytes why) {
    found->is_broken = true;
    buf_clear(&m->error);
    buf_append(&m->error, why);
}

static void read_object(struct client_message *m, struct json_value object, struct message_form *f,
                        struct finding *found) {
    struct buf why = {0};
    unsigned form = m->is_v1 ? FORM_CLIENT | FORM_V1 : FORM_CLIENT;
    enum form_fault fault = message_form_read(f, m->document, object, form, &why);
    found->is_meant = found->is_meant || has_own_key(f);
    found->has_unknown = found->has_unknown || fault == FORM_UNKNOWN;
    if (fault == FORM_UNKNOWN && m->error.len == 0)
        buf_append(&m->error, buf_bytes(&why));
    if (fault != FORM_BROKEN)
        buf_clear(&why);
    if (!found->is_broken && (fault == FORM_BROKEN || !read_fields(m, f, &why)))
        mark_broken(m, found, buf_bytes(&why));
    buf_deinit(&why);
}

/* A string goes out as text, which must be UTF-8. */
static void take_message(struct client_message *m, struct json_value message,
                         struct finding *found) {
    struct message_form f = {.document = m->document};
    struct buf why = {0};
    m->message = message;
    if (!found->is_broken && !message_form_is_utf8(&f, KEY_MESSAGE, message, &why))
        mark_broken(m, found, buf_bytes(&why));
    buf_deinit(&why);
}

static void take_id(struct client_message *m, const struct message_form *f, struct finding *found) {
    struct buf why = {0};
    if (found->is_meant && !found->is_broken && !read_id(m, f, &why))
        mark_broken(m, found, buf_bytes(&why));
    buf_deinit(&why);
}

/* An array of several objects: their messages as an array, the fields of all (as the seed's shell
 * reads a property of a list). */
static void read_array(struct client_message *m, struct json_value array, struct finding *found) {
    struct message_form f = {0};
    struct json_value element;
    size_t at = 0, count = 0;
    for (; (element = json_next_element(array.text, &at)).kind != JSON_KIND_ABSENT; count++) {
        if (count == ADDRESS_LIST_MAX) {
            mark_broken(m, found, BYTES_LIT("the array " ADDRESS_TOO_MANY));
            break;
        }
        read_object(m, element, &f, found);
        if (f.values[KEY_ID].kind != JSON_KIND_ABSENT)
            mark_broken(m, found, BYTES_LIT("id: an array has none"));
        if (f.values[KEY_MESSAGE].kind == JSON_KIND_ABSENT)
            continue;
        buf_append_char(&m->merged_text, m->merged_text.len == 0 ? '[' : ',');
        json_append_compact(&m->merged_text, f.values[KEY_MESSAGE]);
    }
    if (count == 1) {
        take_message(m, f.values[KEY_MESSAGE], found);
    } else if (m->merged_text.len > 0) {
        buf_append_char(&m->merged_text, ']');
        m->merged = json_open(buf_bytes(&m->merged_text), NULL);
        MUST(m->merged != NULL);
        m->message = json_root(m->merged);
    }
}

/* False when nothing of it can be used. */
static bool read_root(struct client_message *m, struct json_value root) {
    struct message_form f = {0};
    struct finding found = {0};
    if (root.kind == JSON_KIND_ARRAY) {
        read_array(m, root, &found);
    } else {
        read_object(m, root, &f, &found);
        m->ref = f.values[KEY_REF];
        take_message(m, f.values[KEY_MESSAGE], &found);
        take_id(m, &f, &found);
    }
    m->is_misunderstood = found.is_broken && found.is_meant;
    m->has_unknown = found.has_unknown && found.is_meant && !found.is_broken;
    return !found.is_broken && (!found.has_unknown || found.is_meant);
}

static void forget_fields(struct client_message *m) {
    m->message = (struct json_value){0};
    m->is_direct = m->is_uncompressed = false;
    texts_deinit(&m->names);
    texts_deinit(&m->groups);
    texts_deinit(&m->clients);
}

struct client_message *client_message_new(struct bytes body, bool is_v1) {
    struct client_message *m = mem_zalloc(sizeof(*m));
    m->is_v1 = is_v1;
    m->refs = 1;
    m->document = json_open(body, &m->error);
    bool is_read = m->document != NULL && read_root(m, json_root(m->document));
    m->is_valid = is_read && !m->has_unknown;
    if (!is_read)
        forget_fields(m);
    if (m->has_unknown) {
        texts_deinit(&m->clients);
        texts_give(&m->clients);
    }
    return m;
}

struct client_message *client_message_ref(struct client_message *m) {
    m->refs++;
    return m;
}

void client_message_unref(struct client_message *m) {
    if (m == NULL || --m->refs > 0)
        return;
    forget_fields(m);
    json_close(m->document);
    json_close(m->merged);
    buf_deinit(&m->merged_text);
    buf_deinit(&m->error);
    buf_deinit(&m->id);
    free(m);
}
