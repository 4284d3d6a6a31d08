/* upgrade.c - see upgrade.h. */
#include "gateway/routes/upgrade.h"

#include <time.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/utf8.h"
#include "common/bus/bus.h"
#include "common/send/address.h"
#include "gateway/codec/ws_handshake.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/endpoints.h"
#include "gateway/conn/http.h"
#include "gateway/conn/request.h"
#include "gateway/conn/ws.h"
#include "gateway/routes/join.h"
#include "gateway/routes/origin.h"
#include "gateway/routes/routes.h"
#include "gateway/session/client.h"
#include "gateway/session/wire.h"

/* ---- the handshake */

static bool is_from_allowed_page(const struct request *r) {
    struct origin_request asked = {.head = &r->head, .host = r->host, .is_secure = r->is_secure};
    return origin_is_allowed(&asked, routes_registrations(r->routes), r->routes->endpoints);
}

static bool is_refused(struct request *r) {
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

static bool is_text(struct bytes b) {
    for (size_t i = 0; i < b.len; i++)
        if (((unsigned char)b.ptr[i] < 0x20 && b.ptr[i] != '\t') || b.ptr[i] == 0x7f)
            return false;
    return true;
}

#define TOO_LONG(key) "convert: name, group and client_id must be short: " key ": " ADDRESS_TOO_LONG

static const char *too_long(const struct upgrade_options *o) {
    if (o->name.len > ADDRESS_BYTES_MAX)
        return TOO_LONG("name");
    if (o->group.len > ADDRESS_BYTES_MAX)
        return TOO_LONG("group");
    return o->client_id.len > ADDRESS_BYTES_MAX ? TOO_LONG("clientId") : NULL;
}

static struct upgrade_error names_error(const struct upgrade_options *o) {
    if (o->name.len == 0)
        return (struct upgrade_error){500, "convert: name is missing"};
    if (!utf8_is_valid(o->name) || !utf8_is_valid(o->group) || !utf8_is_valid(o->client_id))
        return (struct upgrade_error){400, "convert: name, group and client_id must be UTF-8"};
    if (!is_text(o->name) || !is_text(o->group) || !is_text(o->client_id))
        return (struct upgrade_error){
            400, "convert: name, group and client_id must not hold control characters"};
    const char *fault = too_long(o);
    return (struct upgrade_error){fault != NULL ? 400 : 0, fault};
}

/* Appends the client id that the connection will have. */
static struct upgrade_error decide_id(const struct request *r, const struct upgrade_options *o,
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

/* Appends the encoded session of an upgrade request: path, URL, headers. */
static void encode_session(struct buf *out, const struct request *r) {
    struct session_header headers[HTTP_HEAD_HEADERS_MAX];
    struct buf url = {0};
    const char *protocol = r->is_secure ? "wss" : "ws";
    for (size_t i = 0; i < r->head.header_count; i++)
        headers[i] = (struct session_header){r->head.headers[i].name, r->head.headers[i].value};
    buf_printf(&url, "%s://%.*s%.*s", protocol, BYTES_FMT(r->host), BYTES_FMT(r->head.path));
    if (r->head.query.ptr != NULL)
        buf_printf(&url, "?%.*s", BYTES_FMT(r->head.query));
    struct session session = {
        .path = bytes_str(r->path),
        .url = buf_bytes(&url),
        .protocol = bytes_str(protocol),
        .address = r->host,
        .endpoint = bytes_str(r->endpoint->name),
        .remote_address = bytes_str(r->remote_address),
        .headers = headers,
        .header_count = r->head.header_count,
    };
    session_encode(out, &session);
    buf_deinit(&url);
}

static struct client *identify(const struct request *r, const struct upgrade_options *o,
                               struct bytes id) {
    struct routes *routes = r->routes;
    struct buf value = {0}, session = {0};
    struct identity who = {
        .name = o->name,
        .group = bytes_trim(o->group).len > 0 ? o->group : BYTES_NONE,
        .client_id = id,
        .number = ++routes->last_number,
        .connected_ms = clock_wall_ms(),
        .is_local = o->scope == SCOPE_LOCAL,
        .is_v1 = ws_handshake_offers(&r->head, WIRE_V1_SUBPROTOCOL),
    };
    if (!who.is_local) {
        struct conn_value v = {.gateway = bytes_str(bus_id(routes->bus)),
                               .number = who.number,
                               .connected_ms = who.connected_ms,
                               .group = who.group};
        conn_value_encode(&value, &v);
        encode_session(&session, r);
        who.value = buf_bytes(&value);
        who.session = buf_bytes(&session);
    }
    struct client *made = client_new(routes->client_host, &who);
    buf_deinit(&value);
    buf_deinit(&session);
    return made;
}

/* ---- resume */

static void read_resume(const struct request *r, struct join_options *join) {
    struct bytes rest = r->head.query;
    while (rest.ptr != NULL) {
        struct bytes value = bytes_split(&rest, '&');
        struct bytes key = bytes_split(&value, '=');
        if (!bytes_equal_str(key, "signalbox-resume"))
            continue;
        join->wants_resume = true;
        join->has_resume = message_id_parse(value, &join->resume);
    }
}

/* ---- the 101 */

static struct bytes accept_of(struct bytes key, char text_out[29]) {
    struct buf salted = {0};
    buf_append(&salted, key);
    buf_append_str(&salted, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    digest_sha1_base64(buf_bytes(&salted), text_out);
    buf_deinit(&salted);
    return bytes_str(text_out);
}

/* Sends the 101 and changes to WebSocket. */
static void carry_by_websocket(struct request *r, struct client *client) {
    struct conn *c = r->conn;
    const struct identity *who = &client->who;
    struct buf head = {0};
    char accept[29];
    struct ws_reply_fields fields = {
        .client_id = who->client_id,
        .name = who->name,
        .group = who->group,
        .now = time(NULL),
        .subprotocol = who->is_v1 ? BYTES_LIT(WIRE_V1_SUBPROTOCOL) : BYTES_NONE,
        .extra = buf_bytes(&r->extra),
    };
    MUST(ws_handshake_reply(&head, accept_of(http_head_find(&r->head, "Sec-WebSocket-Key"), accept),
                            &fields));
    request_set_state(r, REQUEST_CONVERTED);
    request_set_signal(r, who->name, who->group, who->client_id, who->is_local);
    struct buf rest = http_leave(c);
    conn_send_bytes(c, buf_bytes(&head));
    buf_deinit(&head);
    struct ws_options options = {.settings = client->host->settings,
                                 .events = &client_transport_events,
                                 .client = client,
                                 .client_id = who->client_id,
                                 .name = who->name,
                                 .rest = &rest};
    client_carry(client, &ws_transport, ws_open(c, &options), c);
    if (r->on_converted == NULL)
        return; /* no route waits for what becomes of it */
    r->client = client;
    client->request = r;
}

enum upgrade_outcome upgrade(struct request *r, const struct upgrade_options *options,
                             struct upgrade_error *error_out) {
    struct join_options join = {.carry = carry_by_websocket};
    struct buf id = {0};
    if (is_refused(r))
        return UPGRADE_REFUSED;
    *error_out = names_error(options);
    if (error_out->text == NULL)
        *error_out = decide_id(r, options, &id);
    if (error_out->text != NULL) {
        buf_deinit(&id);
        return UPGRADE_INVALID;
    }
    request_set_state(r, REQUEST_CONVERTING);
    join.client = identify(r, options, buf_bytes(&id));
    buf_deinit(&id);
    if (options->scope == SCOPE_LOCAL) {
        carry_by_websocket(r, join.client);
        client_send_hello(join.client, MESSAGE_ID_NONE, WIRE_NOT_ASKED);
        client_unref(join.client);
        return UPGRADE_OPEN;
    }
    if (join.client->who.is_v1)
        read_resume(r, &join);
    if (!bus_can_send(r->routes->bus)) {
        client_unref(join.client);
        request_refuse(r, 503, "Redis is not reached");
        return UPGRADE_REFUSED;
    }
    join_start(r, &join);
    return UPGRADE_WAITING;
}
