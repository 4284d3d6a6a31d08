/*
 * test_uplink.c - which clients are held while Redis takes nothing: the bus is never started, so
 * ingest only fills. A transport remembers the holds.
 */
#include "gateway/delivery/uplink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/log/ingest.h"
#include "common/bus/log/trace.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"

enum { CLIENTS = 2, INGEST_BYTES = 8192, SHARE_BYTES = INGEST_BYTES / 8 };

struct fixture {
    uv_loop_t loop;
    struct settings settings;
    struct bus *bus;
    struct ingest *ingest;
    struct trace trace;
    struct uplink uplink;
    struct name_entry entry;
    struct client_host host;
    struct client client[CLIENTS];
    unsigned holds[CLIENTS]; /* those that are not released */
};

static struct fixture *fixture;

static unsigned *holds_of(void *carrier) {
    return &fixture->holds[(struct client *)carrier - fixture->client];
}

static void hold(void *carrier, enum hold why) {
    *holds_of(carrier) |= why;
}

static void release(void *carrier, enum hold why) {
    *holds_of(carrier) &= ~(unsigned)why;
}

static const struct transport transport = {.hold = hold, .release = release};

static void on_room(void *ctx) {
    (void)ctx;
}

static int setup(void **state) {
    struct fixture *f = fixture = calloc(1, sizeof(*f));
    log_set_level(LOG_ERROR);
    uv_loop_init(&f->loop);
    f->settings = (struct settings){.redis = "redis://127.0.0.1:1",
                                    .redis_password_file = "",
                                    .redis_prefix = "",
                                    .redis_ca = "",
                                    .partitions = 16,
                                    .max_uplink_bytes = INGEST_BYTES};
    f->bus = bus_new(&f->loop, &f->settings, BUS_GATEWAY);
    f->ingest = ingest_new(f->bus, "", INGEST_BYTES, on_room, NULL);
    uplink_init(&f->uplink, f->bus, f->ingest, &f->trace);
    f->host = (struct client_host){.settings = &f->settings};
    for (int i = 0; i < CLIENTS; i++)
        f->client[i] = (struct client){.host = &f->host,
                                       .transport = &transport,
                                       .carrier = &f->client[i],
                                       .entry = &f->entry,
                                       .who = {.name = BYTES_LIT("N")}};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < CLIENTS; i++)
        uplink_events.on_left(&f->uplink, &f->client[i]);
    ingest_free(f->ingest);
    uplink_deinit(&f->uplink);
    bus_close(f->bus);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static void say(struct fixture *f, int client, size_t len) {
    static char body[INGEST_BYTES];
    struct said said = {.is_binary = true, .body = bytes_of(body, len)};
    uplink_events.on_message(&f->uplink, &f->client[client], &said);
}

static void fill_ingest(struct fixture *f) {
    static char bytes[INGEST_BYTES];
    assert_int_equal(
        ingest_push(f->ingest, 1, NULL, bytes_of(bytes, INGEST_BYTES - 512), NULL, NULL), 0);
}

static size_t count_blocked(const struct fixture *f) {
    struct blocked *b = TAILQ_FIRST(&f->uplink.blocked);
    return b == NULL ? 0 : 1 + (TAILQ_LAST(&f->uplink.blocked, blocked_list) != b);
}

static void a_client_over_its_share_is_held(void **state) {
    struct fixture *f = *state;
    say(f, 0, SHARE_BYTES / 2);
    assert_int_equal(f->holds[0], 0);
    say(f, 0, SHARE_BYTES / 2); /* with what an entry adds, just over */
    assert_int_equal(f->holds[0], HOLD_SHARE);
    say(f, 1, 10);
    assert_int_equal(f->holds[1], 0);
}

static void what_it_said_stays_when_it_leaves(void **state) {
    struct fixture *f = *state;
    say(f, 0, SHARE_BYTES);
    uplink_events.on_left(&f->uplink, &f->client[0]);
    assert_int_equal(f->holds[0], 0);
    assert_int_equal(f->client[0].unaccepted_bytes, 0);
    assert_int_equal(ingest_count(f->ingest), 1);
}

static void a_message_without_room_waits(void **state) {
    struct fixture *f = *state;
    fill_ingest(f);
    say(f, 0, 600);
    assert_int_equal(f->holds[0], HOLD_ROOM);
    say(f, 1, 1); /* there would be room for it, but another one is before it */
    assert_int_equal(f->holds[1], HOLD_ROOM);
    assert_int_equal(count_blocked(f), 2);
    uplink_on_room(&f->uplink); /* there is none: the order stays */
    assert_int_equal(count_blocked(f), 2);
}

static void bulk_that_waits_keeps_nobody_else_waiting(void **state) {
    static char bytes[INGEST_BYTES / 4 * 3 - 512];
    struct fixture *f = *state;
    assert_int_equal(ingest_push(f->ingest, 1, NULL, bytes_of(bytes, sizeof(bytes)), NULL, NULL),
                     0);
    say(f, 0, 10);
    say(f, 0, 600); /* the last quarter is not for a second one */
    assert_int_equal(f->holds[0], HOLD_ROOM);
    say(f, 1, 600);
    assert_int_equal(f->holds[1], 0);
    say(f, 1, 600);
    assert_int_equal(f->holds[1], HOLD_ROOM);
    assert_int_equal(count_blocked(f), 2);
}

static void what_waits_is_bounded_when_its_sender_leaves(void **state) {
    struct fixture *f = *state;
    fill_ingest(f);
    say(f, 0, INGEST_BYTES / 8);
    say(f, 1, INGEST_BYTES / 4);
    uplink_events.on_left(&f->uplink, &f->client[0]);
    assert_int_equal(count_blocked(f), 2);
    uplink_events.on_left(&f->uplink, &f->client[1]); /* a quarter is the bound */
    assert_int_equal(count_blocked(f), 1);
    assert_true(f->uplink.orphan_bytes < INGEST_BYTES / 4);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_client_over_its_share_is_held),
        TEST(what_it_said_stays_when_it_leaves),
        TEST(a_message_without_room_waits),
        TEST(bulk_that_waits_keeps_nobody_else_waiting),
        TEST(what_waits_is_bounded_when_its_sender_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
