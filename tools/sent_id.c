/* sent_id.c - see sent_id.h. A message may come before Redis' answer to the XADD, by another
 * connection, so that those that could be ours are kept until the time of the entry is known. */
#include "tools/sent_id.h"

#include <stdlib.h>

#include "common/app/public_message.h"
#include "common/bus/bus.h"
#include "common/bus/link.h"
#include "common/bus/partition.h"
#include "tools/tool.h"

enum { SEEN_MAX = 64, LISTEN_MS = 1000 };

struct sent_id {
    const struct sent_id_events *events;
    void *ctx;
    struct buf channel;
    struct public_message wanted;
    uint64_t ts_ms; /* of the entry; 0: not known yet */
    struct {
        uint64_t ts_ms;
        struct message_id id;
    } seen[SEEN_MAX];
    size_t seen_count;
    struct message_id id; /* none: not seen yet */
    bool is_listening, is_waiting;
    bool is_deaf; /* Redis does not let us listen: nothing to wait for */
    struct link *link;
    uv_timer_t timer;
};

static void on_timer_closed(uv_handle_t *handle) {
    struct sent_id *s = container_of((uv_timer_t *)handle, struct sent_id, timer);
    public_message_deinit(&s->wanted);
    buf_deinit(&s->channel);
    free(s);
}

void sent_id_drop(struct sent_id *s) {
    if (s == NULL)
        return;
    link_close(s->link);
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void on_time(uv_timer_t *timer) {
    struct sent_id *s = container_of(timer, struct sent_id, timer);
    char text[MESSAGE_ID_TEXT];
    if (!s->is_waiting) { /* on_listening: now, or although nothing is heard */
        s->events->on_listening(s->ctx);
        return;
    }
    bool is_known = !message_id_is_none(s->id);
    s->events->on_id(s->ctx, is_known ? bytes_str(message_id_format(s->id, text)) : BYTES_NONE);
    sent_id_drop(s);
}

/* On a turn of its own: we may be inside a callback of the link. */
static void call_soon(struct sent_id *s, uint64_t after_ms) {
    MUST(uv_timer_start(&s->timer, on_time, after_ms, 0) == 0);
}

/* --- which one is ours --- */

static bool is_same_list(struct bytes_list a, struct bytes_list b) {
    bool is_same = a.count == b.count;
    for (size_t i = 0; is_same && i < a.count; i++)
        is_same = bytes_equal(a.items[i], b.items[i]);
    return is_same;
}

static bool is_like_ours(const struct sent_id *s, const struct message *m) {
    const struct public_message *wanted = &s->wanted;
    unsigned flags = (wanted->is_json ? FLAG_JSON : 0) | (wanted->is_binary ? FLAG_BINARY : 0);
    bool is_public = m->from.len == 0 || (m->flags & FLAG_RECEIPT) != 0;
    return m->kind == MESSAGE_DATA && is_public &&
           (m->flags & (FLAG_JSON | FLAG_BINARY)) == flags &&
           is_same_list(m->to_groups, texts_list(&wanted->groups)) &&
           is_same_list(m->to_clients, texts_list(&wanted->clients)) &&
           bytes_equal(m->data, buf_bytes(&wanted->data));
}

static void take(struct sent_id *s, struct message_id id) {
    if (!message_id_is_none(s->id))
        return;
    s->id = id;
    if (s->is_waiting)
        call_soon(s, 0);
}

static void on_message(struct sent_id *s, struct bytes payload) {
    struct message m;
    if (message_decode(payload, &m) != PARSE_OK)
        return;
    if (is_like_ours(s, &m)) {
        if (s->ts_ms == m.ts_ms) {
            take(s, m.id);
        } else if (s->ts_ms == 0 && s->seen_count < SEEN_MAX) {
            s->seen[s->seen_count].ts_ms = m.ts_ms;
            s->seen[s->seen_count++].id = m.id;
        }
    }
    message_free(&m);
}

/* --- the channel --- */

/* A user that may only publish (redis-acl) is refused; the message goes out all the same. */
static void refused(struct sent_id *s) {
    if (s->is_listening)
        return;
    s->is_listening = s->is_deaf = true;
    call_soon(s, 0);
}

static void on_push(void *ctx, struct redisReply *reply) {
    struct sent_id *s = ctx;
    struct bytes kind = reply_bytes(reply_at(reply, 0));
    if (bytes_equal_str(kind, "message")) {
        on_message(s, reply_bytes(reply_at(reply, 2)));
    } else if (bytes_equal_str(kind, "subscribe") && !s->is_listening) {
        s->is_listening = true;
        call_soon(s, 0);
    } else if (reply_is_error(reply, NULL)) {
        refused(s);
    }
}

/* It comes back by itself; a message in between is not seen, and its id stays unknown. */
static void on_down(void *ctx, const char *why) {
    (void)why;
    refused(ctx);
}

static void on_ready(void *ctx) {
    struct sent_id *s = ctx;
    struct command c = command_begin("SUBSCRIBE");
    command_bytes(&c, buf_bytes(&s->channel));
    link_send(s->link, &c, NULL, NULL);
}

struct sent_id *sent_id_listen(struct tool *t, const char *name, struct bytes text,
                               const struct sent_id_events *events, void *ctx) {
    static const struct link_events link_events = {on_ready, on_down, on_push};
    struct sent_id *s = mem_zalloc(sizeof(*s));
    struct buf error = {0};
    s->events = events;
    s->ctx = ctx;
    MUST(public_message_read(&s->wanted, text, PUBLIC_OP_SEND, SIZE_MAX, &error) == PUBLIC_FINE);
    channel_of(&s->channel, partition_of(bytes_str(name), bus_partitions(t->bus)),
               "n:", bytes_str(name));
    MUST(uv_timer_init(&t->loop, &s->timer) == 0);
    call_soon(s, LISTEN_MS);
    s->link = link_new(&t->loop, bus_url(t->bus), LINK_FEED, "sent", &link_events, s);
    return s;
}

void sent_id_entry(struct sent_id *s, struct bytes entry) {
    struct message_id id;
    if (!message_id_parse(entry, &id))
        return;
    s->ts_ms = id.term;
    for (size_t i = 0; i < s->seen_count; i++)
        if (s->seen[i].ts_ms == s->ts_ms)
            take(s, s->seen[i].id);
}

void sent_id_wait(struct sent_id *s, uint64_t within_ms) {
    s->is_waiting = true;
    call_soon(s, message_id_is_none(s->id) && !s->is_deaf ? within_ms : 0);
}
