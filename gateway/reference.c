/* reference.c - see reference.h. */
#include "gateway/reference.h"

#include "common/app/app.h"
#include "common/bus/registry.h"
#include "gateway/dispatch.h"
#include "gateway/gateway.h"
#include "gateway/request.h"

static struct bytes field(const struct request *r, const char *name) {
    return bytes_trim(http_head_find(&r->head, name));
}

static struct bytes wanted_id(const struct request *r) {
    return field(r, "X-PODE-SIGNAL-CLIENT-ID");
}

bool reference_is_there(const struct request *r) {
    const struct http_head *head = &r->head;
    for (size_t i = 0; i < head->header_count; i++)
        if (bytes_equal_nocase(head->headers[i].name, BYTES_LIT("X-PODE-SIGNAL-CLIENT-ID")) &&
            head->headers[i].value.len > 0)
            return true;
    return false;
}

static bool list_has(struct bytes list, struct bytes group, bool *is_asked_out) {
    while (list.ptr != NULL) {
        struct bytes one = bytes_trim(bytes_split(&list, ','));
        *is_asked_out = *is_asked_out || one.len > 0;
        if (one.len > 0 && bytes_equal_nocase(one, group))
            return true;
    }
    return false;
}

/* Comma lists, any of which may be the connection's group; none given: any will do. */
static bool group_fits(const struct request *r, struct bytes group) {
    const struct http_head *head = &r->head;
    bool is_asked = false;
    for (size_t i = 0; i < head->header_count; i++)
        if (bytes_equal_nocase(head->headers[i].name, BYTES_LIT("X-PODE-SIGNAL-GROUP")) &&
            list_has(head->headers[i].value, group, &is_asked))
            return true;
    return !is_asked;
}

/* Two of them would be two connections, of which only the first was looked at. */
static bool is_ambiguous(const struct request *r) {
    return http_head_count(&r->head, "X-PODE-SIGNAL-CLIENT-ID") > 1 ||
           http_head_count(&r->head, "X-PODE-SIGNAL-NAME") > 1;
}

static bool signature_holds(const struct request *r) {
    const struct signing *signing = &app_registrations(r->gateway->app)->signing;
    struct signing_context who = {.user_agent = http_head_find(&r->head, "User-Agent"),
                                  .remote_address = bytes_str(r->remote_address)};
    return !signing->is_on || signing_verify(signing, &who, wanted_id(r));
}

static void judge(struct request *r, int status, const struct registry_row *rows, size_t count) {
    struct conn_value value;
    bool is_id_alone = field(r, "X-PODE-SIGNAL-NAME").len == 0;
    if (status < 0)
        request_refuse(r, 503, "the registry cannot be reached");
    else if (is_id_alone && count != 1)
        request_refuse(r, 400,
                       "X-PODE-SIGNAL-CLIENT-ID alone must be the id of exactly one "
                       "connection; give X-PODE-SIGNAL-NAME too");
    else if (count == 0 || !conn_value_parse(rows[0].value, &value) || !group_fits(r, value.group))
        request_refuse(r, 404, "no such signal connection");
    else if (!signature_holds(r))
        request_refuse(r, 400, "the X-PODE-SIGNAL-CLIENT-ID value is not valid");
    else
        request_set_signal(r, rows[0].name, value.group, rows[0].client_id, false);
}

static void on_rows(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct request *r = ctx;
    if (r->conn != NULL) {
        judge(r, status, rows, count);
        if (!r->is_answered)
            dispatch_route(r);
    }
    request_worked(r);
}

void reference_look_up(struct request *r) {
    struct bytes name = field(r, "X-PODE-SIGNAL-NAME");
    if (is_ambiguous(r)) {
        request_refuse(r, 400, "X-PODE-SIGNAL-CLIENT-ID or X-PODE-SIGNAL-NAME came twice");
        return;
    }
    request_work(r);
    if (name.len > 0)
        registry_find(r->gateway->registry, name, wanted_id(r), on_rows, r);
    else
        registry_find_id(r->gateway->registry, wanted_id(r), on_rows, r);
}
