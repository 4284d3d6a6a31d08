/* event_stream.c - see event_stream.h. */
#include "gateway/routes/event_stream.h"

#include <time.h>

#include "common/http/http_accept.h"
#include "common/http/http_reply.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/codec/ws_handshake.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/http.h"
#include "gateway/conn/request.h"
#include "gateway/conn/sse.h"
#include "gateway/routes/cors.h"
#include "gateway/routes/reference.h"
#include "gateway/session/client.h"
#include "gateway/session/memberships.h"

bool event_stream_is_asked(const struct request *r) {
    return request_wants_events(r) ||
           (request_is_head(r) && http_accepts(&r->head, SSE_MEDIA_TYPE) &&
            !ws_handshake_is_request(&r->head));
}

/* ---- what it has to be */

/* A page can make a request that bears no Origin, and never sees the answer; with the cookies of
 * its visitor that would still take over his connection. Browsers say where it comes from. */
static bool is_hidden(const struct request *r) {
    struct bytes site = http_head_find(&r->head, "Sec-Fetch-Site");
    return http_head_count(&r->head, "Origin") == 0 &&
           (bytes_equal_str(site, "cross-site") || bytes_equal_str(site, "same-site"));
}

/* Instead of what the app's route may have said of them. */
static void add_common(struct request *r) {
    static const char *const ours[] = {"Content-Type", "Cache-Control", "X-Accel-Buffering"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        http_reply_drop(&r->extra, bytes_str(ours[i]));
    MUST(request_header(r, BYTES_LIT("Cache-Control"), BYTES_LIT(SSE_CACHE_CONTROL)));
    MUST(request_header(r, BYTES_LIT("X-Accel-Buffering"), BYTES_LIT("no")));
}

/* What a GET would be answered with, as far as that does not take a connection. */
static void answer_head(struct request *r) {
    add_common(r);
    request_reply_head(r, 200, BYTES_LIT(SSE_MEDIA_TYPE), HTTP_NO_LENGTH);
}

bool event_stream_is_refused(struct request *r) {
    const struct refusal *one_too_many;
    struct bytes id;
    bool is_admitted = cors_admit(r) && !is_hidden(r);
    enum sse_resume resume = sse_resume(&r->head, &id);
    if (!is_admitted)
        request_refuse(r, 403, "this origin is not allowed");
    else if (resume == SSE_RESUME_BAD)
        request_refuse(r, 400, "Last-Event-ID came twice");
    else if (resume == SSE_RESUME_END)
        request_reply(r, 204, BYTES_NONE, BYTES_NONE); /* EventSource stops coming back */
    else if (request_is_head(r))
        answer_head(r);
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

/* ---- what its query and head say */

enum wire event_stream_wire(const struct request *r) {
    return wire_of_sse(r->head.minor_version > 0, request_wants_v1_events(r));
}

/* ---- the 200 */

/* What the connection is called holds no control bytes (upgrade.c). */
static void append_head(struct buf *out, struct request *r, const struct client *client) {
    const struct identity *who = &client->who;
    struct buf groups = {0};
    char date[HTTP_DATE_SIZE];
    reference_write_groups(&groups, client_groups(client));
    http_date(time(NULL), date);
    add_common(r);
    http_reply_begin(out, r->head.minor_version, 200);
    MUST(http_reply_header(out, BYTES_LIT("Content-Type"), BYTES_LIT(SSE_MEDIA_TYPE)));
    MUST(http_reply_header(out, BYTES_LIT("X-PODE-SIGNAL-CLIENT-ID"), who->client_id));
    MUST(http_reply_header(out, BYTES_LIT("X-PODE-SIGNAL-NAME"), who->name));
    if (groups.len > 0)
        MUST(http_reply_header(out, BYTES_LIT("X-PODE-SIGNAL-GROUP"), buf_bytes(&groups)));
    buf_deinit(&groups);
    MUST(http_reply_header(out, BYTES_LIT("Date"), bytes_str(date)));
    MUST(http_reply_header(out, BYTES_LIT("Server"), BYTES_LIT("Signalbox")));
    buf_append(out, buf_bytes(&r->extra));
    buf_append(out, buf_bytes(&r->cors));
    if (wire_is_chunked(client->wire))
        MUST(http_reply_header(out, BYTES_LIT("Transfer-Encoding"), BYTES_LIT("chunked")));
    http_reply_end(out, HTTP_NO_LENGTH, false, BYTES_NONE);
}

/* Requests that came behind this one have no answer: there is no end to the one before. */
struct sse *event_stream_open(struct request *r, struct client *client) {
    struct conn *c = r->conn;
    struct buf head = {0};
    append_head(&head, r, client);
    struct buf rest = http_leave(c);
    buf_deinit(&rest);
    conn_send_bytes(c, buf_bytes(&head));
    buf_deinit(&head);
    struct sse_options options = {.settings = client->host->settings,
                                  .events = &client_transport_events,
                                  .client = client,
                                  .client_id = client->who.client_id,
                                  .name = client->who.name,
                                  .is_chunked = wire_is_chunked(client->wire),
                                  .is_v1 = wire_is_v1(client->wire)};
    return sse_open(c, &options);
}
