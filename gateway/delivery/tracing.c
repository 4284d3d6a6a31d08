/* tracing.c - see tracing.h. */
#include "gateway/delivery/tracing.h"

#include <stdlib.h>
#include <string.h>

#include "common/bus/log/trace.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"

/* A message on its way to Redis. */
struct traced_message {
    struct trace *trace;
    unsigned mask, partition;
    uint64_t connection, sent_ms;
    size_t name_len, client_id_len;
    char texts[]; /* the Name, the client id */
};

/* ---- up */

static struct trace_event event_of(const struct traced_message *m, const char *hop) {
    struct trace_event e = trace_event_of(hop);
    e.name = bytes_of(m->texts, m->name_len);
    e.client_id = bytes_of(m->texts + m->name_len, m->client_id_len);
    e.sent_ms = (int64_t)m->sent_ms;
    e.partition = m->partition;
    e.connection = (int64_t)m->connection;
    return e;
}

static struct traced_message *remember(struct trace *t, unsigned mask, const struct client *client,
                                       uint64_t sent_ms) {
    const struct identity *who = &client->who;
    struct traced_message *m = mem_alloc(sizeof(*m) + who->name.len + who->client_id.len);
    *m = (struct traced_message){.trace = t,
                                 .mask = mask,
                                 .partition = client->partition,
                                 .connection = who->number,
                                 .sent_ms = sent_ms,
                                 .name_len = who->name.len,
                                 .client_id_len = who->client_id.len};
    memcpy(m->texts, who->name.ptr, who->name.len);
    memcpy(m->texts + who->name.len, who->client_id.ptr, who->client_id.len);
    return m;
}

struct traced_message *tracing_received(struct trace *t, const struct client *client,
                                        bool is_binary, size_t bytes, uint64_t sent_ms) {
    unsigned mask = trace_of_client(t, client->who.client_id) | trace_of_name(t, client->who.name);
    if (mask == 0)
        return NULL;
    struct traced_message *m = remember(t, mask, client, sent_ms);
    struct trace_event e = event_of(m, "received");
    e.opcode = is_binary ? BYTES_LIT("binary") : BYTES_LIT("text");
    e.bytes = (int64_t)bytes;
    trace_tell(t, mask, &e);
    return m;
}

void tracing_accepted(struct traced_message *m, int status) {
    if (m == NULL)
        return;
    if (status == 0) {
        struct trace_event e = event_of(m, "accepted");
        trace_tell(m->trace, m->mask, &e);
    }
    free(m);
}

/* ---- down */

static struct trace_event delivered_event(const struct name_entry *e, const struct message *m,
                                          char id[MESSAGE_ID_TEXT]) {
    struct trace_event event = trace_event_of("delivered");
    event.name = name_entry_name(e);
    event.client_id = sender_of(m->flags, m->from);
    event.sent_ms = (int64_t)m->ts_ms;
    event.partition = e->partition;
    event.message_id = bytes_str(message_id_format(m->id, id));
    event.kind = bytes_str(message_kind_text(m->kind));
    event.bytes = (int64_t)m->data.len;
    return event;
}

/* A connection that joined after the message still skips it. */
static void tell_connections(struct trace *t, unsigned i, struct name_entry *e,
                             const struct message *m, struct trace_event *event) {
    struct bytes client_id = buf_bytes(&t->all[i].text);
    for (struct client *client = clients_by_id(e, client_id); client != NULL;
         client = client->same_id) {
        if (!clients_is_for(m, client) || client_slot_skips(&e->slots[client->slot], m))
            continue;
        event->to_client_id = client_id;
        event->connection = (int64_t)client->who.number;
        trace_tell(t, 1u << i, event);
    }
}

void tracing_delivered(struct trace *t, struct name_entry *e, const struct message *m,
                       size_t connections) {
    char id[MESSAGE_ID_TEXT];
    struct trace_event event = delivered_event(e, m, id);
    unsigned mask = trace_of_name(t, event.name);
    if (event.client_id.len > 0 && connections > 0)
        mask |= trace_of_client(t, event.client_id);
    if (m->kind == MESSAGE_DATA || m->kind == MESSAGE_NOTE)
        event.connections = (int64_t)connections;
    trace_tell(t, mask, &event);
    event.connections = -1;
    for (unsigned i = 0; i < TRACES_MAX; i++)
        if (t->all[i].token[0] != '\0' && t->all[i].is_client)
            tell_connections(t, i, e, m, &event);
}
