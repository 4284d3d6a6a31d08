/*
 * tracing.c - see tracing.h. Read tracing_output: whoever traces one of an entry's outputs
 * traces the entry, which is known only when the entry has been processed.
 */
#include "broker/entry/tracing.h"

#include <stdlib.h>
#include <utlist.h>

#include "common/bus/log/trace.h"
#include "common/send/delivery.h"

enum { TO_BYTES = 200 };

struct tracing {
    unsigned entry_mask; /* the tools that trace the entry's sender, Name or address */
    unsigned mask;       /* and those that trace one of its outputs */
    /* The id it had when it first came: it may have been deferred since. */
    char entry[MESSAGE_ID_TEXT];
    struct buf rule, why;
    enum traced_verdict verdict;
};

/* A message that waits for its commit. */
struct traced_output {
    struct traced_output *prev, *next;
    unsigned mask;
    struct buf event;
};

/* --- the entry --- */

static const char *rule_of(enum entry_kind kind) {
    bool is_event = kind == ENTRY_CONNECT || kind == ENTRY_DISCONNECT;
    return kind == ENTRY_CLIENT ? "default"
           : is_event           ? "event"
           : kind == ENTRY_TICK ? "schedule"
                                : "send";
}

void tracing_begin(struct processing *p) {
    const struct entry *e = &p->entry->entry;
    struct trace *t = p->parts->trace;
    bool is_traceable = e->kind != ENTRY_BYE && e->kind != ENTRY_TICK;
    if (!trace_is_on(t))
        return;
    p->tracing = mem_zalloc(sizeof(*p->tracing));
    message_id_format(p->entry->order, p->tracing->entry);
    buf_append_str(&p->tracing->rule, rule_of(e->kind));
    if (is_traceable && sender_of(e->flags, e->client_id).len > 0)
        p->tracing->entry_mask = trace_of_client(t, e->client_id);
    if (is_traceable && e->name.len > 0)
        p->tracing->entry_mask |= trace_of_name(t, e->name);
    p->tracing->mask = p->tracing->entry_mask;
}

void tracing_rule(struct processing *p, const char *rule) {
    if (p->tracing == NULL)
        return;
    buf_clear(&p->tracing->rule);
    buf_append_str(&p->tracing->rule, rule);
}

void tracing_verdict(struct processing *p, enum traced_verdict verdict, struct bytes why) {
    struct tracing *t = p != NULL ? p->tracing : NULL;
    if (t == NULL || verdict <= t->verdict)
        return;
    t->verdict = verdict;
    buf_clear(&t->why);
    buf_append(&t->why, why);
}

void tracing_address(struct processing *p, const struct delivery *d) {
    if (p->tracing == NULL)
        return;
    struct trace *t = p->parts->trace;
    unsigned mask = bytes_list_is_given(d->names) ? 0 : trace_of_every_name(t);
    for (size_t i = 0; i < d->names.count; i++)
        mask |= trace_of_name(t, d->names.items[i]);
    for (size_t i = 0; i < d->clients.count; i++)
        mask |= trace_of_client(t, d->clients.items[i]);
    p->tracing->entry_mask |= mask;
    p->tracing->mask |= mask;
}

/* --- reporting --- */

/* The public stream's entries have no sender; they enter when they are added to it. */
static struct trace_event event_of(const struct processing *p, const char *hop) {
    const struct entry *e = &p->entry->entry;
    struct trace_event event = trace_event_of(hop);
    event.entry = bytes_str(p->tracing->entry);
    event.kind = p->is_public ? BYTES_LIT("public") : bytes_str(entry_kind_text(e->kind));
    event.sent_ms = (int64_t)(p->is_public ? p->entry->id.term : e->ts_ms);
    event.client_id = sender_of(e->flags, e->client_id);
    event.partition = p->is_public ? -1 : (int64_t)p->slot;
    return event;
}

static void report_processed(struct processing *p) {
    const struct in_entry *entry = p->entry;
    struct trace_event event = event_of(p, "processed");
    event.name = entry->entry.name;
    event.rule = buf_bytes(&p->tracing->rule);
    event.bytes = (int64_t)(event.partition < 0 ? entry->text.len : entry->entry.body.len);
    trace_tell(p->parts->trace, p->tracing->mask, &event);
}

static void report_verdict(struct processing *p) {
    static const char *const texts[] = {
        [TRACED_ALLOWED] = "allowed", [TRACED_WAITING] = "waiting", [TRACED_IGNORED] = "ignored",
        [TRACED_FAILED] = "failed",   [TRACED_REFUSED] = "refused",
    };
    const struct tracing *t = p->tracing;
    struct trace_event event = event_of(p, "verdict");
    if (t->verdict == TRACED_NONE)
        return;
    event.verdict = bytes_str(texts[t->verdict]);
    if (t->why.len > 0)
        event.why = buf_bytes(&t->why);
    trace_tell(p->parts->trace, t->mask, &event);
}

void tracing_end(struct processing *p) {
    struct tracing *t = p->tracing;
    if (t == NULL)
        return;
    if (t->mask != 0) {
        report_processed(p);
        report_verdict(p);
    }
    buf_deinit(&t->rule);
    buf_deinit(&t->why);
    free(t);
    p->tracing = NULL;
}

/* --- outputs --- */

static void append_list(struct buf *out, const char *what, struct bytes_list list) {
    if (list.count == 0)
        return;
    buf_printf(out, "%s%s", out->len > 0 ? " " : "", what);
    for (size_t i = 0; i < list.count && out->len < TO_BYTES; i++) {
        buf_append_char(out, i == 0 ? ' ' : ',');
        buf_append(out, list.items[i]);
    }
}

static void append_to(struct buf *out, const struct message *m) {
    append_list(out, "group", m->to_groups);
    append_list(out, "client", m->to_clients);
    if (m->to_conn.len > 0)
        append_list(out, "connection", (struct bytes_list){&m->to_conn, 1});
    if (out->len == 0)
        buf_append_str(out, "everybody");
}

static void encode_output(struct buf *out, const struct processing *p, struct bytes name,
                          const struct message *m, struct message_id id) {
    struct trace_event event = event_of(p, "published");
    char text[MESSAGE_ID_TEXT];
    struct buf to = {0};
    append_to(&to, m);
    event.kind = bytes_str(message_kind_text(m->kind));
    event.name = name.len > 0 ? name : BYTES_LIT("*");
    event.message_id = bytes_str(message_id_format(id, text));
    event.to = buf_bytes(&to);
    event.bytes = (int64_t)m->data.len;
    trace_event_encode(out, &event);
    buf_deinit(&to);
}

static unsigned output_mask(struct processing *p, struct bytes name, const struct message *m) {
    struct trace *t = p->parts->trace;
    unsigned mask = name.len > 0 ? trace_of_name(t, name) : trace_of_every_name(t);
    if (m->kind == MESSAGE_BYE)
        return 0;
    if (sender_of(m->flags, m->from).len > 0)
        mask |= trace_of_client(t, m->from);
    for (size_t i = 0; i < m->to_clients.count; i++)
        mask |= trace_of_client(t, m->to_clients.items[i]);
    return mask | p->tracing->entry_mask;
}

void tracing_output(struct processing *p, struct bytes name, const struct message *m,
                    struct message_id id) {
    if (p->tracing == NULL)
        return;
    unsigned mask = output_mask(p, name, m);
    p->tracing->mask |= mask;
    if (mask == 0)
        return;
    struct traced_output *output = mem_zalloc(sizeof(*output));
    output->mask = mask;
    encode_output(&output->event, p, name, m, id);
    DL_APPEND(p->batch->traced, output);
}

void tracing_committed(struct batch *batch, struct trace *t) {
    struct traced_output *output;
    DL_FOREACH(batch->traced, output)
    trace_tell_encoded(t, output->mask, buf_bytes(&output->event));
    tracing_lost(batch);
}

void tracing_lost(struct batch *batch) {
    struct traced_output *output, *next;
    DL_FOREACH_SAFE (batch->traced, output, next) {
        buf_deinit(&output->event);
        free(output);
    }
    batch->traced = NULL;
}
