/* Who may listen on a port that others have. The fleets of the tests are letters; all listen in one
 * process, which the kernel treats no better than several. */
#include "common/net/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uv_loop_t loop;

static int is_v6(const char *address) {
    return strcmp(address, "*") == 0 || strchr(address, ':') != NULL;
}

static struct port_place place_of(const char *address, int port) {
    struct port_place p = {.is_any = strcmp(address, "*") == 0};
    if (is_v6(address))
        assert_int_equal(
            uv_ip6_addr(p.is_any ? "::" : address, port, (struct sockaddr_in6 *)&p.address), 0);
    else
        assert_int_equal(uv_ip4_addr(address, port, (struct sockaddr_in *)&p.address), 0);
    return p;
}

/* Listens as a gateway does; the descriptor. */
static int listen_at(const struct port_place *p) {
    int one = 1, is_v6_only = !p->is_any;
    int fd = socket(p->address.ss_family, SOCK_STREAM, 0);
    if (p->address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_v6_only, sizeof(is_v6_only));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    assert_int_equal(bind(fd, (const struct sockaddr *)&p->address,
                          p->address.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                          : sizeof(struct sockaddr_in6)),
                     0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int free_port(void) {
    struct port_place p = place_of("*", 0);
    struct sockaddr_in6 bound;
    socklen_t len = sizeof(bound);
    int fd = listen_at(&p);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
    close(fd);
    return ntohs(bound.sin6_port);
}

static void turn(void) {
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
}

/* A listens at `has`, B looks at `wants`. */
static void addresses_that_overlap(void **state) {
    static const struct {
        const char *has, *wants;
        int is_taken;
    } rows[] = {
        {"*", "*", 1},
        {"*", "127.0.0.1", 1},
        {"*", "0.0.0.0", 1},
        {"*", "::1", 1},
        {"127.0.0.1", "*", 1},
        {"127.0.0.1", "0.0.0.0", 1},
        {"127.0.0.1", "127.0.0.1", 1},
        {"127.0.0.1", "127.0.0.2", 0},
        {"127.0.0.1", "::1", 0},
        {"0.0.0.0", "127.0.0.1", 1},
        {"0.0.0.0", "::", 0},
        {"0.0.0.0", "*", 1},
        {"::", "127.0.0.1", 0},
        {"::", "::1", 1},
        {"::1", "*", 1},
    };
    char why[PORT_WHY_MAX], process[32];
    (void)state;
    snprintf(process, sizeof(process), "(process %d)", (int)getpid());
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int port = free_port();
        struct port_place has = place_of(rows[i].has, port), wants = place_of(rows[i].wants, port);
        int fd = listen_at(&has);
        struct port_claim *claim = port_claim_new(&loop, &has, "A");
        assert_non_null(claim);
        assert_int_equal(port_check(&wants, "A", why), 0);
        assert_string_equal(why, "");
        assert_int_equal(port_check(&wants, "B", why), rows[i].is_taken ? -EPERM : 0);
        if (rows[i].is_taken) {
            assert_non_null(strstr(why, "a gateway of another fleet"));
            assert_non_null(strstr(why, process));
        }
        close(fd);
        port_claim_free(claim);
        turn();
        assert_int_equal(port_check(&wants, "B", why), 0);
    }
}

static void strangers(void **state) {
    char why[PORT_WHY_MAX];
    (void)state;
    struct port_place place = place_of("127.0.0.1", free_port());
    struct port_place other = place_of("127.0.0.1", free_port());
    struct port_claim *elsewhere = port_claim_new(&loop, &other, "A");
    assert_int_equal(port_check(&place, "A", why), 0);
    int fd = listen_at(&place);
    assert_int_equal(port_check(&place, "A", why), -EADDRINUSE);
    assert_non_null(strstr(why, "another program"));
    close(fd);
    port_claim_free(elsewhere);
    turn();
}

static void one_stranger_among_ours(void **state) {
    char why[PORT_WHY_MAX];
    (void)state;
    struct port_place place = place_of("*", free_port());
    int fd = listen_at(&place);
    struct port_claim *ours[] = {port_claim_new(&loop, &place, "A"),
                                 port_claim_new(&loop, &place, "A")};
    struct port_claim *foreign = port_claim_new(&loop, &place, "B");
    assert_int_equal(port_check(&place, "A", why), -EPERM);
    port_claim_free(foreign);
    assert_int_equal(port_check(&place, "A", why), 0);
    port_claim_free(ours[0]);
    assert_int_equal(port_check(&place, "A", why), 0);
    port_claim_free(ours[1]);
    assert_int_equal(port_check(&place, "A", why), -EADDRINUSE);
    close(fd);
    turn();
}

/* Runs fn in a process of user nobody, until it is killed. */
static pid_t as_nobody(const struct port_place *place, const char *fleet) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        uv_loop_t own;
        bool is_fine = setuid(65534) == 0 && uv_loop_init(&own) == 0 &&
                       port_claim_new(&own, place, fleet) != NULL && write(ready[1], "x", 1) == 1;
        if (is_fine)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

/* Another user can claim whatever he likes: he can neither keep us out nor let us in. */
static void claims_of_other_users_prove_nothing(void **state) {
    char why[PORT_WHY_MAX];
    (void)state;
    if (geteuid() != 0)
        skip();
    struct port_place place = place_of("127.0.0.1", free_port());
    int fd = listen_at(&place);
    pid_t nobody = as_nobody(&place, "A");
    assert_int_equal(port_check(&place, "A", why), -EPERM);
    assert_non_null(strstr(why, "as another user"));
    struct port_claim *ours = port_claim_new(&loop, &place, "B");
    assert_int_equal(port_check(&place, "B", why), 0);
    kill(nobody, SIGKILL);
    waitpid(nobody, NULL, 0);
    port_claim_free(ours);
    close(fd);
    turn();
}

static void a_claim_ends_with_its_process(void **state) {
    char why[PORT_WHY_MAX];
    (void)state;
    if (geteuid() != 0)
        skip();
    struct port_place place = place_of("127.0.0.1", free_port());
    int fd = listen_at(&place);
    pid_t nobody = as_nobody(&place, "A");
    kill(nobody, SIGKILL);
    waitpid(nobody, NULL, 0);
    assert_int_equal(port_check(&place, "A", why), -EADDRINUSE);
    assert_non_null(strstr(why, "another program"));
    close(fd);
}

static void unlock(void *lock) {
    usleep(50000);
    port_unlock(*(int *)lock);
}

static void the_lock_is_one_processes(void **state) {
    uv_thread_t thread;
    int port = free_port();
    (void)state;
    int first = port_lock(port), elsewhere = port_lock(free_port());
    assert_true(first >= 0 && elsewhere >= 0);
    assert_int_equal(uv_thread_create(&thread, unlock, &first), 0);
    int second = port_lock(port);
    assert_true(second >= 0);
    uv_thread_join(&thread);
    port_unlock(second);
    port_unlock(elsewhere);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_overlap),
        cmocka_unit_test(strangers),
        cmocka_unit_test(one_stranger_among_ours),
        cmocka_unit_test(claims_of_other_users_prove_nothing),
        cmocka_unit_test(a_claim_ends_with_its_process),
        cmocka_unit_test(the_lock_is_one_processes),
    };
    if (uv_loop_init(&loop) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
