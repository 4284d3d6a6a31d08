/*
 * admin_api.c - what the admin listener answers. To add a path: a line in `routes` and a handler.
 *
 * The API (everything but health and metrics) needs the token, unless the listener is a unix
 * socket.
 */
#include "common/admin/admin_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/admin/admin_conn.h"
#include "common/admin/listing.h"
#include "common/admin/message_json.h"
#include "common/send/public_message.h"
#include "common/admin/roster.h"
#include "common/send/message_form.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/percent.h"
#include "common/base/settings.h"
#include "common/base/utf8.h"
#include "common/bus/bus.h"
#include "common/bus/log/publish.h"
#include "common/bus/log/retained.h"
#include "common/bus/cluster/registry.h"
#include "common/http/http_head.h"
#include "common/http/http_string.h"
#include "common/http/http_authority.h"

static const char text_type[] = "text/plain; charset=utf-8";

static const struct admin_api *api_of(const struct admin_conn *c) {
    return c->set->ctx;
}

static const struct admin_host *host_of(const struct admin_conn *c) {
    return &api_of(c)->host;
}

/* --- health and metrics --- */

static void get_livez(struct admin_conn *c) {
    admin_conn_reply(c, 200, text_type, BYTES_LIT("ok\n"));
}

static void get_readyz(struct admin_conn *c) {
    const struct admin_host *host = host_of(c);
    const char *trouble = host->trouble(host->ctx);
    bool is_ready = *trouble == '\0';
    struct buf body = {0};
    buf_printf(&body, "%s\n", is_ready ? "ready" : trouble);
    const char *note = is_ready ? host->note(host->ctx) : "";
    if (*note != '\0')
        buf_printf(&body, "note: %s\n", note);
    admin_conn_reply(c, is_ready ? 200 : 503, text_type, buf_bytes(&body));
    buf_deinit(&body);
}

static void get_metrics(struct admin_conn *c) {
    struct buf body = {0};
    metrics_set(METRIC_ready, *host_of(c)->trouble(host_of(c)->ctx) == '\0');
    metrics_write(&body);
    admin_conn_reply(c, 200, "text/plain; version=0.0.4; charset=utf-8", buf_bytes(&body));
    buf_deinit(&body);
}

/* --- sending and closing --- */

static void on_published(void *ctx, int status, struct bytes id) {
    struct admin_job *job = ctx;
    if (status < 0) {
        char *why = bytes_dup(id);
        admin_job_error(job, status == -EMSGSIZE ? 413 : 503, why);
        free(why);
        return;
    }
    /* The message has no id yet: `id` is the older name of the entry's id. */
    buf_append_str(&job->out, "{\"id\":");
    json_append_string(&job->out, id);
    buf_append_str(&job->out, ",\"entry\":");
    json_append_string(&job->out, id);
    buf_append_char(&job->out, '}');
    admin_job_reply(job, 202);
}

static void publish(struct admin_conn *c, enum public_op op) {
    struct buf message = {0}, error = {0};
    static const char key[] = "Idempotency-Key";
    const struct public_limits limits = {(size_t)host_of(c)->settings->max_message_bytes,
                                         host_of(c)->bus};
    if (http_head_count(&c->head, key) > 1) {
        admin_conn_error(c, 400, "Idempotency-Key: is given twice");
        return;
    }
    struct buf once = {0};
    if (!http_string_read(http_head_find(&c->head, key), &once)) {
        buf_deinit(&once);
        admin_conn_error(c, 400, "Idempotency-Key: " HTTP_STRING_FAULT);
        return;
    }
    int status = public_message_admit(op, c->body, buf_bytes(&once), &limits, &message, &error);
    buf_deinit(&once);
    int refused = status == 0 ? publish_check(host_of(c)->bus, message.len, &error) : 0;
    if (refused < 0)
        status = refused == -EMSGSIZE ? 413 : 503;
    buf_append_char(&error, '\0');
    if (status != 0)
        admin_conn_error(c, status, error.ptr);
    else if (message.len == 0)
        admin_conn_reply(c, 202, "application/json", BYTES_LIT("{\"id\":null,\"entry\":null}"));
    else if (!bus_can_send(host_of(c)->bus))
        admin_conn_error(c, 503, bus_trouble(host_of(c)->bus));
    else
        publish_json(host_of(c)->bus, buf_bytes(&message), on_published, admin_conn_wait(c));
    buf_deinit(&message);
    buf_deinit(&error);
}

static void post_send(struct admin_conn *c) {
    publish(c, PUBLIC_OP_SEND);
}

static void post_close(struct admin_conn *c) {
    publish(c, PUBLIC_OP_CLOSE);
}

static void post_join(struct admin_conn *c) {
    publish(c, PUBLIC_OP_JOIN);
}

static void post_leave(struct admin_conn *c) {
    publish(c, PUBLIC_OP_LEAVE);
}

/* --- lists --- */

static const char redis_away[] = "Redis went away";

/* The decoded parameters of a query; an empty one counts as absent. */
struct query {
    struct buf values[MESSAGE_KEYS];
    bool is_given[MESSAGE_KEYS];
};

static void query_deinit(struct query *q) {
    for (size_t i = 0; i < MESSAGE_KEYS; i++)
        buf_deinit(&q->values[i]);
}

/* One "name=value". False with one line in error_out. */
static bool query_add(struct query *q, struct bytes text, unsigned form, struct buf *error_out) {
    struct buf name = {0};
    const char *fault = NULL;
    struct bytes value = text;
    (void)percent_decode(bytes_split(&value, '='), true, &name);
    enum message_key key = message_form_find(buf_bytes(&name), form);
    if (key == MESSAGE_KEYS)
        fault = "is no parameter here";
    else if (q->is_given[key])
        fault = "is given twice";
    else if (!percent_decode(value, true, &q->values[key]))
        fault = "has a wrong % escape";
    else
        fault = address_fault(buf_bytes(&q->values[key]));
    if (key == MESSAGE_KEYS) {
        json_append_string(error_out, utf8_head(buf_bytes(&name), 64));
        buf_printf(error_out, ": %s", fault);
    } else {
        q->is_given[key] = true;
        if (fault != NULL)
            (void)message_form_refuse(key, fault, error_out);
    }
    buf_deinit(&name);
    return fault == NULL;
}

/* The parameters of the form, which may be 0; false after a 400. */
static bool query_read(struct admin_conn *c, unsigned form, struct query *q) {
    struct bytes rest = c->head.query;
    struct buf error = {0};
    bool is_fine = true;
    *q = (struct query){0};
    while (is_fine && rest.ptr != NULL) {
        struct bytes parameter = bytes_split(&rest, '&');
        is_fine = parameter.len == 0 || query_add(q, parameter, form, &error);
    }
    buf_append_char(&error, '\0');
    if (!is_fine)
        admin_conn_error(c, 400, error.ptr);
    buf_deinit(&error);
    return is_fine;
}

/* The list grows part by part. */
static void begin_part(struct admin_job *job) {
    if (job->has_rows)
        buf_append_char(&job->out, ',');
    job->has_rows = true;
}

static void end_list(void *ctx, int status) {
    struct admin_job *job = ctx;
    if (status < 0) {
        admin_job_error(job, 503, registry_failure(status));
        return;
    }
    buf_append_char(&job->out, ']');
    admin_job_reply(job, 200);
}

static void on_names(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct admin_job *job = ctx;
    if (count > 0)
        begin_part(job);
    listing_write_names(&job->out, rows, count);
    if (status != REGISTRY_PART)
        end_list(job, status);
}

static void get_names(struct admin_conn *c) {
    struct admin_job *job = admin_conn_wait(c);
    buf_append_char(&job->out, '[');
    registry_names_in_parts(host_of(c)->registry, on_names, job);
}

static void on_client_rows(void *ctx, const struct registry_row *rows, size_t count) {
    struct admin_job *job = ctx;
    begin_part(job);
    listing_write_rows(&job->out, rows, count);
}

static void forget_listing(void *listing) {
    listing_forget(listing);
}

static void get_clients(struct admin_conn *c) {
    static const struct listing_events events = {on_client_rows, end_list};
    struct query q;
    if (query_read(c, FORM_QUERY, &q)) {
        struct listing_filter filter = {.name = buf_bytes(&q.values[KEY_NAME]),
                                        .group = buf_bytes(&q.values[KEY_GROUP]),
                                        .client_id = buf_bytes(&q.values[KEY_CLIENT_ID])};
        struct admin_job *job = admin_conn_wait(c);
        buf_append_char(&job->out, '[');
        job->work = listing_start(host_of(c)->registry, &filter, &events, job);
        job->cancel = forget_listing;
    }
    query_deinit(&q);
}

/* --- the history of a Name --- */

static void on_page(void *ctx, int status, const struct retained_page *page) {
    struct admin_job *job = ctx;
    struct buf name = job->out;
    if (status < 0) {
        admin_job_error(job, status == -ESTALE ? 410 : 503, retained_failure(status));
        return;
    }
    job->out = (struct buf){0};
    message_json_append_page(&job->out, buf_bytes(&name), page);
    buf_deinit(&name);
    admin_job_reply(job, 200);
}

static void forget_page(void *retained) {
    retained_cancel(retained);
}

/* False with one line in error_out. */
static bool read_history(struct query *q, struct retained_ask *ask_out, struct buf *error_out) {
    uint64_t limit = RETAINED_USUAL;
    bool has_limit = q->values[KEY_LIMIT].len > 0, has_before = q->values[KEY_BEFORE].len > 0;
    *ask_out = (struct retained_ask){.name = buf_bytes(&q->values[KEY_NAME])};
    if (ask_out->name.len == 0)
        return message_form_refuse(KEY_NAME, "is missing", error_out);
    if (has_limit && (!bytes_to_u64(buf_bytes(&q->values[KEY_LIMIT]), &limit) || limit == 0 ||
                      limit > LOOK_BACK_MAX))
        return message_form_refuse(KEY_LIMIT, "must be from 1 to 1000", error_out);
    if (has_before && !retained_parse_before(buf_bytes(&q->values[KEY_BEFORE]), &ask_out->before))
        return message_form_refuse(KEY_BEFORE, "is no id of a message", error_out);
    ask_out->limit = (unsigned)limit;
    return true;
}

static void get_history(struct admin_conn *c) {
    struct query q;
    struct retained_ask ask;
    struct buf error = {0};
    bool is_read = query_read(c, FORM_HISTORY, &q);
    if (is_read && !read_history(&q, &ask, &error)) {
        buf_append_char(&error, '\0');
        admin_conn_error(c, 400, error.ptr);
    } else if (is_read && !bus_can_send(host_of(c)->bus)) {
        admin_conn_error(c, 503, bus_trouble(host_of(c)->bus));
    } else if (is_read) {
        struct admin_job *job = admin_conn_wait(c);
        buf_append(&job->out, ask.name);
        job->work = retained_start(host_of(c)->bus, &ask, on_page, job);
        job->cancel = forget_page;
    }
    buf_deinit(&error);
    query_deinit(&q);
}

/* --- processes --- */

static void on_roster(void *ctx, int status, const struct roster_row *rows, size_t count) {
    struct admin_job *job = ctx;
    if (status < 0) {
        admin_job_error(job, 503, redis_away);
        return;
    }
    roster_write_json(&job->out, rows, count);
    admin_job_reply(job, 200);
}

static void cancel_look(void *roster) {
    roster_cancel(roster);
}

static void look(struct admin_conn *c, enum roster_kind kind) {
    struct admin_job *job = admin_conn_wait(c);
    job->work = roster_look(host_of(c)->bus, kind, ROSTER_PATIENCE_MS, on_roster, job);
    job->cancel = cancel_look;
}

static void get_gateways(struct admin_conn *c) {
    look(c, ROSTER_GATEWAYS);
}

static void get_brokers(struct admin_conn *c) {
    look(c, ROSTER_BROKERS);
}

/* --- permission --- */

enum admin_access {
    ACCESS_HEALTH, /* everybody */
    ACCESS_HOST,   /* whoever asks by a known name */
    ACCESS_TOKEN   /* whoever has the token */
};

static bool has_token(const struct admin_conn *c) {
    struct bytes value = http_head_find(&c->head, "Authorization");
    struct bytes scheme = bytes_split(&value, ' ');
    return api_of(c)->token != NULL && bytes_equal_nocase(scheme, BYTES_LIT("Bearer")) &&
           digest_equal(bytes_trim(value), bytes_str(api_of(c)->token));
}

/* The names by which this listener may be asked: any address, and what --admin-host lists. Any
 * other name may have been made to resolve to this host, so that a page in a browser reads the
 * answer. */
static bool is_known_host(const struct admin_conn *c) {
    struct bytes host = http_authority_split(c->head.host).host;
    const struct settings_list *names = &host_of(c)->settings->admin_host;
    if (host.len == 0 || bytes_equal_nocase(host, BYTES_LIT("localhost")) ||
        http_authority_is_ip(host))
        return true;
    for (size_t i = 0; i < names->count; i++)
        if (bytes_equal_nocase(host, bytes_str(names->items[i])))
            return true;
    return false;
}

static void refuse_token(struct admin_conn *c, struct ip address) {
    struct admin_api *api = c->set->ctx;
    char text[IP_TEXT_SIZE];
    if (http_head_count(&c->head, "Authorization") > 0) {
        ip_show(address, text);
        wrong_tokens_count(&api->wrong_tokens, address, clock_ms());
        metrics_add(METRIC_admin_refused, 1);
        log_warn("admin", "wrong_token address=%s", text);
    }
    admin_conn_error(c, 401, "needs Authorization: Bearer TOKEN (--admin-token-file)");
}

/* False after an answer. */
static bool may_use_api(struct admin_conn *c) {
    struct ip address = admin_conn_address(c);
    if (api_of(c)->is_unix)
        return true;
    if (api_of(c)->token == NULL)
        admin_conn_error(c, 403,
                         "needs a token: start the process with --admin-token-file, or with "
                         "--admin unix:PATH");
    else if (!wrong_tokens_may_try(&api_of(c)->wrong_tokens, address, clock_ms()))
        admin_conn_error(c, 429, "too many wrong tokens from this address");
    else if (has_token(c))
        return true;
    else
        refuse_token(c, address);
    return false;
}

/* Health is for everybody who reaches the listener. False after an answer. */
static bool may_ask(struct admin_conn *c, enum admin_access access) {
    if (access == ACCESS_HEALTH)
        return true;
    if (access == ACCESS_TOKEN)
        return may_use_api(c);
    if (api_of(c)->is_unix || is_known_host(c) || has_token(c))
        return true;
    admin_conn_error(c, 421, "Host is no address and no name in --admin-host");
    return false;
}

/* --- routes --- */

static const struct admin_route {
    const char *method, *path;
    void (*handle)(struct admin_conn *c);
    enum admin_access access;
    bool takes_query; /* and looks at it itself */
} routes[] = {
    {"GET", "/livez", get_livez, ACCESS_HEALTH, true},
    {"GET", "/readyz", get_readyz, ACCESS_HEALTH, true},
    {"GET", "/metrics", get_metrics, ACCESS_HOST, true},
    {"POST", "/send", post_send, ACCESS_TOKEN, false},
    {"POST", "/close", post_close, ACCESS_TOKEN, false},
    {"POST", "/join", post_join, ACCESS_TOKEN, false},
    {"POST", "/leave", post_leave, ACCESS_TOKEN, false},
    {"GET", "/names", get_names, ACCESS_TOKEN, false},
    {"GET", "/clients", get_clients, ACCESS_TOKEN, true},
    {"GET", "/history", get_history, ACCESS_TOKEN, true},
    {"GET", "/gateways", get_gateways, ACCESS_TOKEN, false},
    {"GET", "/brokers", get_brokers, ACCESS_TOKEN, false},
};

/* A parameter that nobody reads may have been meant as part of an address. */
static bool has_no_query(struct admin_conn *c) {
    struct query q;
    bool is_fine = query_read(c, 0, &q);
    query_deinit(&q);
    return is_fine;
}

static bool is_method(const struct admin_route *route, struct bytes method) {
    bool is_get = strcmp(route->method, "GET") == 0;
    return bytes_equal_str(method, route->method) ||
           (is_get && bytes_equal(method, BYTES_LIT("HEAD")));
}

void admin_api_handle(struct admin_conn *c, void *api) {
    (void)api;
    const struct http_head *head = &c->head;
    const char *other_method = NULL;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!bytes_equal_str(head->path, routes[i].path))
            continue;
        other_method = routes[i].method;
        if (!is_method(&routes[i], head->method))
            continue;
        if (may_ask(c, routes[i].access) && (routes[i].takes_query || has_no_query(c)))
            routes[i].handle(c);
        return;
    }
    if (other_method != NULL)
        admin_conn_not_allowed(c, other_method);
    else
        admin_conn_error(c, 404, "no such path");
}
