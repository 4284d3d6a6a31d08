/* test_endpoints.c - the endpoints of a running gateway. */
#include "gateway/conn/endpoints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/app/registrations/registrations.h"
#include "common/base/buf.h"
#include "common/base/settings.h"
#include "common/bus/cluster/report.h"

/* ---- reloading: what a running endpoint does not take up is told, nothing else */

struct wanted {
    const char *address;
    int port;
    bool is_http, is_ws;
    const char *name, *hostname;
    bool auto_upgrade;
};

static struct registrations *registered(const struct wanted *all, size_t count) {
    struct registrations *r = registrations_new();
    for (size_t i = 0; i < count; i++) {
        struct endpoint *e = ARRAY_ADD(&r->endpoints);
        e->address = mem_strdup(all[i].address);
        e->port = all[i].port;
        e->is_http = all[i].is_http;
        e->is_ws = all[i].is_ws;
        e->name = all[i].name != NULL ? mem_strdup(all[i].name) : NULL;
        e->hostname = all[i].hostname != NULL ? mem_strdup(all[i].hostname) : NULL;
        e->auto_upgrade = all[i].auto_upgrade;
    }
    return r;
}

static void reload(const struct wanted *wanted, size_t count, const struct settings *settings,
                   const char *lines) {
    static const struct wanted running = {"localhost", 8091, true, true, "Main", NULL, false};
    struct registrations *before = registered(&running, 1), *after = registered(wanted, count);
    struct settings none = {.tls_ticket_ms = 1000};
    struct endpoints e;
    struct report report = {0};
    char *error = NULL;
    assert_int_equal(endpoints_init(&e, &none, before, &error), 0);
    endpoints_reload(&e, settings, after, &report);
    buf_append_char(&report.lines, '\0');
    assert_string_equal(report.lines.ptr, lines);
    assert_false(report.has_failed);
    report_deinit(&report);
    endpoints_deinit(&e);
    registrations_free(before);
    registrations_free(after);
}

static void what_needs_a_restart_is_told(void **state) {
    static const struct {
        struct wanted wanted[2];
        size_t count;
        const char *lines;
    } cases[] = {
        {{{"localhost", 8091, true, true, "Main", NULL, false}}, 1, ""},
        {{{"localhost", 8095, true, true, "Main", NULL, false}},
         1,
         "\nrestart endpoint http+ws://localhost:8091 is not in the app file any more and still "
         "serves\nrestart endpoint http+ws://localhost:8095 is in the app file and does not serve "
         "yet"},
        {{{"::1", 8091, true, true, "Main", NULL, false}},
         1,
         "\nrestart endpoint http+ws://localhost:8091 is not in the app file any more and still "
         "serves\nrestart endpoint http+ws://[::1]:8091 is in the app file and does not serve yet"},
        {{{"localhost", 8091, true, false, "Main", NULL, false}},
         1,
         "\nrestart endpoint http+ws://localhost:8091 has the protocol http+ws, the app file says "
         "http"},
        {{{"localhost", 8091, true, true, NULL, "h", true}},
         1,
         "\nrestart endpoint http+ws://localhost:8091 has the hostname none, the app file says h"
         "\nrestart endpoint http+ws://localhost:8091 has the name Main, the app file says none"
         "\nrestart endpoint http+ws://localhost:8091 has auto_upgrade false, the app file says "
         "true"},
        {{{"localhost", 8091, true, true, "Main", NULL, false},
          {"*", 8092, false, true, NULL, NULL, false}},
         2,
         "\nrestart endpoint ws://*:8092 is in the app file and does not serve yet"},
    };
    struct settings settings = {.tls_ticket_ms = 1000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        reload(cases[i].wanted, cases[i].count, &settings, cases[i].lines);
}

static void listen_stands_for_the_apps_endpoints(void **state) {
    static const struct wanted other = {"localhost", 9999, true, true, NULL, NULL, false};
    struct settings settings = {.listen = {{"http://127.0.0.1:1"}, 1}, .tls_ticket_ms = 1000};
    (void)state;
    reload(&other, 1, &settings, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_a_restart_is_told),
        cmocka_unit_test(listen_stands_for_the_apps_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
