/* endpoints.c - see endpoints.h. */
#include "gateway/conn/endpoints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/registrations/registrations.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/bus/cluster/report.h"
#include "common/http/http_authority.h"
#include "common/net/tls.h"
#include "common/net/tls_tickets.h"

static int fail(char **error_out, const char *format, const char *what, const char *why) {
    struct buf text = {0};
    buf_printf(&text, format, what, why);
    *error_out = buf_take(&text);
    return -1;
}

static void drop(struct endpoint_run *e) {
    endpoint_deinit(&e->at);
    tls_context_unref(e->tls);
    e->tls = NULL;
}

/* With what the app may leave out. */
static void copy_endpoint(struct endpoint *out, const struct endpoint *e) {
    endpoint_copy(out, e);
    if (out->address == NULL || *out->address == '\0') {
        free(out->address);
        out->address = mem_strdup("*");
    }
    if (out->port == 0)
        out->port = http_default_port(e->is_tls);
}

static int parse_listen(struct endpoint *out, const char *url, char **error_out) {
    struct endpoint e;
    const char *error = endpoint_parse(&e, url);
    if (error != NULL)
        return fail(error_out, "--listen %s: %s", url, error);
    for (size_t i = 0; i < e.tls.count; i++)
        if (e.tls.certificates[i].password != NULL)
            log_warn("gateway",
                     "found_password certificate=%s: everybody on this host can read the "
                     "command line: put the password into a file (password_file)",
                     LOG_TEXT(bytes_str(e.tls.certificates[i].certificate)));
    copy_endpoint(out, &e);
    out->port = e.port; /* also 0: the system chooses one */
    endpoint_deinit(&e);
    return 0;
}

static int load_tls(struct endpoint_run *e, struct tls_tickets *tickets, char **error_out) {
    if (!e->at.is_tls)
        return 0;
    if (e->at.tls.count == 0)
        return fail(error_out, "endpoint %s: https and wss need a certificate%s", e->at.address,
                    "");
    e->tls = tls_context_server(&e->at.tls, tickets, NULL, error_out);
    return e->tls == NULL ? -1 : 0;
}

static int fill(struct endpoints *e, const struct settings *settings,
                const struct registrations *registrations, char **error_out) {
    size_t count =
        settings->listen.count > 0 ? settings->listen.count : registrations->endpoints.count;
    e->items = mem_zalloc((count + 1) * sizeof(*e->items));
    for (size_t i = 0; i < count; i++) {
        struct endpoint_run *item = &e->items[i];
        if (settings->listen.count == 0)
            copy_endpoint(&item->at, &registrations->endpoints.items[i]);
        else if (parse_listen(&item->at, settings->listen.items[i], error_out) < 0)
            return -EINVAL;
        e->count++;
        if (item->at.proxy != PROXY_NONE && settings->trusted_proxies.count == 0) {
            (void)fail(error_out,
                       "endpoint %s: nobody can use the PROXY protocol without --trusted-proxies%s",
                       item->at.address, "");
            return -EINVAL;
        }
        if (load_tls(item, e->tickets, error_out) < 0)
            return -1;
    }
    if (count == 0)
        return fail(error_out, "nothing to listen on: the app has no signalbox.endpoint%s%s", "",
                    " and --listen is not given");
    return 0;
}

int endpoints_init(struct endpoints *e, const struct settings *settings,
                   const struct registrations *registrations, char **error_out) {
    *e = (struct endpoints){.tickets = tls_tickets_new((uint64_t)settings->tls_ticket_ms)};
    tls_tickets_turn(e->tickets, clock_wall_ms());
    int result = fill(e, settings, registrations, error_out);
    if (result < 0)
        endpoints_deinit(e);
    return result;
}

void endpoints_deinit(struct endpoints *e) {
    for (size_t i = 0; i < e->count; i++)
        drop(&e->items[i]);
    free(e->items);
    tls_tickets_unref(e->tickets);
    *e = (struct endpoints){0};
}

void endpoints_tick(struct endpoints *e) {
    tls_tickets_turn(e->tickets, clock_wall_ms());
    for (size_t i = 0; i < e->count; i++)
        if (e->items[i].tls != NULL)
            tls_context_refresh(e->items[i].tls);
}

/* ---- what an endpoint is called */

static const char *protocol(const struct endpoint *e) {
    return endpoint_scheme(e->is_http, e->is_ws, e->is_tls);
}

static void append_url(struct buf *out, const struct endpoint *e) {
    bool is_ipv6 = strchr(e->address, ':') != NULL;
    buf_printf(out, "%s://%s%s%s:%d", protocol(e), is_ipv6 ? "[" : "", e->address,
               is_ipv6 ? "]" : "", e->port);
}

void endpoints_append_urls(struct buf *out, const struct endpoints *e) {
    for (size_t i = 0; i < e->count; i++) {
        if (i > 0)
            buf_append_char(out, ' ');
        append_url(out, &e->items[i].at);
    }
}

/* ---- reloading */

static void report_endpoint(struct report *report, const struct endpoint *e, const char *what) {
    struct buf url = {0};
    append_url(&url, e);
    report_restart(report, "endpoint %.*s %s", BYTES_FMT(buf_bytes(&url)), what);
    buf_deinit(&url);
}

static void compare_text(struct report *report, const struct endpoint *e, const char *what,
                         const char *running, const char *wanted) {
    struct buf text = {0};
    if (running == NULL || wanted == NULL ? running == wanted : strcmp(running, wanted) == 0)
        return;
    buf_printf(&text, "has %s %s, the app file says %s", what, running != NULL ? running : "none",
               wanted != NULL ? wanted : "none");
    buf_append_char(&text, '\0');
    report_endpoint(report, e, text.ptr);
    buf_deinit(&text);
}

static void compare(struct report *report, const struct endpoint *running,
                    const struct endpoint *wanted) {
    compare_text(report, running, "the protocol", protocol(running), protocol(wanted));
    compare_text(report, running, "the hostname", running->hostname, wanted->hostname);
    compare_text(report, running, "the name", running->name, wanted->name);
    compare_text(report, running, "proxy_protocol", endpoint_proxy_name(running->proxy),
                 endpoint_proxy_name(wanted->proxy));
    compare_text(report, running, "auto_upgrade", running->auto_upgrade ? "true" : "false",
                 wanted->auto_upgrade ? "true" : "false");
}

/* The one on the same address and port. */
static struct endpoint_run *find_place(const struct endpoints *all, const struct endpoint *e) {
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].at.port == e->port && strcmp(all->items[i].at.address, e->address) == 0)
            return &all->items[i];
    return NULL;
}

/* False: nothing of it could be used, and everything is as it was. */
static bool reload_tls(struct endpoint_run *running, const struct tls_server *wanted,
                       struct tls_tickets *tickets, struct report *report) {
    char *error = NULL;
    struct tls_context *fresh = tls_context_server(wanted, tickets, running->tls, &error);
    if (error != NULL)
        report_error(report, "%s; the old certificate stays", error);
    free(error);
    if (fresh == NULL)
        return false;
    tls_context_unref(running->tls);
    running->tls = fresh;
    return true;
}

static void take_up(struct endpoint_run *running, const struct endpoint *wanted,
                    struct tls_tickets *tickets, struct report *report) {
    compare(report, &running->at, wanted);
    if (running->at.is_tls && wanted->is_tls && wanted->tls.count > 0 &&
        reload_tls(running, &wanted->tls, tickets, report))
        endpoint_set_tls(&running->at, &wanted->tls);
}

void endpoints_reload(struct endpoints *e, const struct settings *settings,
                      const struct registrations *registrations, struct report *report) {
    if (settings->listen.count > 0 || registrations == NULL) {
        for (size_t i = 0; i < e->count; i++)
            if (e->items[i].at.is_tls)
                (void)reload_tls(&e->items[i], &e->items[i].at.tls, e->tickets, report);
        return;
    }
    size_t count = registrations->endpoints.count;
    struct endpoints wanted = {mem_zalloc((count + 1) * sizeof(*wanted.items)), count, NULL};
    for (size_t i = 0; i < count; i++)
        copy_endpoint(&wanted.items[i].at, &registrations->endpoints.items[i]);
    for (size_t i = 0; i < e->count; i++) {
        struct endpoint_run *match = find_place(&wanted, &e->items[i].at);
        if (match != NULL)
            take_up(&e->items[i], &match->at, e->tickets, report);
        else
            report_endpoint(report, &e->items[i].at,
                            "is not in the app file any more and still serves");
    }
    for (size_t i = 0; i < count; i++)
        if (find_place(e, &wanted.items[i].at) == NULL)
            report_endpoint(report, &wanted.items[i].at,
                            "is in the app file and does not serve yet");
    endpoints_deinit(&wanted);
}
