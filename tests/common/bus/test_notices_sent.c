/* test_notices_sent.c - notices between processes: who hears them, who believes them, and what the
 * sender is told. */
#include "common/bus/notice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/bus/bus.h"
#include "common/bus/partition.h"
#include "common/bus/redis/feed.h"
#include "tests/common/bus/bus_room.h"

#define LIT BYTES_LIT

enum { ENDS = 2 };

/* A process that listens. */
struct end {
    struct bus *bus;
    unsigned subscribed, heard, believed;
    char last[64]; /* payload */
    char rule[16];
};

struct test {
    struct bus_room room;
    char secret[32];
    struct end ends[ENDS];
    unsigned sent, refused;
};

static const struct notice rule = {NOTICE_rule, .rule = {LIT("level:msg"), LIT("group")}};

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, 1);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    for (size_t i = 0; i < ENDS; i++)
        bus_close(t->ends[i].bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_subscribed(void *ctx) {
    ((struct end *)ctx)->subscribed++;
}

static void on_message(void *ctx, struct bytes payload) {
    struct end *e = ctx;
    struct notice n;
    snprintf(e->last, sizeof(e->last), "%.*s", BYTES_FMT(payload));
    if (notice_read(e->bus, payload, &n)) {
        snprintf(e->rule, sizeof(e->rule), "%.*s", BYTES_FMT(n.rule.field));
        e->believed++;
    }
    e->heard++;
}

static const struct channel_events listener = {.on_subscribed = on_subscribed,
                                               .on_message = on_message};

static void join(struct test *t, size_t i, const char *secret) {
    struct end *e = &t->ends[i];
    strcpy(t->secret, "/tmp/test_notices_XXXXXX");
    int fd = mkstemp(t->secret);
    assert_int_equal(write(fd, secret, strlen(secret)), strlen(secret));
    close(fd);
    t->room.settings.cluster_secret_file = *secret != '\0' ? t->secret : "";
    e->bus = bus_room_join(&t->room, BUS_TOOL);
    unlink(t->secret);
    notice_listen(e->bus, &listener, e);
    bus_open_feed(e->bus);
    bus_room_until(&t->room, &e->subscribed, 1, 4000);
}

static void on_sent(void *ctx, bool is_sent) {
    struct test *t = ctx;
    t->sent += is_sent;
    t->refused += !is_sent;
}

static void everybody_hears_it(void **state) {
    struct test *t = *state;
    join(t, 0, "");
    join(t, 1, "");
    notice_send(t->ends[0].bus, &rule);
    for (size_t i = 0; i < ENDS; i++) { /* the sender, too */
        bus_room_until(&t->room, &t->ends[i].believed, 1, 4000);
        assert_string_equal(t->ends[i].last, "rule 9 level:msggroup");
        assert_string_equal(t->ends[i].rule, "level:msg");
    }
    notice_send_then(t->ends[1].bus, &rule, on_sent, t);
    bus_room_until(&t->room, &t->sent, 1, 4000);
    notice_send_then(t->ends[1].bus, &rule, NULL, NULL);
    for (size_t i = 0; i < ENDS; i++)
        bus_room_until(&t->room, &t->ends[i].believed, 3, 4000);
    assert_int_equal(t->sent, 1);
    assert_int_equal(t->refused, 0);
}

static void who_has_stopped_listening_hears_nothing(void **state) {
    struct test *t = *state;
    join(t, 0, "");
    join(t, 1, "");
    notice_listen_end(t->ends[1].bus);
    notice_send(t->ends[0].bus, &rule);
    bus_room_until(&t->room, &t->ends[0].heard, 1, 4000);
    bus_room_turn(&t->room, 100);
    notice_send(t->ends[1].bus, &rule); /* it can speak */
    bus_room_until(&t->room, &t->ends[0].heard, 2, 4000);
    bus_room_turn(&t->room, 100);
    assert_int_equal(t->ends[1].heard, 0);
}

static void a_secret_proves_it(void **state) {
    struct test *t = *state;
    join(t, 0, "0123456789abcdef");
    join(t, 1, "0123456789abcdef");
    int64_t unproven = metrics_get(METRIC_unproven);
    notice_send(t->ends[0].bus, &rule);
    bus_room_until(&t->room, &t->ends[1].heard, 1, 4000);
    assert_int_equal(t->ends[1].believed, 1);
    assert_memory_equal(t->ends[1].last, "hmac:", 5);
    bus_room_ask(&t->room, "PUBLISH %s reload", fleet_channel(CHANNEL_CONTROL)); /* anybody */
    bus_room_until(&t->room, &t->ends[1].heard, 2, 4000);
    assert_int_equal(t->ends[1].believed, 1);
    bus_room_until(&t->room, &t->ends[0].heard, 2, 4000);
    assert_int_equal(metrics_get(METRIC_unproven) - unproven, 2);
}

static void the_sender_is_told_of_a_refusal(void **state) {
    struct test *t = *state;
    join(t, 0, "");
    bus_room_ask(&t->room, "ACL SETUSER default -publish");
    notice_send_then(t->ends[0].bus, &rule, on_sent, t);
    bus_room_until(&t->room, &t->refused, 1, 4000);
    notice_send(t->ends[0].bus, &rule);
    bus_room_turn(&t->room, 100);
    bus_room_ask(&t->room, "ACL SETUSER default +publish");
    notice_send_then(t->ends[0].bus, &rule, on_sent, t);
    bus_room_until(&t->room, &t->sent, 1, 4000);
    bus_room_until(&t->room, &t->ends[0].heard, 1, 4000);
    assert_int_equal(t->refused, 1);
}

/* Nothing that is said while Redis is away is said later. */
static void nobody_hears_it_without_redis(void **state) {
    struct test *t = *state;
    join(t, 0, "");
    redis_server_kill(&t->room.redis);
    notice_send_then(t->ends[0].bus, &rule, on_sent, t);
    bus_room_until(&t->room, &t->refused, 1, 4000);
    for (int i = 0; i < 300 && bus_can_send(t->ends[0].bus); i++)
        bus_room_turn(&t->room, 10);
    assert_false(bus_can_send(t->ends[0].bus));
    notice_send(t->ends[0].bus, &rule);
    bus_room_turn(&t->room, 50);
    assert_int_equal(t->sent, 0);
    assert_int_equal(t->ends[0].heard, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everybody_hears_it, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_stopped_listening_hears_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_secret_proves_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_sender_is_told_of_a_refusal, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_hears_it_without_redis, setup, teardown),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
