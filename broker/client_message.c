/* client_message.c - see client_message.h. Read client_message_process first. */
#include "broker/client_message.h"

#include <stdlib.h>

#include "broker/broadcast.h"
#include "broker/broker.h"
#include "broker/note.h"
#include "broker/outcome.h"
#include "broker/signal_routes.h"
#include "broker/tracing.h"
#include "common/base/log.h"
#include "common/base/metrics.h"

/* --- reading --- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void client_message_decode_path(struct buf *out, struct bytes path) {
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c == '%' && i + 2 < path.len && hex_digit(path.ptr[i + 1]) >= 0 &&
            hex_digit(path.ptr[i + 2]) >= 0) {
            buf_append_char(out,
                            (char)(hex_digit(path.ptr[i + 1]) * 16 + hex_digit(path.ptr[i + 2])));
            i += 2;
        } else {
            buf_append_char(out, c == '+' ? ' ' : c);
        }
    }
}

static bool read_path(struct client_message *m, struct json_value path) {
    struct buf decoded = {0};
    if (path.kind == JSON_KIND_ARRAY || !texts_add(&m->names, path) || m->names.count > 1)
        return false;
    if (m->names.count == 0)
        return true;
    client_message_decode_path(&decoded, m->names.items[0]);
    free((char *)m->names.items[0].ptr);
    size_t len = decoded.len;
    m->names.items[0] = bytes_of(buf_take(&decoded), len);
    return true;
}

static const char *read_fields(struct client_message *m, struct json_value object) {
    if (!read_path(m, json_member(object, "path")))
        return "path must be one text";
    if (!texts_add(&m->groups, json_member(object, "group")))
        return "group must be a text or a list of texts";
    if (!texts_add(&m->clients, json_member(object, "clientId")))
        return "clientId must be a text or a list of texts";
    m->is_direct = m->is_direct || json_is_truthy(json_member(object, "direct"));
    return NULL;
}

/* An array of several objects: their messages as an array, the fields of all (as the seed's shell
 * reads a property of a list). */
struct merging {
    struct client_message *message;
    size_t count;
    const char *error;
    struct json_value first;
};

static void merge_one(void *ctx, struct json_value element) {
    struct merging *g = ctx;
    struct client_message *m = g->message;
    struct json_value message = json_member(element, "message");
    if (g->count++ == 0)
        g->first = element;
    if (g->error == NULL)
        g->error = read_fields(m, element);
    if (message.kind == JSON_KIND_ABSENT)
        return;
    buf_append_char(&m->merged_text, m->merged_text.len == 0 ? '[' : ',');
    json_append_compact(&m->merged_text, message);
}

static const char *merge(struct client_message *m, struct json_value array) {
    struct merging g = {.message = m};
    json_each(array, merge_one, &g);
    if (g.count == 1) {
        m->message = json_member(g.first, "message");
    } else if (m->merged_text.len > 0) {
        struct buf error = {0};
        buf_append_char(&m->merged_text, ']');
        m->merged = json_open(buf_bytes(&m->merged_text), &error);
        if (m->merged != NULL)
            m->message = json_root(m->merged);
        buf_deinit(&error);
    }
    return g.error;
}

void client_message_init(struct client_message *m, struct bytes body) {
    struct buf error = {0};
    *m = (struct client_message){0};
    m->document = json_open(body, &error);
    buf_deinit(&error);
    if (m->document == NULL) {
        m->error = "no JSON";
        return;
    }
    struct json_value root = json_root(m->document);
    if (root.kind == JSON_KIND_ARRAY) {
        m->error = merge(m, root);
    } else {
        m->message = json_member(root, "message");
        m->ref = json_member(root, "ref");
        m->error = read_fields(m, root);
    }
    m->is_valid = m->error == NULL;
}

void client_message_deinit(struct client_message *m) {
    texts_deinit(&m->names);
    texts_deinit(&m->groups);
    texts_deinit(&m->clients);
    json_close(m->document);
    json_close(m->merged);
    buf_deinit(&m->merged_text);
}

/* --- the default: broadcast again --- */

/* What goes out: a string as it is, anything else as compact JSON. */
static void append_data(struct buf *out, struct json_value message) {
    if (message.kind == JSON_KIND_STRING)
        json_append_text(out, message);
    else
        json_append_compact(out, message);
}

static struct delivery delivery_of(const struct entry *e, const struct client_message *m,
                                   struct bytes data) {
    return (struct delivery){.kind = MESSAGE_DATA,
                             .ts_ms = e->ts_ms,
                             .names = texts_list(&m->names),
                             .groups = texts_list(&m->groups),
                             .clients = texts_list(&m->clients),
                             .from = e->client_id,
                             .flags = m->message.kind == JSON_KIND_STRING ? 0 : FLAG_JSON,
                             .data = data};
}

static void refuse(struct outcome *o, const struct client_message *m, const char *code,
                   struct bytes why) {
    const struct entry *e = &o->entry->entry;
    bool is_level = bytes_equal_str(bytes_str(code), "level");
    metrics_add(is_level ? METRIC_refused_level : METRIC_messages_bad, 1);
    if (is_level)
        log_warn("client_message", "refused client=%s name=%s why=%s", LOG_TEXT(e->client_id),
                 LOG_TEXT(e->name), LOG_TEXT(why));
    else
        log_debug("client_message", "refused client=%s name=%s why=%s", LOG_TEXT(e->client_id),
                  LOG_TEXT(e->name), LOG_TEXT(why));
    tracing_verdict(o, is_level ? TRACED_REFUSED : TRACED_IGNORED, why);
    note_error(o, m, code, why);
}

static void send_again(struct outcome *o, const struct client_message *m) {
    const struct entry *e = &o->entry->entry;
    struct recipient sender = {e->name, e->conn};
    struct buf data = {0}, error = {0};
    append_data(&data, m->message);
    struct delivery d = delivery_of(e, m, buf_bytes(&data));
    if (m->is_direct)
        MUST(broadcast_to_one(o, &sender, &d));
    else if (broadcast_is_allowed(o->broker, &d, &error))
        MUST(broadcast(o, &d));
    else
        refuse(o, m, "level", buf_bytes(&error));
    if (error.len == 0) {
        tracing_verdict(o, TRACED_ALLOWED, BYTES_NONE);
        note_ack(o, m);
    }
    buf_deinit(&data);
    buf_deinit(&error);
}

static void accept_nothing(struct outcome *o, const struct client_message *m) {
    tracing_verdict(o, TRACED_IGNORED, BYTES_LIT("the message is empty"));
    note_ack(o, m);
}

static void process_default(struct outcome *o, const struct client_message *m) {
    if (!m->is_valid)
        refuse(o, m, "bad_request", bytes_str(m->error));
    else if (m->message.kind == JSON_KIND_ABSENT)
        refuse(o, m, "bad_request", BYTES_LIT("there is no message"));
    else if (!json_is_empty(m->message))
        send_again(o, m);
    else
        accept_nothing(o, m);
}

void client_message_process(struct outcome *o) {
    const struct entry *e = &o->entry->entry;
    if (signal_routes_process(o))
        return;
    if (e->body.len == 0) {
        tracing_verdict(o, TRACED_IGNORED, BYTES_LIT("the message is empty"));
        return;
    }
    struct client_message m;
    client_message_init(&m, e->body);
    process_default(o, &m);
    client_message_deinit(&m);
}
