/* test_gateway.c - what the process does each second, and when its app was loaded anew. */
#include "gateway/gateway.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/cluster/report.h"
#include "common/bus/cluster/ticket_keys.h"
#include "common/bus/log/follower.h"
#include "tests/common/app/app_of_text.h"
#include "tests/fuzz/still_clock.h"

static struct gateway g;

static void on_ticket_key(void *ctx, uint64_t period, const unsigned char *key) {
    (void)ctx;
    (void)period;
    (void)key;
}

static struct app *load(const char *text) {
    return app_of_text(
        text, &(struct app_environment){.loop = &g.daemon.loop, .settings = &g.daemon.settings});
}

#define LISTEN(port)                                                                               \
    "signalbox.endpoint { address = '127.0.0.1', port = " port ", protocol = 'ws' }\n"

static int setup(void **state) {
    static char program[] = "test", *arguments[] = {program, NULL};
    struct daemon *d = &g.daemon;
    char *error = NULL;
    int rest;
    (void)state;
    memset(&g, 0, sizeof(g));
    log_set_level(LOG_ERROR + 1);
    uv_loop_init(&d->loop);
    assert_int_equal(settings_parse(&d->settings, FOR_ALL, 1, arguments, &rest), SETTINGS_OK);
    d->settings.redis = "redis://127.0.0.1:1";
    d->bus = bus_new(&d->loop, &d->settings, BUS_GATEWAY);
    d->registry = registry_new(d->bus);
    d->app.app = load(LISTEN("8091"));
    g.follower = follower_new(d->bus, &downlink_events, &g.downlink);
    clients_init(&g.clients, d->bus, g.follower, &d->app.app);
    reconcile_init(&g.reconcile, d->bus, d->registry, &g.clients);
    restore_init(&g.restore, d->bus, d->registry, &g.clients, &g.reconcile);
    assert_int_equal(
        endpoints_init(&g.endpoints, &d->settings, app_registrations(d->app.app), &error), 0);
    g.ticket_keys = ticket_keys_new(d->bus, 1000, 16, on_ticket_key, &g);
    return 0;
}

static int teardown(void **state) {
    struct daemon *d = &g.daemon;
    (void)state;
    bus_hang_up(d->bus);
    clients_deinit(&g.clients);
    follower_free(g.follower);
    ticket_keys_free(g.ticket_keys);
    endpoints_deinit(&g.endpoints);
    registry_free(d->registry);
    app_release(d->app.app);
    bus_close(d->bus);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&d->loop), 0);
    return 0;
}

static void each_second_what_waits_goes_on(void **state) {
    (void)state;
    struct name_entry *e = clients_enter(&g.clients, BYTES_LIT("N"));
    clients_left(e);
    g.restore.has_to_wait = true;
    gateway_kind.on_second(&g);
    assert_false(g.restore.has_to_wait);
    assert_ptr_equal(clients_find(&g.clients, BYTES_LIT("N")), e);
    now_ms += 40000;
    uv_update_time(&g.daemon.loop);
    gateway_kind.on_second(&g); /* nobody came back to this Name */
    assert_null(clients_find(&g.clients, BYTES_LIT("N")));
}

static void an_app_that_was_loaded_anew_counts(void **state) {
    struct report report = {0};
    struct app *before = g.daemon.app.app;
    (void)state;
    struct name_entry *e = clients_enter(&g.clients, BYTES_LIT("N"));
    assert_int_equal(e->slow, SLOW_CLOSE);
    g.daemon.app.app = load("signalbox.name('N', { slow = 'latest' })\n" LISTEN("8092"));
    gateway_kind.on_reload(&g, false, &report); /* it could not be loaded */
    assert_int_equal(e->slow, SLOW_CLOSE);
    assert_int_equal(report.count, 0);
    gateway_kind.on_reload(&g, true, &report);
    assert_int_equal(e->slow, SLOW_LATEST);
    assert_true(report.count > 0); /* the port takes a restart */
    assert_false(report.has_failed);
    report_deinit(&report);
    app_release(before);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_second_what_waits_goes_on),
        TEST(an_app_that_was_loaded_anew_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
