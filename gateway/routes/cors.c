/* cors.c - see cors.h. */
#include "gateway/routes/cors.h"

#include <string.h>

#include "common/http/http_origin.h"
#include "common/http/http_reply.h"
#include "gateway/conn/request.h"
#include "gateway/routes/origin.h"
#include "gateway/routes/routes.h"

/* Browsers keep an answer no longer than this, whatever a server says. */
#define MAX_AGE_SECONDS "7200"

#define EXPOSED "X-PODE-SIGNAL-CLIENT-ID, X-PODE-SIGNAL-NAME, X-PODE-SIGNAL-GROUP, Retry-After"
#define ALLOWED                                                                                    \
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-PODE-SIGNAL-CLIENT-ID, "       \
    "X-PODE-SIGNAL-NAME, X-PODE-SIGNAL-GROUP"

/* A page cannot read an answer that says one of these twice: the app's own goes. */
static void add(struct request *r, const char *name, struct bytes value) {
    if (strcmp(name, "Vary") != 0)
        http_reply_drop(&r->extra, bytes_str(name));
    MUST(http_reply_header(&r->cors, bytes_str(name), value));
}

bool cors_admit(struct request *r) {
    struct origin_request asked = {.head = &r->head, .host = r->host, .is_secure = r->is_secure};
    enum origin_verdict verdict =
        origin_judge(&asked, routes_registrations(r->routes), r->routes->endpoints);
    struct bytes field = http_head_find(&r->head, "Origin");
    struct http_origin origin;
    buf_clear(&r->cors);
    add(r, "Vary", BYTES_LIT("Origin"));
    if (verdict == ORIGIN_REFUSED)
        return false;
    /* "null" is sent by pages that nobody can tell apart. */
    if (verdict == ORIGIN_NONE || http_origin_parse(field, &origin) != NULL)
        return true;
    add(r, "Access-Control-Allow-Origin", field);
    add(r, "Access-Control-Expose-Headers", BYTES_LIT(EXPOSED));
    if (verdict == ORIGIN_ALLOWED) /* no cookies for the pages of everybody */
        add(r, "Access-Control-Allow-Credentials", BYTES_LIT("true"));
    return true;
}

bool cors_is_preflight(const struct request *r) {
    struct bytes method = http_head_find(&r->head, "Access-Control-Request-Method");
    return bytes_equal_str(r->head.method, "OPTIONS") && http_head_count(&r->head, "Origin") > 0 &&
           (bytes_equal_str(method, "GET") || bytes_equal_str(method, "POST"));
}

void cors_answer_preflight(struct request *r) {
    if (!cors_admit(r)) {
        request_refuse(r, 403, "this origin is not allowed");
        return;
    }
    add(r, "Access-Control-Allow-Methods", BYTES_LIT("GET, POST"));
    add(r, "Access-Control-Allow-Headers", BYTES_LIT(ALLOWED));
    add(r, "Access-Control-Max-Age", BYTES_LIT(MAX_AGE_SECONDS));
    if (bytes_equal_nocase(http_head_find(&r->head, "Access-Control-Request-Private-Network"),
                           BYTES_LIT("true")))
        add(r, "Access-Control-Allow-Private-Network", BYTES_LIT("true"));
    request_reply(r, 204, BYTES_NONE, BYTES_NONE);
}
