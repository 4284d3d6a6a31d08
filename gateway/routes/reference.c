/* reference.c - see reference.h. */
#include "gateway/routes/reference.h"

#include <stdlib.h>

#include "common/base/fold.h"
#include "common/base/percent.h"
#include "common/base/utf8.h"
#include "common/bus/cluster/registry.h"
#include "common/send/address.h"
#include "gateway/conn/request.h"
#include "gateway/routes/routes.h"

#define CLIENT_ID SIGNAL_CLIENT_ID_FIELD
#define NAME      "X-PODE-SIGNAL-NAME"
#define GROUP     "X-PODE-SIGNAL-GROUP"

/* What the fields say: first as they stand, then, if no connection is found, decoded. */
struct reference {
    struct request *request;
    reference_fn *fn;
    void *ctx;
    bool is_decoded;
    struct buf name, client_id;
};

static bool is_field(const struct http_header *h, const char *name) {
    return bytes_equal_nocase(h->name, bytes_str(name));
}

bool reference_is_given(const struct request *r) {
    for (size_t i = 0; i < r->head.header_count; i++)
        if (is_field(&r->head.headers[i], CLIENT_ID) && r->head.headers[i].value.len > 0)
            return true;
    return false;
}

bool reference_is_open(const struct request *r) {
    return !r->has_looked_up && reference_is_given(r);
}

void reference_read(struct bytes value, bool is_encoded, struct buf *out) {
    struct buf plain = {0};
    if (is_encoded)
        (void)percent_decode(value, false, &plain);
    else
        buf_append(&plain, value);
    buf_clear(out);
    if (utf8_is_valid(buf_bytes(&plain)))
        buf_append(out, buf_bytes(&plain));
    else
        utf8_from_latin1(buf_bytes(&plain), out);
    buf_deinit(&plain);
}

static void read_fields(struct reference *f, bool is_decoded) {
    const struct http_head *head = &f->request->head;
    f->is_decoded = is_decoded;
    reference_read(http_head_find(head, NAME), is_decoded, &f->name);
    reference_read(http_head_find(head, CLIENT_ID), is_decoded, &f->client_id);
}

static bool looks_encoded(const struct request *r) {
    return bytes_find(http_head_find(&r->head, NAME), '%') >= 0 ||
           bytes_find(http_head_find(&r->head, CLIENT_ID), '%') >= 0;
}

/* ---- the group */

static bool is_group(struct bytes text, struct bytes group) {
    struct buf plain = {0};
    bool is_it = false;
    for (int is_decoded = 0; is_decoded <= 1 && !is_it; is_decoded++) {
        reference_read(text, is_decoded != 0, &plain);
        is_it = fold_equal(buf_bytes(&plain), group);
    }
    buf_deinit(&plain);
    return is_it;
}

static bool list_has(struct bytes list, struct bytes group, bool *is_asked_out) {
    if (list.len > 0 && is_group(list, group))
        return true;
    while (list.ptr != NULL) {
        struct bytes one = bytes_trim(bytes_split(&list, ','));
        *is_asked_out = *is_asked_out || one.len > 0;
        if (one.len > 0 && is_group(one, group))
            return true;
    }
    return false;
}

/* The header of one of several groups of a connection; or, if it has none, of "". */
static bool header_has(struct bytes value, struct bytes_list groups, bool *is_asked_out) {
    bool has = groups.count == 0 && list_has(value, BYTES_LIT(""), is_asked_out);
    for (size_t i = 0; i < groups.count && !has; i++)
        has = list_has(value, groups.items[i], is_asked_out);
    return has;
}

bool reference_group_fits(const struct http_head *head, struct bytes_list groups) {
    bool is_asked = false;
    for (size_t i = 0; i < head->header_count; i++)
        if (is_field(&head->headers[i], GROUP) &&
            header_has(head->headers[i].value, groups, &is_asked))
            return true;
    return !is_asked;
}

void reference_write_groups(struct buf *out, struct bytes_list groups) {
    for (size_t i = 0; i < groups.count; i++) {
        struct bytes group = groups.items[i];
        if (i > 0)
            buf_append_char(out, ',');
        for (size_t k = 0; k < group.len; k++) {
            char c = group.ptr[k];
            bool is_edge = k == 0 || k + 1 == group.len;
            if (groups.count > 1 && (c == ',' || c == '%' || (is_edge && (c == ' ' || c == '\t'))))
                buf_printf(out, "%%%02X", c);
            else
                buf_append_char(out, c);
        }
    }
}

/* ---- bounds: what is percent-encoded is as long as what it stands for */

static bool has_long_group(const struct http_head *head) {
    struct buf plain = {0};
    for (size_t i = 0; i < head->header_count; i++) {
        struct bytes list =
            is_field(&head->headers[i], GROUP) ? head->headers[i].value : BYTES_NONE;
        while (list.ptr != NULL && plain.len <= ADDRESS_BYTES_MAX)
            reference_read(bytes_trim(bytes_split(&list, ',')), true, &plain);
        if (plain.len > ADDRESS_BYTES_MAX)
            break;
    }
    bool is_it = plain.len > ADDRESS_BYTES_MAX;
    buf_deinit(&plain);
    return is_it;
}

static const char *read_within_bounds(struct reference *f) {
    read_fields(f, false);
    if (f->name.len > ADDRESS_BYTES_MAX || f->client_id.len > ADDRESS_BYTES_MAX)
        read_fields(f, true);
    if (f->client_id.len > ADDRESS_BYTES_MAX)
        return CLIENT_ID ": " ADDRESS_TOO_LONG;
    if (f->name.len > ADDRESS_BYTES_MAX)
        return NAME ": " ADDRESS_TOO_LONG;
    return has_long_group(&f->request->head) ? GROUP ": " ADDRESS_TOO_LONG : NULL;
}

/* ---- the connection */

static bool signature_holds(const struct reference *f) {
    const struct request *r = f->request;
    const struct signing *signing = &routes_registrations(r->routes)->signing;
    struct signing_context who = {.user_agent = http_head_find(&r->head, "User-Agent"),
                                  .remote_address = bytes_str(r->remote_address)};
    return signing_accepts(signing, &who, buf_bytes(&f->client_id));
}

static void judge(const struct reference *f, int status, const struct registry_row *rows,
                  size_t count) {
    struct request *r = f->request;
    struct conn_details details = {0};
    struct conn_value value;
    if (count > 0)
        conn_details_read(rows[0].value, rows[0].details, &details);
    if (status < 0)
        request_refuse(r, 503, registry_failure(status));
    else if (f->name.len == 0 && count != 1)
        request_refuse(
            r, 400, CLIENT_ID " alone must be the id of exactly one connection; give " NAME " too");
    else if (count == 0 || !conn_value_parse(rows[0].value, &value) ||
             !reference_group_fits(&r->head, details.groups))
        request_refuse(r, 404, "no such signal connection");
    else if (!signature_holds(f))
        request_refuse(r, 400, "the " CLIENT_ID " value is not valid");
    else
        request_set_signal(r, &(struct signal_fields){.name = rows[0].name,
                                                      .groups = details.groups,
                                                      .client_id = rows[0].client_id,
                                                      .value = rows[0].value,
                                                      .data = details.data});
    conn_details_free(&details);
}

static void ask(struct reference *f);

static void drop(struct reference *f) {
    buf_deinit(&f->name);
    buf_deinit(&f->client_id);
    free(f);
}

static void end(struct reference *f, bool is_found) {
    struct request *r = f->request;
    r->routes->references--;
    f->fn(f->ctx, is_found);
    drop(f);
    request_worked(r);
}

static void on_rows(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct reference *f = ctx;
    struct request *r = f->request;
    if (r->conn != NULL && status >= 0 && count == 0 && !f->is_decoded && looks_encoded(r)) {
        read_fields(f, true);
        ask(f);
        return;
    }
    if (r->conn != NULL)
        judge(f, status, rows, count);
    end(f, r->conn != NULL && !request_is_answered(r));
}

/* Of an id alone, a second connection is as many as it takes to refuse. */
static void ask(struct reference *f) {
    struct registry *registry = f->request->routes->registry;
    if (f->name.len > 0)
        registry_find(registry, buf_bytes(&f->name), buf_bytes(&f->client_id), on_rows, f);
    else
        registry_find_id(registry, buf_bytes(&f->client_id), 2, on_rows, f);
}

bool reference_look_up(struct request *r, reference_fn *fn, void *ctx) {
    r->has_looked_up = true;
    /* Two values would name two connections, of which only the first would be looked up. */
    if (http_head_count(&r->head, CLIENT_ID) > 1 || http_head_count(&r->head, NAME) > 1) {
        request_refuse(r, 400, CLIENT_ID " or " NAME " came twice");
        return false;
    }
    if (r->routes->references == REFERENCES_MAX) {
        request_refuse(r, 503, "too many signal connections are being looked up");
        return false;
    }
    struct reference *f = mem_zalloc(sizeof(*f));
    *f = (struct reference){.request = r, .fn = fn, .ctx = ctx};
    const char *fault = read_within_bounds(f);
    if (fault != NULL) {
        drop(f);
        request_refuse(r, 400, fault);
        return false;
    }
    r->routes->references++;
    request_work(r);
    ask(f);
    return true;
}
