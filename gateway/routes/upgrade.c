/* upgrade.c - see upgrade.h. */
#include "gateway/routes/upgrade.h"

#include <time.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/fold.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/settings.h"
#include "common/base/utf8.h"
#include "common/bus/bus.h"
#include "common/send/address.h"
#include "gateway/codec/ws_handshake.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/http.h"
#include "gateway/conn/request.h"
#include "gateway/conn/sse.h"
#include "gateway/conn/ws.h"
#include "gateway/routes/event_stream.h"
#include "gateway/routes/join.h"
#include "gateway/routes/origin.h"
#include "gateway/routes/reference.h"
#include "gateway/routes/request_session.h"
#include "gateway/routes/resume.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"
#include "gateway/session/memberships.h"
#include "gateway/session/wire.h"

/* ---- the handshake */

static bool is_from_allowed_page(const struct request *r) {
    struct origin_request asked = {.head = &r->head, .host = r->host, .is_secure = r->is_secure};
    return origin_is_allowed(&asked, routes_registrations(r->routes), r->routes->endpoints);
}

bool upgrade_is_refused(struct request *r) {
    const struct refusal *one_too_many;
    struct bytes key;
    const char *reason;
    int status = ws_handshake_check(&r->head, &key, &reason);
    if (status != 0)
        request_refuse(r, status, reason);
    else if (!r->endpoint->is_ws)
        request_refuse(r, 426, "this endpoint does not speak WebSocket");
    else if (!is_from_allowed_page(r))
        request_refuse(r, 403, "this origin is not allowed");
    else if (r->conn->set->is_draining)
        request_refuse(r, 503, "the gateway is shutting down");
    else if (!stream_is_open(&r->conn->stream))
        request_refuse(r, 400, "the client has ended the connection");
    else if ((one_too_many = conn_count(r->conn, PEER_WEBSOCKETS)) != NULL)
        request_refuse(r, one_too_many->status, one_too_many->text);
    else
        return false;
    return true;
}

/* ---- identity */

static const char *text_fault(struct bytes b) {
    if (!utf8_is_valid(b))
        return "convert: name, group and client_id must be UTF-8";
    for (size_t i = 0; i < b.len; i++)
        if (((unsigned char)b.ptr[i] < 0x20 && b.ptr[i] != '\t') || b.ptr[i] == 0x7f)
            return "convert: name, group and client_id must not hold control characters";
    return NULL;
}

#define TOO_LONG(key) "convert: name, group and client_id must be short: " key ": " ADDRESS_TOO_LONG

static const char *too_long(const struct upgrade_options *o) {
    if (o->name.len > ADDRESS_BYTES_MAX)
        return TOO_LONG("name");
    return o->client_id.len > ADDRESS_BYTES_MAX ? TOO_LONG("clientId") : NULL;
}

static struct upgrade_error names_error(const struct upgrade_options *o,
                                        struct upgrade_groups *groups_out) {
    if (o->name.len == 0)
        return (struct upgrade_error){500, "convert: name is missing"};
    const char *fault = text_fault(o->name);
    if (fault == NULL)
        fault = text_fault(o->client_id);
    if (fault == NULL)
        fault = upgrade_groups(o, groups_out);
    if (fault == NULL)
        fault = too_long(o);
    return (struct upgrade_error){fault != NULL ? 400 : 0, fault};
}

/* Appends the client id that the connection will have. */
struct upgrade_error upgrade_decide_id(const struct request *r, const struct upgrade_options *o,
                                       struct buf *id) {
    const struct signing *signing = &routes_registrations(r->routes)->signing;
    struct signing_context who = {.user_agent = http_head_find(&r->head, "User-Agent"),
                                  .remote_address = bytes_str(r->remote_address)};
    char uuid[37];
    random_uuid(uuid);
    struct bytes raw = o->client_id.len > 0 ? o->client_id : bytes_str(uuid);
    bool is_kept = o->is_automatic || signing_is_signed(raw) || !signing->is_on;
    if (!o->is_automatic && signing_is_signed(raw) && !signing_verify(signing, &who, raw))
        return (struct upgrade_error){400, "convert: the client_id's signature is not valid"};
    if (!is_kept && signing->secret == NULL)
        return (struct upgrade_error){
            503, "convert: the server secret is not known yet: Redis is not reached"};
    if (is_kept)
        buf_append(id, raw);
    else
        signing_sign(signing, &who, raw, id);
    if (id->len > ADDRESS_BYTES_MAX)
        return (struct upgrade_error){400,
                                      "convert: clientId: " ADDRESS_TOO_LONG " with its signature"};
    return (struct upgrade_error){0, NULL};
}

const char *upgrade_groups(const struct upgrade_options *o, struct upgrade_groups *groups_out) {
    size_t bytes = 0;
    groups_out->count = 0;
    for (size_t i = 0; i < o->groups.count; i++) {
        struct bytes group = o->groups.items[i];
        struct bytes_list before = {groups_out->items, groups_out->count};
        const char *fault = text_fault(group);
        if (fault != NULL)
            return fault;
        if (group.len > ADDRESS_BYTES_MAX)
            return TOO_LONG("group");
        if (bytes_trim(group).len == 0 || fold_list_has(before, group))
            continue;
        bytes += group.len;
        if (before.count == CONN_GROUPS_MAX || bytes > CONN_GROUPS_BYTES_MAX)
            return "convert: group: a connection has at most 100 groups, of 8192 bytes together";
        groups_out->items[groups_out->count++] = group;
    }
    return NULL;
}

/* The window of the compression that is agreed on, as r->extensions then says; 0: none. A client
 * whose own compression, or that of something on the way, is broken can do without it. */
static int window_bits_of(struct request *r, const struct upgrade_options *o) {
    struct buf name = {0};
    if (r->routes->settings->compress_min_bytes == 0 || o->is_uncompressed ||
        bytes_equal_str(request_query(r, "signalbox-deflate"), "0"))
        return 0;
    buf_append(&name, o->name);
    buf_append_char(&name, '\0');
    bool is_uncompressed =
        registrations_name_options(routes_registrations(r->routes), name.ptr)->is_uncompressed;
    buf_deinit(&name);
    if (is_uncompressed)
        return 0;
    struct ws_deflate agreed = ws_handshake_deflate(&r->head);
    buf_clear(&r->extensions);
    buf_append_str(&r->extensions, agreed.answer);
    return agreed.window_bits;
}

/* As a connection value has it. */
static struct bytes transport_of(enum wire wire) {
    if (wire == WIRE_CHANNEL)
        return BYTES_LIT("channel");
    return wire_is_sse(wire) ? BYTES_LIT("sse") : BYTES_NONE;
}

static struct client *identify(const struct request *r, const struct upgrade_options *o,
                               const struct upgrade_groups *groups, struct bytes id,
                               enum wire wire) {
    struct routes *routes = r->routes;
    struct buf value = {0}, session = {0};
    struct identity who = {
        .name = o->name,
        .group = groups->count > 0 ? groups->items[0] : BYTES_NONE,
        .client_id = id,
        .number = ++routes->last_number,
        .connected_ms = clock_wall_ms(),
        .is_local = o->scope == SCOPE_LOCAL,
    };
    if (!who.is_local) {
        struct conn_value v = {.gateway = bytes_str(bus_id(routes->bus)),
                               .number = who.number,
                               .connected_ms = who.connected_ms,
                               .transport = transport_of(wire),
                               .group = who.group};
        conn_value_encode(&value, &v);
        who.value = buf_bytes(&value);
    }
    if (!who.is_local || o->data.len > 0)
        request_session_encode(&session, r, o->data);
    who.session = buf_bytes(&session);
    struct client *made = client_new(routes->client_host, &who, wire);
    client_set_groups(made, (struct bytes_list){groups->items, groups->count});
    buf_deinit(&value);
    buf_deinit(&session);
    return made;
}

/* ---- the last messages */

/* A client asks for history only where the app gives any. What is no number is not a wish. */
static void read_last(const struct request *r, const struct upgrade_options *o,
                      struct join_options *join) {
    uint64_t wish = o->last;
    struct bytes text = request_query(r, "signalbox-last");
    if (text.ptr != NULL && !bytes_to_u64(text, &wish))
        wish = o->last;
    join->wants_last = o->last > 0 || text.ptr != NULL;
    join->last = wish < o->last ? (unsigned)wish : o->last;
}

/* ---- the answer */

static enum wire wire_of(struct request *r, const struct upgrade_options *o) {
    if (r->sink != NULL)
        return WIRE_CHANNEL;
    if (event_stream_is_asked(r))
        return event_stream_wire(r);
    return wire_of_ws(ws_handshake_offers(&r->head, WIRE_V1_SUBPROTOCOL), window_bits_of(r, o));
}

static void converted(struct request *r, const struct client *client) {
    const struct identity *who = &client->who;
    request_set_state(r, REQUEST_CONVERTED);
    request_set_signal(r, &(struct signal_fields){.name = who->name,
                                                  .groups = client_groups(client),
                                                  .client_id = who->client_id,
                                                  .data = client_data(client),
                                                  .is_local = who->is_local});
}

/* From now on the route that made the client, if one waits for it, knows it. */
static void attach_to_route(struct request *r, struct client *client) {
    if (r->on_converted == NULL)
        return;
    r->client = client;
    client->request = r;
}

static struct bytes accept_of(struct bytes key, char text_out[29]) {
    struct buf salted = {0};
    buf_append(&salted, key);
    buf_append_str(&salted, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    digest_sha1_base64(buf_bytes(&salted), text_out);
    buf_deinit(&salted);
    return bytes_str(text_out);
}

void upgrade_append_101(struct buf *out, const struct request *r, struct ws_reply_fields *fields) {
    char accept[29];
    fields->now = time(NULL);
    fields->extra = buf_bytes(&r->extra);
    MUST(ws_handshake_reply(out, accept_of(http_head_find(&r->head, "Sec-WebSocket-Key"), accept),
                            fields));
}

/* Sends the 101 and changes to WebSocket. */
static void carry_by_websocket(struct request *r, struct client *client) {
    struct conn *c = r->conn;
    const struct identity *who = &client->who;
    struct buf head = {0}, groups = {0};
    reference_write_groups(&groups, client_groups(client));
    struct ws_reply_fields fields = {
        .client_id = who->client_id,
        .name = who->name,
        .group = buf_bytes(&groups),
        .subprotocol = wire_is_v1(client->wire) ? BYTES_LIT(WIRE_V1_SUBPROTOCOL) : BYTES_NONE,
        .extensions = buf_bytes(&r->extensions),
    };
    upgrade_append_101(&head, r, &fields);
    buf_deinit(&groups);
    converted(r, client);
    struct buf rest = http_leave(c);
    conn_send_bytes(c, buf_bytes(&head));
    buf_deinit(&head);
    struct ws_options options = {.settings = client->host->settings,
                                 .events = &client_transport_events,
                                 .client = client,
                                 .client_id = who->client_id,
                                 .name = who->name,
                                 .deflates = wire_window_bits(client->wire) > 0,
                                 .is_v1 = wire_is_v1(client->wire),
                                 .rest = &rest};
    client_carry(client, &ws_transport, ws_open(c, &options), c);
    attach_to_route(r, client);
}

/* Sends the 200 and changes to events. */
static void carry_by_events(struct request *r, struct client *client) {
    struct conn *c = r->conn;
    converted(r, client);
    client_carry(client, &sse_transport, event_stream_open(r, client), c);
    attach_to_route(r, client);
}

/* The request's sink has a channel for it. */
static void carry_by_channel(struct request *r, struct client *client) {
    converted(r, client);
    r->sink->carry(r, client);
    attach_to_route(r, client);
}

static join_carry_fn *carry_of(enum wire wire) {
    if (wire == WIRE_CHANNEL)
        return carry_by_channel;
    return wire_is_sse(wire) ? carry_by_events : carry_by_websocket;
}

/* Its id, and what it missed: who comes back may bring both along. */
static struct upgrade_error decide_who(const struct request *r, const struct upgrade_options *o,
                                       enum wire wire, struct join_options *join, struct buf *id) {
    struct upgrade_error error = {0, NULL};
    struct resume resume = {0};
    if (o->scope == SCOPE_GLOBAL && wire_has_hello(wire))
        resume_read(&resume, r, o, wire_is_sse(wire));
    if (resume.client_id.len > 0)
        buf_append(id, resume.client_id);
    else
        error = upgrade_decide_id(r, o, id);
    join->wants_resume = resume.is_asked;
    join->has_resume = resume.has_position;
    join->resume = resume.position;
    resume_deinit(&resume);
    return error;
}

enum upgrade_outcome upgrade(struct request *r, const struct upgrade_options *options,
                             struct upgrade_error *error_out) {
    enum wire wire = wire_of(r, options);
    bool is_stream = wire_is_sse(wire);
    struct join_options join = {.carry = carry_of(wire)};
    struct upgrade_groups groups;
    struct buf id = {0};
    if (is_stream ? event_stream_is_refused(r) : upgrade_is_refused(r))
        return UPGRADE_REFUSED;
    *error_out = names_error(options, &groups);
    if (error_out->text == NULL)
        *error_out = decide_who(r, options, wire, &join, &id);
    if (error_out->text != NULL) {
        buf_deinit(&id);
        return UPGRADE_INVALID;
    }
    request_set_state(r, REQUEST_CONVERTING);
    join.client = identify(r, options, &groups, buf_bytes(&id), wire);
    buf_deinit(&id);
    if (options->scope == SCOPE_LOCAL) {
        join.carry(r, join.client);
        client_send_hello(join.client, &(struct hello){.recovered = WIRE_NOT_ASKED});
        client_unref(join.client);
        return UPGRADE_OPEN;
    }
    read_last(r, options, &join);
    if (!bus_can_send(r->routes->bus)) {
        client_unref(join.client);
        request_refuse(r, 503, "Redis is not reached");
        return UPGRADE_REFUSED;
    }
    join_start(r, &join);
    return UPGRADE_WAITING;
}
