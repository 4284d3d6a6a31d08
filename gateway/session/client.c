/* client.c - see client.h. Read leave, which ends what a Signal connection is. */
#include "gateway/session/client.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/bus/log/follower.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/request.h"
#include "gateway/conn/v1.h"
#include "gateway/session/clients.h"
#include "gateway/session/memberships.h"
#include "gateway/session/message_frames.h"

static struct bytes copy_to(char **at, struct bytes from) {
    struct bytes copy = bytes_of(*at, from.len);
    if (from.len > 0)
        memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return copy;
}

struct client *client_new(const struct client_host *host, const struct identity *who,
                          enum wire wire) {
    size_t len =
        who->name.len + who->group.len + who->client_id.len + who->value.len + who->session.len;
    struct client *c = mem_zalloc(sizeof(*c) + len);
    char *at = (char *)(c + 1);
    c->host = host;
    c->refs = 1;
    c->wire = wire;
    c->who = *who;
    c->who.name = copy_to(&at, who->name);
    c->who.group = copy_to(&at, who->group);
    c->who.client_id = copy_to(&at, who->client_id);
    c->who.value = copy_to(&at, who->value);
    c->who.session = copy_to(&at, who->session);
    return c;
}

void client_set_groups(struct client *c, struct bytes_list groups) {
    free(c->memberships);
    c->memberships = NULL;
    bool is_one = groups.count == 1 && bytes_equal(groups.items[0], c->who.group);
    if (!is_one && (groups.count > 0 || c->who.group.len > 0))
        c->memberships = memberships_new(c, groups, MESSAGE_ID_NONE);
}

struct client *client_ref(struct client *c) {
    c->refs++;
    return c;
}

void client_unref(struct client *c) {
    if (c == NULL || --c->refs > 0)
        return;
    free(c->memberships);
    free(c->cause);
    free(c);
}

void client_carry(struct client *c, const struct transport *transport, void *carrier,
                  struct conn *conn) {
    client_ref(c);
    c->transport = transport;
    c->carrier = carrier;
    c->conn = conn;
}

void client_register(struct client *c, bool is_restore, registry_registered_fn *fn, void *ctx) {
    struct buf details = {0};
    client_details(c, &details);
    struct registration what = {.name = c->who.name,
                                .client_id = c->who.client_id,
                                .value = c->who.value,
                                .is_restore = is_restore,
                                .details = buf_bytes(&details)};
    c->is_registered = true;
    registry_register(c->host->registry, &what, fn, ctx);
    buf_deinit(&details);
}

void client_forget_registration(struct client *c) {
    c->is_registered = false;
}

/* ---- out */

enum conn_sent client_send_frame(struct client *c, struct frame f, bool is_initial) {
    if (c->transport->send != NULL)
        return c->transport->send(c->carrier, f, is_initial);
    if (!is_initial)
        return conn_send_message(c->conn, f);
    conn_send_initial(c->conn, f);
    return CONN_QUEUED;
}

static void send_frame(struct client *c, struct frame f) {
    if (client_send_frame(c, f, false) == CONN_OVER)
        client_close(c, CLOSE_SLOW);
    frame_unref(f);
}

void client_send_hello(struct client *c, const struct hello *of_this_join) {
    if (!wire_has_hello(c->wire))
        return;
    struct hello hello = *of_this_join;
    hello.who = &c->who;
    hello.groups = client_groups(c);
    hello.data = client_data(c);
    hello.settings = c->host->settings;
    send_frame(c, message_frames_hello(c->host->frames, c->wire, &hello));
}

void client_send_live(struct client *c) {
    if (!wire_is_v1(c->wire))
        return;
    struct frame f = message_frames_text(c->host->frames, c->wire, "live", BYTES_LIT(V1_LIVE));
    (void)client_send_frame(c, f, true);
    frame_unref(f);
}

/* A client that does not read needs no sign of life. */
static void send_pong(struct client *c) {
    if (c->conn->out.bytes >= PONG_QUEUE_MAX)
        return;
    struct frame f = message_frames_text(c->host->frames, c->wire, NULL, BYTES_LIT(V1_PONG));
    if (c->transport->send != NULL)
        (void)client_send_frame(c, f, true);
    else
        conn_send_bytes(c->conn, frame_bytes(f));
    frame_unref(f);
}

void client_send(struct client *c, unsigned flags, struct bytes data) {
    struct message m = {.kind = MESSAGE_DATA, .flags = flags, .data = data};
    enum wire wire = c->entry != NULL ? name_entry_wire(c->entry, c) : c->wire;
    send_frame(c, message_frames_make(c->host->frames, &m, c->who.name, wire));
}

void client_close_with(struct client *c, int code, struct bytes reason) {
    struct transport_end end = {.code = code, .reason = reason, .is_for_good = true};
    c->transport->close(c->carrier, &end);
}

void client_close(struct client *c, enum close_reason reason) {
    struct transport_end end = transport_end_for(reason);
    if (reason == CLOSE_SLOW)
        c->transport->close_slow(c->carrier);
    else
        c->transport->close(c->carrier, &end);
}

void client_on_bye(struct client *c) {
    c->transport->on_bye(c->carrier);
}

void client_hold(struct client *c, enum hold why) {
    c->transport->hold(c->carrier, why);
}

void client_release(struct client *c, enum hold why) {
    c->transport->release(c->carrier, why);
}

/* ---- from the transport */

static bool on_message(void *ctx, bool is_binary, struct bytes body) {
    struct client *c = ctx;
    if (wire_is_v1(c->wire) && v1_is_ping(body)) {
        send_pong(c);
        return true;
    }
    if (c->entry == NULL)
        return false;
    struct said said = {.is_binary = is_binary, .body = body, .session = c->who.session};
    c->host->events->on_message(c->host->ctx, c, &said);
    return true;
}

static bool ask_for_bye(void *ctx) {
    struct client *c = ctx;
    return c->entry != NULL && c->host->events->ask_for_bye(c->host->ctx, c);
}

static void on_ending(void *ctx, enum ended_by by, int code, struct bytes reason) {
    static const char *const words[] = {
        [ENDED_BY_CLIENT] = "client", [ENDED_BY_SERVER] = "server", [ENDED_LOST] = "lost"};
    struct client *c = ctx;
    struct buf cause = {0};
    if (c->cause != NULL)
        return;
    buf_printf(&cause, "%s:%d:", words[by], code);
    buf_append(&cause, reason);
    c->cause = buf_take(&cause);
}

static void leave(void *ctx) {
    struct client *c = ctx;
    if (c->has_left)
        return;
    c->has_left = true;
    clients_detach(c);
    c->host->events->on_left(c->host->ctx, c);
    if (!c->is_registered)
        return;
    c->is_registered = false;
    registry_unregister(c->host->registry, c->who.name, c->who.client_id, c->who.value,
                        bytes_str(c->cause));
}

/* What was before its registration is not for it, wherever the log stands. */
bool client_position(const struct client *c, uint64_t since_ms, struct message_id *id_out) {
    *id_out = MESSAGE_ID_NONE;
    if (c->entry == NULL)
        return true;
    bool is_known = follow_settled(c->entry->follow, since_ms, id_out);
    if (message_id_compare(*id_out, c->skip_until) < 0)
        *id_out = c->skip_until;
    return is_known;
}

static void position(void *ctx, uint64_t since_ms, struct buf *out) {
    char text[MESSAGE_ID_TEXT];
    struct message_id id;
    if (client_position(ctx, since_ms, &id))
        buf_append_str(out, message_id_format(id, text));
}

void client_lose(struct client *c) {
    on_ending(c, ENDED_LOST, close_reason_code(CLOSE_LOST), BYTES_NONE);
    leave(c);
}

static void on_gone(void *ctx) {
    struct client *c = ctx;
    client_lose(c);
    log_debug("client", "closed id=%s cause=%s", LOG_TEXT(c->who.client_id),
              LOG_TEXT(bytes_str(c->cause)));
    if (c->request != NULL) {
        c->request->client = NULL;
        c->request->has_left = c->who.is_local; /* the route's end reports its Disconnect */
    }
    client_unref(c);
}

const struct transport_events client_transport_events = {.on_message = on_message,
                                                         .ask_for_bye = ask_for_bye,
                                                         .on_ending = on_ending,
                                                         .on_leaving = leave,
                                                         .position = position,
                                                         .on_gone = on_gone};
