/* test_supervisor.c - what a fake systemd hears, on a path and on an abstract name. */
#include "common/daemon/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"

struct systemd {
    int fd;
    char name[80], heard[1000];
};

/* name: "/path" or "@abstract". */
static void listen_at(struct systemd *d, const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    snprintf(d->name, sizeof(d->name), "%s", name);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&address, address_len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
}

static int set_up(void **state) {
    static struct systemd d;
    char name[80];
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    snprintf(name, sizeof(name), "@signalbox-test-%ld", (long)getpid());
    listen_at(&d, name);
    clock_freeze(1000000);
    *state = &d;
    return 0;
}

static int tear_down(void **state) {
    struct systemd *d = *state;
    close(d->fd);
    if (d->name[0] == '/')
        unlink(d->name);
    unsetenv("NOTIFY_SOCKET");
    clock_freeze(0);
    return 0;
}

/* The next message, "" when there is none. */
static const char *heard(struct systemd *d) {
    ssize_t len = recv(d->fd, d->heard, sizeof(d->heard) - 1, MSG_DONTWAIT);
    d->heard[len < 0 ? 0 : len] = '\0';
    return d->heard;
}

static void ready_is_said_once(void **state) {
    struct supervisor s;
    supervisor_init(&s);
    supervisor_tick(&s, "no Redis");
    assert_string_equal(heard(*state), "STATUS=no Redis\n");
    supervisor_tick(&s, "no Redis");
    assert_string_equal(heard(*state), "");
    supervisor_tick(&s, "");
    assert_string_equal(heard(*state), "READY=1\nSTATUS=ready\n");
    supervisor_tick(&s, "two\nlines");
    assert_string_equal(heard(*state), "STATUS=two lines\n");
    supervisor_tick(&s, "");
    assert_string_equal(heard(*state), "STATUS=ready\n");
    supervisor_deinit(&s);
}

static void a_reload_has_its_time(void **state) {
    struct supervisor s;
    supervisor_init(&s);
    supervisor_reloading(&s); /* not ready yet: it is still starting */
    supervisor_reloaded(&s);
    assert_string_equal(heard(*state), "");
    supervisor_tick(&s, "");
    (void)heard(*state);
    supervisor_reloading(&s);
    assert_string_equal(heard(*state),
                        "RELOADING=1\nMONOTONIC_USEC=1000000000\nSTATUS=reloading\n");
    supervisor_reloaded(&s);
    assert_string_equal(heard(*state), "READY=1\nSTATUS=ready\n");
    supervisor_deinit(&s);
}

static void the_end_says_how_long_it_may_take(void **state) {
    struct supervisor s;
    supervisor_init(&s);
    supervisor_stopping(&s, 1500);
    assert_string_equal(heard(*state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000\n");
    supervisor_tick(&s, ""); /* not ready any more */
    assert_string_equal(heard(*state), "STATUS=ready\n");
    supervisor_reloading(&s);
    assert_string_equal(heard(*state), "");
    supervisor_deinit(&s);
}

static void the_watchdog_is_fed_when_it_is_ours(void **state) {
    struct supervisor s;
    char pid[24];
    setenv("WATCHDOG_USEC", "3000000", 1);
    supervisor_init(&s);
    supervisor_tick(&s, "x");
    assert_string_equal(heard(*state), "STATUS=x\nWATCHDOG=1\n");
    clock_freeze(1000999);
    supervisor_tick(&s, "x");
    assert_string_equal(heard(*state), "");
    clock_freeze(1001000);
    supervisor_tick(&s, "x");
    assert_string_equal(heard(*state), "WATCHDOG=1\n");
    supervisor_deinit(&s);
    setenv("WATCHDOG_PID", "1", 1);
    supervisor_init(&s);
    assert_int_equal(s.watchdog_ms, 0);
    supervisor_deinit(&s);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    supervisor_init(&s);
    assert_int_equal(s.watchdog_ms, 3000);
    supervisor_deinit(&s);
}

static void a_path_is_as_good(void **state) {
    struct systemd *d = *state;
    struct supervisor s;
    char path[80];
    snprintf(path, sizeof(path), "/tmp/signalbox-test-%ld", (long)getpid());
    close(d->fd);
    listen_at(d, path);
    supervisor_init(&s);
    supervisor_tick(&s, "");
    assert_string_equal(heard(d), "READY=1\nSTATUS=ready\n");
    supervisor_deinit(&s);
}

static void what_makes_no_sense_is_ignored(void **state) {
    static const char *const names[] = {"", "@", "/", "relative", "vsock:2:1234"};
    char too_long[200];
    struct supervisor s;
    (void)state;
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[0] = '/';
    too_long[sizeof(too_long) - 1] = '\0';
    for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", i < sizeof(names) / sizeof(names[0]) ? names[i] : too_long, 1);
        supervisor_init(&s);
        assert_int_equal(s.fd, -1);
        supervisor_tick(&s, "");
        supervisor_stopping(&s, 1);
        supervisor_deinit(&s);
    }
    setenv("NOTIFY_SOCKET", "/nobody/listens/here", 1);
    supervisor_init(&s);
    supervisor_tick(&s, ""); /* lost, and no harm done */
    supervisor_deinit(&s);
}

static void fill(const struct systemd *d) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(d->name);
    memcpy(address.sun_path + 1, d->name + 1, len - 1);
    socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    while (sendto(fd, "x", 1, 0, (struct sockaddr *)&address, address_len) == 1)
        ;
    close(fd);
}

static void empty(struct systemd *d) {
    while (*heard(d) != '\0')
        ;
}

static void a_full_queue_loses_nothing(void **state) {
    struct supervisor s;
    supervisor_init(&s);
    fill(*state);
    supervisor_tick(&s, "");
    empty(*state);
    supervisor_tick(&s, "");
    assert_string_equal(heard(*state), "READY=1\nSTATUS=ready\n");
    supervisor_tick(&s, "");
    assert_string_equal(heard(*state), "");
    supervisor_reloading(&s);
    fill(*state);
    supervisor_reloaded(&s);
    empty(*state);
    supervisor_tick(&s, "");
    assert_string_equal(heard(*state), "READY=1\nSTATUS=ready\n");
    fill(*state);
    supervisor_stopping(&s, 2);
    empty(*state);
    supervisor_tick(&s, "draining");
    assert_string_equal(heard(*state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=2000\nSTATUS=draining\n");
    supervisor_deinit(&s);
}

static void a_status_is_cut_between_characters(void **state) {
    char trouble[SUPERVISOR_STATUS_MAX + 2];
    struct supervisor s;
    memset(trouble, 'x', sizeof(trouble));
    memcpy(trouble + SUPERVISOR_STATUS_MAX - 2, "\xc3\xa9", 3);
    supervisor_init(&s);
    supervisor_tick(&s, trouble);
    assert_int_equal(strlen(heard(*state)), strlen("STATUS=\n") + SUPERVISOR_STATUS_MAX - 2);
    supervisor_deinit(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(ready_is_said_once),
        TEST(a_reload_has_its_time),
        TEST(the_end_says_how_long_it_may_take),
        TEST(the_watchdog_is_fed_when_it_is_ours),
        TEST(a_path_is_as_good),
        TEST(what_makes_no_sense_is_ignored),
        TEST(a_full_queue_loses_nothing),
        TEST(a_status_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
