/* test_ingest.c - which large entries of a process go to Redis, while nobody reads them there. */
#include "common/bus/log/ingest.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/base/clock.h"
#include "common/bus/partition.h"
#include "tests/common/bus/bus_room.h"

enum { PARTITIONS = 8, LARGE = 3000000, A_QUARTER = 1000000, A_WHILE_MS = 30 };

struct test {
    struct bus_room room;
    struct bus *bus;
    struct ingest *ingest;
    unsigned done;
};

static char bytes[LARGE];

static int setup(void **state) {
    static struct test t;
    memset(&t, 0, sizeof(t));
    bus_room_init(&t.room, PARTITIONS);
    t.bus = bus_room_join(&t.room, BUS_GATEWAY);
    t.ingest = ingest_new(t.bus, "", (size_t)1 << 28, NULL, NULL);
    clock_freeze(clock_ms());
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct test *t = *state;
    clock_freeze(0);
    ingest_free(t->ingest);
    bus_close(t->bus);
    bus_room_deinit(&t->room);
    return 0;
}

static void on_done(void *ctx, int status) {
    if (status == 0) /* the others end with the test */
        ((struct test *)ctx)->done++;
}

static void push(struct test *t, unsigned partition, size_t len) {
    assert_int_equal(ingest_push(t->ingest, partition, NULL, bytes_of(bytes, len), on_done, t), 0);
}

/* That many are there, and no more come. */
static void expect_done(struct test *t, unsigned count) {
    bus_room_until(&t->room, &t->done, count, 5000);
    bus_room_turn(&t->room, A_WHILE_MS);
    assert_int_equal(t->done, count);
}

static void read_all(struct test *t, unsigned partition) {
    bus_room_ask(&t->room, "XTRIM sb:{%s}:in MAXLEN 0", partition_tag(partition));
}

static void a_large_one_waits_until_others_are_read(void **state) {
    struct test *t = *state;
    for (unsigned partition = 1; partition <= 3; partition++)
        push(t, partition, LARGE);
    for (unsigned partition = 1; partition <= 3; partition++) {
        expect_done(t, partition);
        read_all(t, partition);
    }
}

static void small_ones_do_not_wait(void **state) {
    struct test *t = *state;
    push(t, 1, LARGE);
    push(t, 2, LARGE);
    expect_done(t, 1);
    push(t, 1, 100);
    push(t, 3, 100);
    expect_done(t, 3);
}

/* Unless somebody else waits; then it is his turn. */
static void a_partition_does_not_wait_for_itself(void **state) {
    struct test *t = *state;
    for (int i = 0; i < 3; i++)
        push(t, 1, LARGE);
    expect_done(t, 3);
    for (int i = 0; i < 3; i++)
        push(t, 1, LARGE);
    push(t, 2, LARGE);
    expect_done(t, 3);
    read_all(t, 1);
    expect_done(t, 4);
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:in", partition_tag(2)), "1");
    read_all(t, 2);
    expect_done(t, 7);
}

static void so_many_bytes_wait_for_nobody(void **state) {
    struct test *t = *state;
    for (unsigned i = 0; i < 5; i++)
        push(t, i, A_QUARTER);
    expect_done(t, 4);
    read_all(t, 2);
    expect_done(t, 5);
}

static void what_nobody_reads_is_not_waited_for(void **state) {
    struct test *t = *state;
    uint64_t now = clock_ms();
    push(t, 0, LARGE);
    push(t, 1, LARGE);
    expect_done(t, 1);
    clock_freeze(now + 501);
    expect_done(t, 2);
}

/* Ours to Redis; what was written stays written. */
static void cut_connections(struct test *t) {
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_un to = {.sun_family = AF_UNSPEC};
        socklen_t len = sizeof(to);
        if (fd != t->room.redis.admin->fd && getpeername(fd, (struct sockaddr *)&to, &len) == 0 &&
            to.sun_family == AF_UNIX && strcmp(to.sun_path, t->room.redis.path) == 0)
            shutdown(fd, SHUT_RDWR);
    }
}

/* Redis has the batch, the answer is lost with the connection, and the repetition is refused at
 * first: it keeps its numbers, and comes once. */
static void what_redis_may_have_keeps_its_numbers(void **state) {
    struct test *t = *state;
    const char *tag = partition_tag(0);
    clock_freeze(0);
    kill(t->room.redis.pid, SIGSTOP);
    push(t, 0, 100);
    bus_room_turn(&t->room, A_WHILE_MS);
    cut_connections(t);
    bus_room_turn(&t->room, A_WHILE_MS);
    kill(t->room.redis.pid, SIGCONT);
    while (strcmp(bus_room_ask(&t->room, "XLEN sb:{%s}:in", tag), "1") != 0)
        usleep(1000);
    bus_room_ask(&t->room, "CONFIG SET maxmemory 1");
    for (int i = 0; i < 500; i++) {
        if (strstr(bus_room_ask(&t->room, "INFO errorstats"), "errorstat_OOM") != NULL)
            break;
        bus_room_turn(&t->room, 10);
    }
    assert_non_null(strstr(bus_room_ask(&t->room, "INFO errorstats"), "errorstat_OOM"));
    bus_room_turn(&t->room, A_WHILE_MS);
    bus_room_ask(&t->room, "CONFIG SET maxmemory 0");
    expect_done(t, 1);
    push(t, 0, 100);
    expect_done(t, 2);
    assert_string_equal(bus_room_ask(&t->room, "XLEN sb:{%s}:in", tag), "2");
}

int main(void) {
#define WITH_REDIS(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REDIS(a_large_one_waits_until_others_are_read),
        WITH_REDIS(small_ones_do_not_wait),
        WITH_REDIS(a_partition_does_not_wait_for_itself),
        WITH_REDIS(so_many_bytes_wait_for_nobody),
        WITH_REDIS(what_nobody_reads_is_not_waited_for),
        WITH_REDIS(what_redis_may_have_keeps_its_numbers),
    };
    if (!redis_server_is_installed())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
